package integration

import (
	"bufio"
	"bytes"
	"flag"
	"fmt"
	"io"
	"net"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"brainer/internal/op"
	"brainer/resp"
)

var overload = flag.Bool("overload", false, "TestOverload: the whole of it, 10,000 connections and 1 GB")

// What a process may take, as README.md states it: with the flags as they come, and for each client that
// does not read its replies a reply and a little.
const (
	brokerMemory     = 1<<30 + 128<<20
	nodeMemory       = 512 << 20 // and twice its data
	perConnection    = 32 << 10
	perDeafClient    = deafValueLen + 64<<10
	overloadValueLen = 10 << 10
	overloadKeys     = 1000 // of each greedy client
	deafValueLen     = 256 << 10
)

// TestOverload does at once what a cache must outlive: a crowd of connections, clients that stop reading,
// and clients that write faster than the nodes apply. Polite clients are served all the while, memory stays
// below the bound, and afterwards everything is as before.
func TestOverload(t *testing.T) {
	t.Parallel()
	if testing.Short() {
		t.Skip("-short")
	}
	crowd, deaf, greedy, bytesEach := 1000, 40, 4, 32<<20
	if *overload {
		crowd, deaf, greedy, bytesEach = 9500, 400, 16, 64<<20
	}
	if crowd+deaf+greedy+300 > descriptorsHere() {
		t.Skipf("this process may open %d files", descriptorsHere())
	}
	flags := []string{"--write-timeout", "10s"}
	if raceEnabled {
		flags = append(flags, "--ack-timeout", "30s", "--dead-after", "10s")
	}
	c := startCluster(t, 3, flags...)
	c.do("SET", "large", strings.Repeat("x", deafValueLen))
	fdsBefore := c.broker.descriptors(t)
	polite := startPolite(t, c, 4)

	var conns []net.Conn
	defer func() {
		for _, conn := range conns {
			conn.Close()
		}
	}()
	for range crowd {
		conns = append(conns, dialRaw(t, c.addr))
	}
	var all sync.WaitGroup
	for i := range deaf {
		conn := dialRaw(t, c.addr)
		conns = append(conns, conn)
		all.Go(func() { // until it is cut off
			gets := bytes.Repeat(resp.AppendCommand(nil, []byte("GET"), []byte("large")), 100)
			_ = conn.SetDeadline(time.Now().Add(4 * patience))
			for {
				if _, err := conn.Write(gets); err != nil {
					if late, ok := err.(net.Error); ok && late.Timeout() {
						t.Errorf("client %d, which never reads, was not cut off", i)
					}
					return
				}
			}
		})
	}
	var sent, written atomic.Int64
	began := time.Now()
	for i := range greedy {
		conn := dialRaw(t, c.addr)
		conns = append(conns, conn)
		_ = conn.SetDeadline(time.Now().Add(8 * patience))
		all.Go(func() {
			w := bufio.NewWriterSize(conn, 1<<20)
			value := bytes.Repeat([]byte("w"), overloadValueLen)
			for n := 0; n < bytesEach; n += overloadValueLen {
				key := fmt.Appendf(nil, "greedy:%d:%d", i, n/overloadValueLen%overloadKeys)
				if _, err := w.Write(resp.AppendCommand(nil, []byte("SET"), key, value)); err != nil {
					t.Errorf("greedy client %d: %v", i, err)
					return
				}
				sent.Add(overloadValueLen)
			}
			if err := w.Flush(); err != nil {
				t.Errorf("greedy client %d: %v", i, err)
			}
		})
		all.Go(func() {
			r := bufio.NewReader(conn)
			for n := 0; n < bytesEach; n += overloadValueLen {
				line, err := r.ReadString('\n')
				if line != "+OK\r\n" {
					t.Errorf("greedy client %d was answered %q %v", i, line, err)
					return
				}
				written.Add(1)
			}
		})
	}
	finished := make(chan struct{})
	go func() { all.Wait(); close(finished) }()
	crowding := time.NewTicker(100 * time.Millisecond)
	defer crowding.Stop()
	pings := 0
	for busy := true; busy; { // the crowd is not dead either
		select {
		case <-finished:
			busy = false
		case <-crowding.C:
			for range 10 {
				conn := conns[pings*7919%crowd]
				_ = conn.SetDeadline(time.Now().Add(2 * patience))
				_, _ = io.WriteString(conn, "PING\r\n")
				b := make([]byte, 7)
				if _, err := io.ReadFull(conn, b); string(b) != "+PONG\r\n" {
					t.Fatalf("one of the crowd: %q %v", b, err)
				}
				pings++
			}
		}
	}
	took := time.Since(began)
	t.Logf("%d connections; %d MB of SETs in %s, %d acknowledged; %d clients that did not read; %d PINGs of the crowd",
		len(conns), sent.Load()>>20, took.Round(time.Millisecond), written.Load(), deaf, pings)
	polite.stop()

	data := int64(greedy * min(overloadKeys, bytesEach/overloadValueLen) * overloadValueLen)
	brokerMax := int64(brokerMemory) + int64(len(conns))*perConnection + int64(deaf)*perDeafClient
	nodeMax := int64(nodeMemory) + 2*data
	below := func(p *process, most int64) {
		t.Logf("%s took %d MB at most, %d MB now; bound %d MB", p.name, p.rssMax(t)>>20, p.rss(t)>>20, most>>20)
		if raceEnabled {
			most *= 4 // the race detector's shadow
		}
		if p.rssMax(t) > most {
			t.Errorf("%s took %d MB", p.name, p.rssMax(t)>>20)
		}
	}
	below(c.broker, brokerMax)
	for _, id := range []string{"n1", "n2", "n3"} {
		below(c.nodes[id], nodeMax)
	}

	for _, conn := range conns {
		conn.Close()
	}
	conns = nil
	await(t, "the descriptors are closed", func() (bool, string) {
		now := c.broker.descriptors(t)
		return now <= fdsBefore+2, fmt.Sprintf("%d, before %d", now, fdsBefore)
	})
	s := c.awaitStatus("nothing is under way", func(s op.Status) bool { return s.PendingReads == 0 && s.InflightBytes < 1000 })
	if len(s.NodesEvicted) > 0 {
		t.Logf("evictions: %v (a busy machine)", s.NodesEvicted)
	}
	c.awaitInSync(3)
	c.awaitLevel()
	c.sameOnAll(c.contents("n1"), "n2", "n3")
	window := s.WindowBytes
	// What stays is the log window, the data, and what Go's collector gives back when it comes to it.
	awaitWithin(t, 4*patience, "memory comes back", func() (bool, string) {
		c.do("GET", "large") // Go collects when somebody wants memory
		now := c.broker.rss(t)
		return now < 2*window+256<<20 || raceEnabled, fmt.Sprintf("the broker has %d MB, its log window %d MB", now>>20, window>>20)
	})
	t.Logf("afterwards: broker %d MB (log window %d MB), n1 %d MB (data %d MB), %d descriptors", c.broker.rss(t)>>20, window>>20, c.nodes["n1"].rss(t)>>20, data>>20, c.broker.descriptors(t))
}

