package integration

import (
	"bytes"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"strings"
	"sync"
	"testing"
	"time"

	"brainer/internal/op"
	"brainer/internal/redistest"
	"brainer/resp"
)

// everything reads until the server closes the connection, or is silent for a while.
func everything(conn net.Conn, silent time.Duration) (string, bool) {
	var all bytes.Buffer
	b := make([]byte, 64<<10)
	for {
		_ = conn.SetReadDeadline(time.Now().Add(silent))
		n, err := conn.Read(b)
		all.Write(b[:n])
		if err != nil {
			late, ok := err.(net.Error)
			return all.String(), !(ok && late.Timeout())
		}
	}
}

// packets are what a client should not send, and what looks as if it should not.
var packets = map[string]string{
	"a bulk length that overflows":   "*1\r\n$9223372036854775807\r\nxxxxxxx",
	"a multibulk length beyond all":  "*9000000000000000000\r\n",
	"beyond 64 bits":                 "*99999999999999999999999\r\n",
	"a bulk length beyond 64 bits":   "*1\r\n$99999999999999999999999\r\n",
	"a negative bulk length":         "*1\r\n$-5\r\n",
	"a bulk length of minus one":     "*1\r\n$-1\r\n",
	"a negative multibulk length":    "*-5\r\nPING\r\n",
	"no arguments":                   "*0\r\nPING\r\n",
	"minus one arguments":            "*-1\r\nPING\r\n",
	"no number":                      "*x\r\n",
	"an empty number":                "*\r\n",
	"no bulk number":                 "*1\r\n$x\r\n",
	"no dollar":                      "*1\r\n+PING\r\n",
	"half a gigabyte and one":        "*1\r\n$536870913\r\n",
	"good, then bad":                 "PING\r\n*1\r\n$4\r\nPING\r\n*1\r\n$-2\r\nPING\r\n",
	"an unbalanced quote":            "SET k \"v\r\n",
	"quotes":                         "SET \"k y\" 'v\\'w' \r\nGET \"\\x6b y\"\r\n",
	"an inline of 70 kB":             strings.Repeat("x", 70_000),
	"a header of 70 kB":              "*" + strings.Repeat("1", 70_000),
	"a bulk header of 70 kB":         "*1\r\n$" + strings.Repeat("1", 70_000),
	"empty lines":                    "\r\n\r\n\nPING\r\n",
	"only a newline ends a line":     "PING\nPING\n",
	"HTTP":                           "POST / HTTP/1.1\r\nHost: x\r\n\r\nPING\r\n",
	"an empty argument":              "*2\r\n$4\r\nPING\r\n$0\r\n\r\n",
	"an empty command":               "*1\r\n$0\r\n\r\nPING\r\n",
	"a command name of 1 kB":         "*1\r\n$1024\r\n" + strings.Repeat("n", 1024) + "\r\nPING\r\n",
	"binary zeros in a name":         "*1\r\n$4\r\nP\x00NG\r\nPING\r\n",
	"what does not end with CRLF":    "*1\r\n$4\r\nPINGxxPING\r\n",
	"a plus sign before a length":    "*+1\r\n$4\r\nPING\r\n",
	"a length with a leading zero":   "*01\r\n$4\r\nPING\r\n",
	"a length with a trailing space": "*1 \r\n$4\r\nPING\r\n",
}

// TestPacketsThatKillReaders sends each packet to a real redis-server and to ours, whole and byte by
// byte: the same answer, the same end of the connection, and ours lives.
func TestPacketsThatKillReaders(t *testing.T) {
	t.Parallel()
	c := startAlone(t)
	real := redistest.Start(t)
	before := c.broker.rss(t)
	compareAnswers(t, c.addr, real, packets)
	if reply, err := exchange(c.addr, "PING\r\n"); reply != "+PONG\r\n" {
		t.Errorf("afterwards: %q %v", reply, err)
	}
	if grown := c.broker.rss(t) - before; grown > 64<<20 {
		t.Errorf("memory grew by %d MB", grown>>20)
	}
}

