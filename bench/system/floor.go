//go:build linux

package system

import (
	"context"
	"fmt"
	"os"
	"strings"
	"sync"

	"github.com/tidwall/redcon"
)

// FloorFlag has this program be the server of Floor, at the address behind it.
const FloorFlag = "-floor"

// Floor starts a map behind redcon: what a Redis front end in Go costs at least with a goroutine for each connection, without an
// order, copies and expiry.
func Floor(ctx context.Context) (*System, error) {
	s, err := create()
	if err != nil {
		return nil, err
	}
	if err := s.floor(ctx); err != nil {
		s.Stop()
		return nil, err
	}
	return s, nil
}

func (s *System) floor(ctx context.Context) (err error) {
	self, err := os.Executable()
	if err != nil {
		return err
	}
	if s.Address, err = freeAddress(); err != nil {
		return err
	}
	s.target = s.Address
	if err := s.start("redcon", self, FloorFlag, s.Address); err != nil {
		return err
	}
	return s.await(ctx, "redcon", func() error {
		_, err := call(s.Address, "PING")
		return err
	})
}

// ServeFloor is the server of Floor.
func ServeFloor(address string) error {
	var mu sync.RWMutex
	values := map[string][]byte{}
	return redcon.ListenAndServe(address, func(conn redcon.Conn, cmd redcon.Command) {
		switch name := strings.ToLower(string(cmd.Args[0])); {
		case name == "ping":
			conn.WriteString("PONG")
		case name == "set" && len(cmd.Args) == 3:
			mu.Lock()
			values[string(cmd.Args[1])] = append([]byte(nil), cmd.Args[2]...)
			mu.Unlock()
			conn.WriteString("OK")
		case name == "get" && len(cmd.Args) == 2:
			mu.RLock()
			value, ok := values[string(cmd.Args[1])]
			mu.RUnlock()
			if !ok {
				conn.WriteNull()
				return
			}
			conn.WriteBulk(value)
		default:
			conn.WriteError(fmt.Sprintf("ERR unknown command '%s'", name))
		}
	}, nil, nil)
}
