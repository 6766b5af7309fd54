//go:build linux

package system

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

// Nutcracker starts nutcracker (twemproxy) in front of so many redis-servers, which share the keys.
func Nutcracker(ctx context.Context, servers int) (*System, error) {
	s, err := create()
	if err != nil {
		return nil, err
	}
	if err := s.nutcracker(ctx, servers); err != nil {
		s.Stop()
		return nil, err
	}
	return s, nil
}

const nutcrackerConfig = `bench:
  listen: %s
  redis: true
  hash: fnv1a_64
  distribution: ketama
  auto_eject_hosts: false
  preconnect: true
  server_connections: 1
  backlog: 10240
  servers:
%s`

func (s *System) nutcracker(ctx context.Context, servers int) (err error) {
	path, err := exec.LookPath("nutcracker")
	if err != nil {
		return err
	}
	var list strings.Builder
	for i := range servers {
		socket := filepath.Join(s.dir, fmt.Sprintf("redis%d.sock", i+1))
		address, err := s.startRedis("redis", "--unixsocket", socket)
		if err != nil {
			return err
		}
		if err := s.await(ctx, "redis-server", func() error { _, err := call(address, "PING"); return err }); err != nil {
			return err
		}
		fmt.Fprintf(&list, "   - %s:1\n", socket)
	}
	if s.Address, err = freeAddress(); err != nil {
		return err
	}
	stats, err := freeAddress()
	if err != nil {
		return err
	}
	config := fmt.Sprintf(nutcrackerConfig, s.Address, list.String())
	file := filepath.Join(s.dir, "nutcracker.yml")
	if err := os.WriteFile(file, []byte(config), 0o600); err != nil {
		return err
	}
	s.Notes = append(s.Notes, strings.Split(strings.TrimSpace(strings.ReplaceAll(config, s.dir+"/", "")), "\n")...)
	// -i: statistics are gathered every 30 s and not every second.
	if err := s.start("nutcracker", path, "-c", file, "-a", "127.0.0.1", "-s", port(stats), "-i", "30000"); err != nil {
		return err
	}
	return s.await(ctx, "nutcracker", func() error { _, err := call(s.Address, "GET", "none"); return err })
}