// compareAnswers sends each packet to both servers, whole and in pieces, and compares what comes back.
func compareAnswers(t testing.TB, ours, real string, packets map[string]string) {
	t.Helper()
	var wait sync.WaitGroup
	atOnce := make(chan struct{}, 16)
	for name, packet := range packets {
		for _, piece := range []int{len(packet), 1} {
			if piece == 1 && len(packet) > 5000 {
				piece = 997
			}
			wait.Add(1)
			go func() {
				defer wait.Done()
				atOnce <- struct{}{}
				defer func() { <-atOnce }()
				for silent := 700 * time.Millisecond; ; silent *= 4 { // on a busy machine either may be silent for longer
					got, gotEnd := sendPieces(t, ours, packet, piece, silent)
					want, wantEnd := sendPieces(t, real, packet, piece, silent)
					if got == want && gotEnd == wantEnd {
						return
					}
					if silent > patience/4 {
						t.Errorf("%s, in pieces of %d: %.200q, closed %v; redis-server: %.200q, closed %v", name, piece, got, gotEnd, want, wantEnd)
						return
					}
				}
			}()
		}
	}
	wait.Wait()
}

func sendPieces(t testing.TB, addr, packet string, piece int, silent time.Duration) (answer string, closed bool) {
	conn, err := net.DialTimeout("tcp", addr, patience)
	if err != nil {
		t.Error(err)
		return "", false
	}
	defer conn.Close()
	for len(packet) > 0 {
		n := min(piece, len(packet))
		if _, err := conn.Write([]byte(packet[:n])); err != nil {
			break // it has been closed: the rest tells
		}
		packet = packet[n:]
	}
	return everything(conn, silent)
}

// TestNoise sends random bytes, and commands with random bytes changed.
func TestNoise(t *testing.T) {
	t.Parallel()
	c := startCluster(t, 2)
	seed := uint64(time.Now().UnixNano())
	rnd := rand.New(rand.NewPCG(seed, 1))
	good := resp.AppendCommand(nil, []byte("SET"), []byte("key"), []byte("value"))
	good = resp.AppendCommand(good, []byte("GET"), []byte("key"))
	before := c.broker.rss(t)
	rounds := 400
	if testing.Short() {
		rounds = 100
	}
	for i := range rounds {
		var b []byte
		if i%2 == 0 {
			for range rnd.IntN(3000) {
				b = append(b, byte(rnd.Uint32()))
			}
		} else {
			for range 1 + rnd.IntN(20) {
				b = append(b, good...)
			}
			for range 1 + rnd.IntN(4) {
				b[rnd.IntN(len(b))] = "*$\r\n0123456789-x\x00\xff"[rnd.IntN(18)]
			}
		}
		conn, err := net.DialTimeout("tcp", c.addr, patience)
		if err != nil {
			t.Fatalf("seed %d, round %d: %v", seed, i, err)
		}
		_, _ = conn.Write(b)
		conn.Close()
	}
	if !c.broker.alive() {
		t.Fatalf("seed %d: the broker has ended: %v", seed, c.broker.err)
	}
	c.awaitStatus("the noise has passed", func(op.Status) bool {
		_, body := c.page("/metrics")
		return metricValue(body, "brainer_connected_clients") == 1
	})
	c.do("SET", "k", "v")
	c.awaitLevel()
	c.sameOnAll(c.contents("n1"), "n2")
	if grown := c.broker.rss(t) - before; grown > 64<<20 {
		t.Errorf("seed %d: memory grew by %d MB", seed, grown>>20)
	}
}

// TestWhatIsAnnouncedIsNotAllocated: 20 clients announce half a gigabyte each and send a megabyte.
func TestWhatIsAnnouncedIsNotAllocated(t *testing.T) {
	t.Parallel()
	c := startAlone(t)
	before := c.broker.rss(t)
	for i := range 20 {
		conn := dialRaw(t, c.addr)
		if i%2 == 0 {
			fmt.Fprint(conn, "*3\r\n$3\r\nSET\r\n$1\r\nk\r\n$500000000\r\n")
		} else {
			fmt.Fprint(conn, "*1048576\r\n$4\r\nMSET\r\n$500000000\r\n")
		}
		if _, err := conn.Write(make([]byte, 1<<20)); err != nil {
			t.Fatal(err)
		}
	}
	c.do("SET", "other", "v")
	await(t, "the bytes have arrived", func() (bool, string) {
		_, body := c.page("/metrics")
		m := metricValue(body, "brainer_client_input_bytes_total")
		return m >= 20<<20, fmt.Sprint(m)
	})
	grown := c.broker.rss(t) - before
	t.Logf("20 MB were sent, memory grew by %d MB", grown>>20)
	if grown > 160<<20 {
		t.Errorf("memory grew by %d MB", grown>>20)
	}
}

