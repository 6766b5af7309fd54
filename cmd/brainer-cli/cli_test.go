package main

import (
	"context"
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"brainer/broker/client/clienttest"
	"brainer/internal/link/zmq"
	"brainer/internal/op"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) {
	version = "test"
	os.Setenv("BRAINER_TIMEOUT", "30s") // what a busy machine takes longer for is no failure
	goleak.VerifyTestMain(m)
}

func startBroker(t *testing.T, setup func(*clienttest.Broker)) *clienttest.Broker {
	t.Helper()
	tr, err := zmq.New(zmq.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { tr.Close() })
	return clienttest.Start(t, tr, "ipc://"+filepath.Join(t.TempDir(), "broker.sock"), setup)
}

// invoke runs one command line.
func invoke(t *testing.T, args ...string) (stdout, stderr string, code int) {
	t.Helper()
	var out, err strings.Builder
	code = run(t.Context(), args, &out, &err)
	return out.String(), err.String(), code
}

// A conversation is command lines (ENDPOINT is put in) and what is printed and returned.
func TestCommandLines(t *testing.T) {
	endpoint := startBroker(t, nil).Endpoint()
	for _, c := range []struct {
		line           string
		stdout, stderr string // stderr: a part of it
		code           int
	}{
		{"E set greeting hello", "OK\n", "", 0},
		{"E get greeting", "hello\n", "", 0},
		{"E --no-raw get greeting", "hello\n", "", 0},
		{"E GET greeting", "hello\n", "", 0},
		{"E --no-raw GET greeting", "\"hello\"\n", "", 0},
		{"--timeout 5s E --no-raw GET greeting", "\"hello\"\n", "", 0},
		{"E --timeout=5s --no-raw GET greeting", "\"hello\"\n", "", 0},
		{"--endpoint E get greeting", "hello\n", "", 0},
		{"E get none", "", "", 1},
		{"E --no-raw get none", "(nil)\n", "", 1},
		{"E --no-raw GET none", "(nil)\n", "", 0},
		{"E remove greeting", "1\n", "", 0},
		{"E remove greeting", "0\n", "", 1},
		{"E INCRBY n -5", "-5\n", "", 0},
		{"E --no-raw INCRBY n 8", "(integer) 3\n", "", 0},
		{"E INCRBY n --debug", "", "(error) ERR value is not an integer", 1},
		{"E set n -5", "", `goes after "--"`, 2},
		{"E set -- n -5", "OK\n", "", 0},
		{"E set url tcp://127.0.0.1:1", "OK\n", "", 0},
		{"E get url", "tcp://127.0.0.1:1\n", "", 0},
		{"E --db 7 get url", "", "", 1},
		{"E set k v --expire 60", "OK\n", "", 0},
		{"E set --wait-all=false k v --expire 1m30s", "OK\n", "", 0},
		{"E set k v --expire 0.5", "OK\n", "", 0},
		{"E set k v --expire 0", "", "above 0", 2},
		{"E set k v --expire soon", "", "a number of seconds", 2},
		{"E set k", "", "set takes KEY and VALUE", 2},
		{"E get a b", "", "get takes KEY", 2},
		{"E --no-raw MGET k none", "1) \"v\"\n2) (nil)\n", "", 0},
		{"E MGET k none", "v\n\n", "", 0},
		{"E NOSUCH", "", "(error) ERR unknown command 'NOSUCH'", 1},
		{"E get k --debug", "v\n", "brainer-cli: answered after", 0},
		{"E recover", "", "--from NODE or --empty", 2},
		{"E recover --empty --from n", "", "--from NODE or --empty", 2},
		{"E", "", "no command given", 2},
		{"get k", "", "no endpoint given", 2},
		{"E import redis://127.0.0.1:1 --dbs x", "", "for \"--dbs\" flag: numbers from 0 to 15 with commas between, as in 0,3", 2},
		{"E import redis://127.0.0.1:1 --dbs 0,16", "", "for \"--dbs\" flag: numbers from 0 to 15", 2},
		{"E import redis://127.0.0.1:1 --dbs 3 --follow", "", "--dbs and --match are for an import without it", 2},
		{"E import redis://127.0.0.1:1 --merge --replace", "", "--merge or --replace, not both", 2},
		{"E export redis://127.0.0.1:1 --merge --replace", "", "--merge or --replace, not both", 2},
		{"E export file --replace", "", "for a redis:// TARGET", 2},
		{"E export redis://127.0.0.1:1", "", "nothing listens on redis://127.0.0.1:1", 3},
		{"E snapshot load file --merge --replace", "", "--merge or --replace, not both", 2},
		{"E --bogus get k", "", "unknown flag: --bogus", 2},
		{"E --raw --no-raw get k", "", "--raw or --no-raw, not both", 2},
		{"E --timeout never get k", "", "invalid argument", 2},
		{"http://127.0.0.1 get k", "", `scheme "http"`, 2},
		{"ipc:///nowhere/b.sock get k", "", "no broker listens on ipc:///nowhere/b.sock: start run_broker, or name its --broker endpoint", 3},
		{"tcp://127.0.0.1:1 status", "", "no broker listens on tcp://127.0.0.1:1", 3},
		{"redis://:pw@127.0.0.1:1 get k", "", "nothing listens on redis://127.0.0.1:1: no run_broker with that --listen address, nor a Redis", 3},
	} {
		args := strings.Fields(c.line)
		for i, a := range args {
			if a == "E" {
				args[i] = endpoint
			}
		}
		stdout, stderr, code := invoke(t, args...)
		if stdout != c.stdout || !strings.Contains(stderr, c.stderr) || code != c.code {
			t.Errorf("brainer-cli %s\ngot  %q %q %d\nwant %q %q %d", c.line, stdout, stderr, code, c.stdout, c.stderr, c.code)
		}
		if c.stderr == "" && stderr != "" || strings.Count(stderr, "\n") > 1 && !strings.Contains(c.line, "--debug") {
			t.Errorf("brainer-cli %s\nsays %q", c.line, stderr)
		}
	}
}

