//go:build linux

package system

import (
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
