//go:build linux

package system

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"strings"
	"time"

	"brainer/resp"
)

// System is a set of processes that together serve Redis clients at one address.
type System struct {
	Address   string
	Processes []*Process
	Notes     []string // of its setup, beyond the commands

	dir    string
	target string // where a further copy connects
	bin    string // where Brainer's programs are
	copies int    // that were ever started
	onDisk bool   // nodes keep their copies there
}

func create() (*System, error) {
	dir, err := os.MkdirTemp("", "brainer-bench-")
	if err != nil {
		return nil, err
	}
	return &System{dir: dir}, nil
}

func (s *System) start(role, path string, args ...string) error {
	p, err := start(s.dir, role, path, args...)
	if err != nil {
		return err
	}
	s.Processes = append(s.Processes, p)
	return nil
}

// Stop kills every process, nothing of them is needed any more, and removes the directory.
func (s *System) Stop() {
	for _, p := range s.Processes {
		_ = p.cmd.Process.Kill() // fails only when it has exited
	}
	for _, p := range s.Processes {
		<-p.exited
	}
	_ = os.RemoveAll(s.dir) // what is left is in the system's temporary directory
}

// stopLast lets the process that was started last take its leave.
func (s *System) stopLast() {
	last := len(s.Processes) - 1
	s.Processes[last].stop()
	s.Processes = s.Processes[:last]
}

// Explain adds to an error what the processes have logged last.
func (s *System) Explain(err error) error {
	if err == nil {
		return nil
	}
	text := ""
	for _, p := range s.Processes {
		lines, readErr := p.lastLines(explainLines)
		if readErr != nil {
			lines = [][]byte{[]byte(readErr.Error())}
		}
		text += fmt.Sprintf("\n%s (%s):\n\t%s", p.Role, p.Command, bytes.Join(lines, []byte("\n\t")))
	}
	return fmt.Errorf("%w%s", err, text)
}

// explainLines are enough for what a node logs of an internal error.
const explainLines = 20

// CPU is what the processes have used so far, by role.
func (s *System) CPU() (map[string]time.Duration, error) {
	used := map[string]time.Duration{}
	for _, p := range s.Processes {
		cpu, err := p.CPU()
		if err != nil {
			return nil, err
		}
		used[p.Role] += cpu
	}
	return used, nil
}

// Restart ends the process that was started last and starts it again; it returns how long that took from its start until so many keys are
// served.
func (s *System) Restart(ctx context.Context, keys int64) (time.Duration, error) {
	last := s.Processes[len(s.Processes)-1]
	args := last.cmd.Args[1:]
	s.stopLast()
	began := time.Now()
	if err := s.start(last.Role, last.cmd.Path, args...); err != nil {
		return 0, err
	}
	err := s.awaitFor(ctx, joinLimit, "the keys", func() error {
		reply, err := call(s.Address, "DBSIZE")
		if err == nil && reply.Int != keys {
			err = fmt.Errorf("%d keys", reply.Int)
		}
		return err
	})
	return time.Since(began), err
}

// BGSave saves, and waits for the end of it.
func (s *System) BGSave(ctx context.Context) error {
	if _, err := call(s.Address, "BGSAVE"); err != nil {
		return err
	}
	return s.awaitFor(ctx, joinLimit, "BGSAVE", func() error {
		info, err := call(s.Address, "INFO", "persistence")
		switch text := info.Text(); {
		case err != nil:
			return err
		case strings.Contains(text, "rdb_bgsave_in_progress:1"):
			time.Sleep(100 * time.Millisecond)
			return errors.New("it is under way")
		case !strings.Contains(text, "rdb_last_bgsave_status:ok"):
			return errors.New("it has failed")
		}
		return nil
	})
}

// Setup is how it was started, one line for each process and note; directories that differ in
// every run are left out.
func (s *System) Setup() []string {
	var lines []string
	for _, p := range s.Processes {
		lines = append(lines, strings.ReplaceAll(p.Command, s.dir+"/", ""))
	}
	return append(lines, s.Notes...)
}

// freeAddress is an address of this machine on which nothing listens.
func freeAddress() (address string, err error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	defer l.Close()
	return l.Addr().String(), nil
}

func port(address string) string { return address[strings.LastIndexByte(address, ':')+1:] }

const callTimeout = 10 * time.Second

// Call sends one command over a connection of its own and returns the reply; an error reply is an error.
func Call(address string, args ...string) (resp.Reply, error) { return call(address, args...) }

// call sends one command over a connection of its own and returns the reply; an error reply is an
// error.
func call(address string, args ...string) (resp.Reply, error) {
	conn, err := net.DialTimeout("tcp", address, callTimeout)
	if err != nil {
		return resp.Reply{}, err
	}
	defer conn.Close()
	if err := conn.SetDeadline(time.Now().Add(callTimeout)); err != nil {
		return resp.Reply{}, err
	}
	command := make([][]byte, len(args))
	for i, a := range args {
		command[i] = []byte(a)
	}
	if _, err := conn.Write(resp.AppendCommand(nil, command...)); err != nil {
		return resp.Reply{}, fmt.Errorf("%s: %w", args[0], err)
	}
	var got []byte
	buf := make([]byte, 64<<10)
	for {
		n, err := conn.Read(buf)
		if err != nil {
			return resp.Reply{}, fmt.Errorf("%s: %w", args[0], err)
		}
		got = append(got, buf[:n]...)
		reply, _, err := resp.ParseReply(got)
		if err == resp.ErrIncomplete {
			continue
		}
		if err == nil {
			err = reply.Err()
		}
		return reply, err
	}
}