func TestWhatIsSent(t *testing.T) {
	b := startBroker(t, nil)
	for _, line := range []string{
		"set k v", "set k v --wait-all=false --expire 60", "set k v --expire 1500ms", "remove k",
		"recover --empty", "recover --from n2", "forget n2", "status --json",
	} {
		if _, stderr, code := invoke(t, append([]string{b.Endpoint()}, strings.Fields(line)...)...); code != 0 {
			t.Errorf("%s: %s", line, stderr)
		}
	}
	want := []string{
		"BRAINER WITH ACK all SET k v", "BRAINER WITH ACK primary SET k v EX 60", "BRAINER WITH ACK all SET k v PX 1500", "DEL k",
		"BRAINER RECOVER EMPTY", "BRAINER RECOVER FROM n2", "BRAINER FORGET n2", "BRAINER STATUS JSON",
	}
	got := slices.DeleteFunc(b.Commands(), func(s string) bool { return s == "QUIT" })
	if !slices.Equal(got, want) {
		t.Errorf("sent %q\nwant %q", got, want)
	}
}

func TestFlagsFromEnvironmentAndFile(t *testing.T) {
	b := startBroker(t, func(b *clienttest.Broker) { b.Password = "secret" })
	if _, stderr, code := invoke(t, b.Endpoint(), "get", "k"); code != 1 || !strings.Contains(stderr, "NOAUTH") {
		t.Errorf("without a password: %q %d", stderr, code)
	}
	if _, stderr, code := invoke(t, b.Endpoint(), "get", "k", "--password", "wrong"); code != 1 || !strings.Contains(stderr, "WRONGPASS") {
		t.Errorf("with a wrong password: %q %d", stderr, code)
	}
	t.Setenv("BRAINER_PASSWORD", "secret")
	t.Setenv("BRAINER_ENDPOINT", b.Endpoint())
	t.Setenv("BRAINER_WAIT_ALL", "false")
	if stdout, stderr, code := invoke(t, "set", "k", "v"); code != 0 || stdout != "OK\n" {
		t.Errorf("from the environment: %q %q %d", stdout, stderr, code)
	}
	if got := b.Commands(); !slices.Contains(got, "BRAINER WITH ACK primary SET k v") {
		t.Errorf("BRAINER_WAIT_ALL is not heard: %q", got)
	}
	if _, stderr, code := invoke(t, "--config", "/nowhere/c.yaml", "get", "k"); code != 2 || !strings.Contains(stderr, "/nowhere/c.yaml") {
		t.Errorf("a missing file: %q %d", stderr, code)
	}
}

