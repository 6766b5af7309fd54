package integration

import (
	"bufio"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"
)

// patience is how long a test waits for what must happen; nothing here takes a tenth of it on an
// idle machine.
const patience = 30 * time.Second

// process is a running program with its log. Its cleanup kills it.
type process struct {
	t      testing.TB
	name   string
	cmd    *exec.Cmd
	exited chan struct{} // closed when it has ended; then err is set
	err    error

	mu    sync.Mutex
	lines []string
	more  chan struct{} // closed and replaced when a line arrives
}

var running atomic.Int64

func survivors() int64 { return running.Load() }

// spawned takes starts to the one thread that makes them, which never ends: on Linux a process is told
// to die with the thread that started it, so that none outlives a test binary that was killed.
var spawned = make(chan func())

func spawn() {
	runtime.LockOSThread()
	for f := range spawned {
		f()
	}
}

func spawnCommand(cmd *exec.Cmd) error {
	dieWithParent(cmd)
	result := make(chan error)
	spawned <- func() { result <- cmd.Start() }
	return <-result
}

// crashes are the first words of what a Go program, the race detector or libzmq prints at the end.
const crashes = `^(panic: |fatal error: |WARNING: DATA RACE|Assertion failed)`

// start runs a program until the test ends. Its name is that of the log.
func start(t testing.TB, name, path string, args ...string) *process {
	t.Helper()
	return startCommand(t, name, exec.Command(path, args...))
}

func startCommand(t testing.TB, name string, cmd *exec.Cmd) *process {
	t.Helper()
	p := &process{t: t, name: name, cmd: cmd, exited: make(chan struct{}), more: make(chan struct{})}
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	cmd.Stderr = w
	if cmd.Stdout == nil {
		cmd.Stdout = w
	}
	err = spawnCommand(cmd)
	w.Close()
	if err != nil {
		r.Close()
		t.Fatalf("start %s: %v", name, err)
	}
	running.Add(1)
	logged := make(chan struct{})
	go func() {
		defer close(logged)
		p.keepLog(r)
	}()
	go func() {
		p.err = cmd.Wait()
		<-logged
		running.Add(-1)
		close(p.exited)
	}()
	t.Cleanup(func() {
		p.kill()
		if p.logged(crashes) {
			t.Errorf("%s has crashed, or a race was found in it", name)
		}
		if t.Failed() {
			t.Logf("log of %s %q, the end of it:\n%s", name, cmd.Args[1:], strings.Join(p.lastLines(60), "\n"))
		}
	})
	return p
}

func (p *process) keepLog(r io.ReadCloser) {
	defer r.Close()
	var file io.Writer = io.Discard
	if dir := os.Getenv("BRAINER_TEST_LOGS"); dir != "" {
		name := strings.ReplaceAll(p.t.Name(), "/", "_") + "." + p.name + fmt.Sprintf(".%d.log", p.cmd.Process.Pid)
		if f, err := os.Create(filepath.Join(dir, name)); err == nil {
			defer f.Close()
			file = f
		}
	}
	s := bufio.NewScanner(r)
	s.Buffer(make([]byte, 64<<10), 1<<20)
	for s.Scan() {
		fmt.Fprintln(file, s.Text())
		p.mu.Lock()
		p.lines = append(p.lines, s.Text())
		close(p.more)
		p.more = make(chan struct{})
		p.mu.Unlock()
	}
	_, _ = io.Copy(io.Discard, r) // a line too long for the scanner must not block the process
}

func (p *process) lastLines(n int) []string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return append([]string(nil), p.lines[max(0, len(p.lines)-n):]...)
}

// output is all that it has printed.
func (p *process) output() string { return strings.Join(p.lastLines(1<<30), "\n") }

// logged says whether a line that matches has been printed.
func (p *process) logged(pattern string) bool {
	re := regexp.MustCompile(pattern)
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, line := range p.lines {
		if re.MatchString(line) {
			return true
		}
	}
	return false
}

// awaitLog waits for a line that matches and returns what the pattern's groups matched.
func (p *process) awaitLog(pattern string) []string {
	p.t.Helper()
	re := regexp.MustCompile(pattern)
	deadline := time.After(patience)
	for from := 0; ; {
		p.mu.Lock()
		lines, more := p.lines[from:], p.more
		from = len(p.lines)
		p.mu.Unlock()
		for _, line := range lines {
			if m := re.FindStringSubmatch(line); m != nil {
				return m
			}
		}
		select {
		case <-more:
		case <-p.exited:
			if !p.logged(pattern) {
				p.t.Fatalf("%s ended (%v) without the log line %q", p.name, p.err, pattern)
			}
		case <-deadline:
			p.t.Fatalf("%s has not logged %q", p.name, pattern)
		}
	}
}

func (p *process) signal(s syscall.Signal) {
	p.t.Helper()
	if err := p.cmd.Process.Signal(s); err != nil {
		p.t.Fatalf("%s: %v: %v", p.name, s, err)
	}
}

// kill is SIGKILL, and waiting for the end. Killing what has ended already is nothing.
func (p *process) kill() {
	_ = p.cmd.Process.Kill()
	<-p.exited
}

// pause stops the process; none of its threads runs when it returns.
func (p *process) pause() {
	p.t.Helper()
	p.signal(syscall.SIGSTOP)
	await(p.t, p.name+" stands still", func() (bool, string) { return p.stopped(), "" })
}

func (p *process) resume() { p.t.Helper(); p.signal(syscall.SIGCONT) }

// terminate is SIGTERM; exit waits for what follows.
func (p *process) terminate() { p.t.Helper(); p.signal(syscall.SIGTERM) }

// exit waits for the process to end by itself and returns its exit code, -1 after a signal.
func (p *process) exit() int {
	p.t.Helper()
	select {
	case <-p.exited:
		return p.cmd.ProcessState.ExitCode()
	case <-time.After(patience):
		p.t.Fatalf("%s does not end", p.name)
		return 0
	}
}

func (p *process) alive() bool {
	select {
	case <-p.exited:
		return false
	default:
		return true
	}
}

// run runs a program to its end and returns what it printed and its exit code.
func run(t testing.TB, path string, args ...string) (output string, code int) {
	t.Helper()
	p := start(t, filepath.Base(path), path, args...)
	code = p.exit()
	return p.output(), code
}

// await calls condition until it is true; what it says meanwhile explains a failure.
func await(t testing.TB, what string, condition func() (bool, string)) {
	t.Helper()
	awaitWithin(t, patience, what, condition)
}

func awaitWithin(t testing.TB, d time.Duration, what string, condition func() (bool, string)) {
	t.Helper()
	deadline := time.Now().Add(d)
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for {
		ok, why := condition()
		if ok {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("after %s still not: %s (%s)", d, what, why)
		}
		<-tick.C
	}
}