// polite are clients that ask for little, one thing after the other.
type polite struct {
	t             testing.TB
	closing       atomic.Bool
	done          sync.WaitGroup
	mu            sync.Mutex
	reads, writes []time.Duration
}

func startPolite(t testing.TB, c *cluster, clients int) *polite {
	t.Helper()
	p := &polite{t: t}
	for i := range clients {
		conn := dialRaw(t, c.addr)
		p.done.Go(func() { p.run(conn, i) })
	}
	t.Cleanup(func() { p.closing.Store(true); p.done.Wait() })
	return p
}

func (p *polite) run(conn net.Conn, number int) {
	defer conn.Close()
	r := bufio.NewReader(conn)
	every := time.NewTicker(20 * time.Millisecond)
	defer every.Stop()
	for i := 0; !p.closing.Load(); i++ {
		<-every.C
		value := fmt.Sprint(number, ".", i)
		for _, command := range []string{"SET", "GET"} {
			line, want := fmt.Sprintf("GET polite:%d\r\n", number), fmt.Sprintf("$%d\r\n%s\r\n", len(value), value)
			if command == "SET" {
				line, want = fmt.Sprintf("SET polite:%d %s\r\n", number, value), "+OK\r\n"
			}
			began := time.Now()
			_ = conn.SetDeadline(began.Add(2 * patience))
			_, err := io.WriteString(conn, line)
			got := make([]byte, len(want))
			if err == nil {
				_, err = io.ReadFull(r, got)
			}
			if string(got) != want {
				p.t.Errorf("polite client %d: %s: %q %v", number, command, got, err)
				return
			}
			p.mu.Lock()
			if command == "SET" {
				p.writes = append(p.writes, time.Since(began))
			} else {
				p.reads = append(p.reads, time.Since(began))
			}
			p.mu.Unlock()
		}
	}
}

// stop wants that they have been served all the while.
func (p *polite) stop() {
	p.t.Helper()
	p.closing.Store(true)
	p.done.Wait()
	for name, d := range map[string][]time.Duration{"reads": p.reads, "writes": p.writes} {
		if len(d) == 0 {
			p.t.Fatalf("no polite %s", name)
		}
		p.t.Logf("polite %s: %d, p50 %s, p99 %s, longest %s", name, len(d), quantile(d, 0.5).Round(10*time.Microsecond),
			quantile(d, 0.99).Round(10*time.Microsecond), slices.Max(d).Round(time.Millisecond))
	}
}