func TestASilentBrokerIsATimeoutOfUncertainOutcome(t *testing.T) {
	b := startBroker(t, nil)
	b.Silence(true)
	_, stderr, code := invoke(t, b.Endpoint(), "--timeout", "1s", "INCRBY", "n", "1")
	if code != 3 || !strings.Contains(stderr, "in time; the command may or may not have been applied") {
		t.Errorf("%q %d", stderr, code)
	}
}

var joining = op.Status{
	State: "active", Leader: true, Epoch: 3, ViewNo: 5, Index: 1200, Safe: 1190, MinInSync: 1, Ack: op.AckAll,
	StartedAtMs: 1000, NowMs: 61_000, WindowEntries: 10, WindowBytes: 3 << 20, WindowSeconds: 4,
	Nodes: []op.NodeStatus{
		{ID: "embedded", State: "live", Up: true, InSync: true, Embedded: true, Software: "v1.2", Protocol: 4, Applied: 1200, Keys: 1000, UsedMemory: 1 << 20},
		{ID: "n2", Endpoint: "ipc:///tmp/n2.sock", State: "loading", Up: true, Protocol: 3, HeartbeatAge: 0.1, Applied: 1000, LagEntries: 200, LagSeconds: 1.5,
			Join: &op.JoinStatus{Phase: "snapshot", Donor: "embedded", SnapshotIndex: 1100, KeysDone: 250, KeysTotal: 1000,
				BytesDone: 25 << 10, BytesTotal: 100 << 10, EntriesBehind: 100, EtaSeconds: 9}},
		{ID: "n3", Endpoint: "ipc:///tmp/n3.sock", State: "down", Reason: "unreachable", Applied: 900},
	},
}

func TestStatusShowsNodesAndHowFarAJoinerHasCome(t *testing.T) {
	b := startBroker(t, func(b *clienttest.Broker) { b.Status = joining })
	stdout, stderr, code := invoke(t, b.Endpoint(), "status")
	if code != 0 {
		t.Fatal(stderr)
	}
	const want = `broker: active, leader, epoch 3, view 5, up 1m0s
index:  1200 ordered, 1190 safe; ack all; in sync 1 of 3, at least 1 to write
window: 10 entries, 3.0 MiB, 4 s
under way: 0 writes, 0 reads, 0 B

NODE      STATE    IN SYNC           APPLIED  LAG          KEYS  MEMORY   HEARD      VERSION     ENDPOINT
embedded  live     yes               1200     0            1000  1.0 MiB  0.0 s ago  v1.2        in the broker
n2        loading  no                1000     200 (1.5 s)  0     0 B      0.1 s ago  protocol 3  ipc:///tmp/n2.sock
n3        down     no (unreachable)  900      0            0     0 B      -          -           ipc:///tmp/n3.sock
n2: snapshot from embedded at 1100 25% [=====>..................] 250 of 1000 keys, 25.0 KiB, 100 entries behind, 9s left
`
	if stdout != want {
		t.Errorf("got\n%s\nwant\n%s", stdout, want)
	}
	stdout, _, _ = invoke(t, b.Endpoint(), "status", "--json")
	var s op.Status
	if err := json.Unmarshal([]byte(stdout), &s); err != nil || s.Nodes[1].Join.KeysDone != 250 || strings.Count(stdout, "\n") != 1 {
		t.Errorf("--json: %v %q", err, stdout)
	}
}

// written is an io.Writer that tells each write.
type written struct {
	mu    sync.Mutex
	all   strings.Builder
	wrote chan struct{}
}

func (w *written) Write(p []byte) (int, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.all.Write(p)
	select {
	case w.wrote <- struct{}{}:
	default:
	}
	return len(p), nil
}