// metricValue is the value of a metric without labels, -1 when it is not there.
func metricValue(page, name string) float64 {
	for line := range strings.Lines(page) {
		if rest, ok := strings.CutPrefix(line, name+" "); ok {
			var v float64
			if _, err := fmt.Sscan(rest, &v); err == nil {
				return v
			}
		}
	}
	return -1
}

// TestOneByteAtATime dribbles a command, and a large one in small pieces.
func TestOneByteAtATime(t *testing.T) {
	c := startAlone(t)
	conn := dialRaw(t, c.addr)
	value := bytes.Repeat([]byte("v"), 20_000)
	for _, b := range resp.AppendCommand(nil, []byte("SET"), []byte("k"), value) {
		if _, err := conn.Write([]byte{b}); err != nil {
			t.Fatal(err)
		}
	}
	reply := make([]byte, 5)
	if _, err := io.ReadFull(conn, reply); string(reply) != "+OK\r\n" {
		t.Errorf("SET: %q %v", reply, err)
	}
	if got := c.do("STRLEN", "k"); got != int64(len(value)) {
		t.Errorf("STRLEN: %v", got)
	}

	args := [][]byte{[]byte("MSET")}
	for i := range 100_000 {
		args = append(args, fmt.Appendf(nil, "key:%d", i), fmt.Appendf(nil, "value:%d", i))
	}
	before := c.broker.cpu(t)
	for b := resp.AppendCommand(nil, args...); len(b) > 0; {
		n := min(1024, len(b))
		if _, err := conn.Write(b[:n]); err != nil {
			t.Fatal(err)
		}
		b = b[n:]
	}
	if _, err := io.ReadFull(conn, reply); string(reply) != "+OK\r\n" {
		t.Errorf("MSET: %q %v", reply, err)
	}
	spent := c.broker.cpu(t) - before
	t.Logf("an MSET of 100,000 pairs in pieces of 1 kB cost %s of CPU", spent)
	if limit := 3 * time.Second; spent > limit && !raceEnabled {
		t.Errorf("that is more than %s: it grows faster than the command", limit)
	}
	if n := c.do("DBSIZE"); n != int64(100_001) {
		t.Errorf("DBSIZE %v", n)
	}
}

// TestAPasswordKeepsStrangersSmall: who has not authenticated cannot make the server take much, by
// TCP or through ZeroMQ.
func TestAPasswordKeepsStrangersSmall(t *testing.T) {
	t.Parallel()
	c := newCluster(t)
	c.startBroker("--requirepass", "secret", "--embedded=true")
	real := redistest.Start(t)
	redistest.Dial(t, real).Do("CONFIG", "SET", "requirepass", "secret")
	compareAnswers(t, c.addr, real, map[string]string{
		"eleven arguments":       "*11\r\n",
		"a large argument":       "*2\r\n$16385\r\n",
		"a large password":       "*2\r\n$4\r\nAUTH\r\n$16385\r\n",
		"GET":                    "GET k\r\n",
		"no command":             "NOSUCH\r\n",
		"PING":                   "PING\r\n",
		"a wrong password":       "AUTH wrong\r\n",
		"HELLO without password": "HELLO 3\r\n",
		"all that is allowed":    "*10\r\n$16384\r\n" + strings.Repeat("x", 16384) + "\r\n",
	})
	if reply, err := exchange(c.addr, "AUTH secret\r\n"); reply != "+OK\r\n" {
		t.Errorf("AUTH: %q %v", reply, err)
	}
	stranger := connectZMQ(t, c.brokerEndpoint())
	if _, err := stranger.Do("GET", "k"); err == nil || !strings.HasPrefix(err.Error(), "NOAUTH") {
		t.Errorf("GET through ZeroMQ: %v", err)
	}
	if _, err := stranger.Do("AUTH", "secret"); err != nil {
		t.Errorf("AUTH through ZeroMQ: %v", err)
	}
	await(t, "a friend is served", func() (bool, string) {
		_, err := stranger.Do("SET", "k", "v")
		return err == nil, fmt.Sprint(err)
	})
}