func (w *written) await(t *testing.T, what string) {
	t.Helper()
	deadline := time.After(patience)
	for {
		w.mu.Lock()
		all := w.all.String()
		w.mu.Unlock()
		if strings.Contains(all, what) {
			return
		}
		select {
		case <-w.wrote:
		case <-deadline:
			t.Fatalf("waited in vain for %q in %q", what, all)
		}
	}
}

func TestWatchGoesOnWhileTheBrokerIsAway(t *testing.T) {
	b := startBroker(t, func(b *clienttest.Broker) { b.Status = joining })
	endpoint := b.Endpoint()
	ctx, interrupt := context.WithCancel(t.Context())
	out := &written{wrote: make(chan struct{}, 1)}
	code := make(chan int, 1)
	go func() { code <- run(ctx, []string{endpoint, "status", "--watch"}, out, out) }()
	out.await(t, "epoch 3")
	b.Stop()
	out.await(t, "no broker listens on")
	tr, err := zmq.New(zmq.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer tr.Close()
	again := clienttest.Start(t, tr, endpoint, func(b *clienttest.Broker) { b.Status = op.Status{StartedAtMs: 1, Epoch: 4} })
	out.await(t, "epoch 4")
	interrupt()
	if c := <-code; c != 0 {
		t.Errorf("interrupted: exit code %d", c)
	}
	again.Stop()
}

func TestSubscribeGoesOnUntilInterrupted(t *testing.T) {
	b := startBroker(t, nil)
	ctx, interrupt := context.WithCancel(t.Context())
	out := &written{wrote: make(chan struct{}, 1)}
	code := make(chan int, 1)
	go func() { code <- run(ctx, []string{b.Endpoint(), "--no-raw", "SUBSCRIBE", "news"}, out, out) }()
	out.await(t, "1) \"message\"\n2) \"news\"\n3) \"hello\"\n")
	interrupt()
	if c := <-code; c != 0 {
		t.Errorf("interrupted: exit code %d", c)
	}
}

func TestHelpVersionAndCompletion(t *testing.T) {
	for _, c := range []struct {
		args []string
		want []string
		not  string
	}{
		{[]string{"--help"}, []string{"brainer-cli ENDPOINT COMMAND [ARG...]", "Exit codes:", "status "}, ""},
		{[]string{"ipc:///x", "set", "--help"}, []string{"brainer-cli ENDPOINT set KEY VALUE", "--wait-all", "--expire seconds"}, ""},
		{[]string{"help", "status"}, []string{"--watch"}, ""},
		{[]string{"--version"}, []string{"brainer-cli test ("}, ""},
		{[]string{"completion", "bash"}, []string{"__complete"}, ""},
		{[]string{"completion", "zsh"}, []string{"#compdef brainer-cli"}, ""},
		{[]string{"completion", "fish"}, []string{"complete -c brainer-cli"}, ""},
		{[]string{"__complete", "ipc:///x", ""}, []string{"get\t", "status\t", "HGETALL\t", "SET\t"}, ""},
		{[]string{"__complete", "ipc:///x", "--timeout", "3s", "IN"}, []string{"INCRBY\t"}, "get\t"},
		{[]string{"__complete", "ipc:///x", "inc"}, []string{"incrby\t"}, "INCR"},
		{[]string{"__complete", "ipc:///x", "set", "--w"}, []string{"--wait-all"}, "INCR"},
		{[]string{"__complete", "ipc:///x", "GET", ""}, nil, "SET"},
		{[]string{"__complete", "ipc:///x"}, nil, "SET"},
	} {
		stdout, stderr, code := invoke(t, c.args...)
		if code != 0 {
			t.Errorf("%q: exit code %d, %s", c.args, code, stderr)
		}
		for _, want := range c.want {
			if !strings.Contains(stdout, want) {
				t.Errorf("%q: no %q in\n%s", c.args, want, stdout)
			}
		}
		if c.not != "" && strings.Contains(stdout, c.not) {
			t.Errorf("%q: %q in\n%s", c.args, c.not, stdout)
		}
	}
}
