package integration

import (
	"bufio"
	"bytes"
	"flag"
	"fmt"
	"io"
	"net"
	"strings"
	"testing"
	"time"

	"brainer/broker/client"
	"brainer/resp"
)

// connectZMQ connects as brainer-cli does, until the test ends.
func connectZMQ(t testing.TB, endpoint string) *client.Client {
	t.Helper()
	cl, err := client.Connect(endpoint, client.WithTimeout(patience), client.WithConnectTimeout(patience))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = cl.Close() })
	return cl
}

func TestTenThousandConnections(t *testing.T) {
	if testing.Short() {
		t.Skip("-short")
	}
	c := startAlone(t)
	limit, err := c.control.ConfigGet(ctxOf(t), "maxclients").Result()
	must(t, err)
	n := 0
	fmt.Sscan(limit["maxclients"], &n)
	if n > descriptorsHere()-200 {
		t.Skipf("maxclients is %d and this process may open %d files", n, descriptorsHere())
	}
	c.control.Close() // it would take up places
	before, fds := c.broker.rss(t), c.broker.descriptors(t)
	conns := make([]net.Conn, 0, n)
	defer func() {
		for _, conn := range conns {
			conn.Close()
		}
	}()
	began := time.Now()
	for range n {
		conn, err := net.DialTimeout("tcp", c.addr, patience)
		if err != nil {
			t.Fatalf("connection %d: %v", len(conns)+1, err)
		}
		conns = append(conns, conn)
	}
	ping := func(conn net.Conn) string {
		_ = conn.SetDeadline(time.Now().Add(patience))
		fmt.Fprint(conn, "PING\r\n")
		b := make([]byte, 100)
		k, err := conn.Read(b)
		if err != nil {
			return err.Error()
		}
		return string(b[:k])
	}
	refused := 0
	for i, conn := range conns {
		switch got := ping(conn); got {
		case "+PONG\r\n":
		case "-ERR max number of clients reached\r\n": // a place the closed client still had
			refused++
		default:
			t.Fatalf("connection %d: %q", i, got)
		}
	}
	t.Logf("%d connections in %s, %d kB of memory each, %d refused", n, time.Since(began).Round(time.Millisecond), (c.broker.rss(t)-before)>>10/int64(n), refused)
	if refused > 2 {
		t.Errorf("%d of %d were refused", refused, n)
	}
	for range 50 {
		over, err := net.DialTimeout("tcp", c.addr, patience)
		must(t, err)
		got, closed := everything(over, patience)
		over.Close()
		if refused > 0 && got == "" { // the places that came free
			refused--
			continue
		}
		if got != "-ERR max number of clients reached\r\n" || !closed {
			t.Fatalf("one too many: %q, closed %v", got, closed)
		}
	}
	if got := ping(conns[n/2]); got != "+PONG\r\n" {
		t.Errorf("one of them: %q", got)
	}
	for _, conn := range conns {
		conn.Close()
	}
	conns = conns[:0]
	await(t, "the descriptors are closed", func() (bool, string) {
		now := c.broker.descriptors(t)
		return now <= fds, fmt.Sprintf("%d, before %d", now, fds)
	})
	if reply, err := exchange(c.addr, "PING\r\n"); reply != "+PONG\r\n" {
		t.Errorf("afterwards: %q %v", reply, err)
	}
}

// TestAClientThatNeverReads asks for far more than a socket holds.
func TestAClientThatNeverReads(t *testing.T) {
	t.Parallel()
	c := startAlone(t, "--write-timeout", "1s")
	c.do("SET", "large", strings.Repeat("x", 1<<20))
	before := c.broker.rss(t)
	conn := dialRaw(t, c.addr)
	asked := 0
	gets := bytes.Repeat([]byte("*2\r\n$3\r\nGET\r\n$5\r\nlarge\r\n"), 100)
	most := int64(0)
	closed := make(chan error, 1)
	go func() {
		for asked < 1<<20 {
			if _, err := conn.Write(gets); err != nil {
				closed <- err
				return
			}
			asked += 100
		}
		closed <- nil
	}()
	await(t, "the client is cut off", func() (bool, string) {
		most = max(most, c.broker.rss(t)-before)
		c.do("PING") // nobody else notices
		_, body := c.page("/metrics")
		n := metricValue(body, "brainer_unread_connections_closed_total")
		return n == 1, fmt.Sprint(n)
	})
	conn.Close()
	<-closed
	t.Logf("%d MB were asked for, memory grew by %d MB", asked, most>>20)
	limit := int64(256 << 20)
	if raceEnabled {
		limit *= 3
	}
	if most > limit {
		t.Errorf("memory grew by %d MB", most>>20)
	}
}

func TestASubscriberThatNeverReads(t *testing.T) {
	t.Parallel()
	c := startAlone(t)
	deaf := dialRaw(t, c.addr)
	fmt.Fprint(deaf, "SUBSCRIBE news\r\n")
	if line, err := bufio.NewReaderSize(deaf, 16).ReadString('\n'); line != "*3\r\n" {
		t.Fatalf("SUBSCRIBE: %q %v", line, err)
	}
	good := c.control.Subscribe(ctxOf(t), "news")
	defer good.Close()
	if _, err := good.Receive(ctxOf(t)); err != nil {
		t.Fatal(err)
	}
	before := c.broker.rss(t)
	message := strings.Repeat("m", 1<<20)
	for i := 0; ; i++ {
		n, err := c.control.Publish(ctxOf(t), "news", message).Result()
		must(t, err)
		if _, err := good.ReceiveMessage(ctxOf(t)); err != nil {
			t.Fatal(err)
		}
		if n == 1 {
			t.Logf("cut off after %d messages of 1 MB, memory grew by %d MB", i, (c.broker.rss(t)-before)>>20)
			break
		}
		if i > 500 {
			t.Fatal("500 messages wait for a subscriber that does not read")
		}
	}
}

func TestAValueOverTheLimit(t *testing.T) {
	t.Parallel()
	c := startAlone(t, "--proto-max-bulk-len", "1048576")
	limit := strings.Repeat("x", 1<<20)
	c.do("SET", "k", limit)
	got, closed := sendPieces(t, c.addr, "*3\r\n$3\r\nSET\r\n$1\r\nk\r\n$1048577\r\n", 100, patience)
	if got != "-ERR Protocol error: invalid bulk length\r\n" || !closed {
		t.Errorf("a byte too many: %q, closed %v", got, closed)
	}
	if n := c.do("STRLEN", "k"); n != int64(1<<20) {
		t.Errorf("STRLEN: %v", n)
	}
}

// TestLargeValues passes through everything that has a size: turns, fragments, windows, snapshots.
func TestLargeValues(t *testing.T) {
	t.Parallel()
	if testing.Short() {
		t.Skip("-short")
	}
	c := startCluster(t, 1)
	want := map[string]string{}
	sizes := []int{1 << 20, 9 << 20, 64 << 20}
	if raceEnabled {
		sizes[2] = 12 << 20 // the race detector makes copying ten times as dear
	}
	for _, size := range sizes {
		k, v := fmt.Sprintf("size:%d", size), strings.Repeat("0123456789abcdef", size/16)
		want[k] = v
		must(t, c.control.Set(ctxOf(t), k, v, 0).Err())
	}
	c.startNode("n2")
	c.awaitInSync(2)
	for k, v := range want {
		got, err := c.control.Get(ctxOf(t), k).Result()
		if err != nil || got != v {
			t.Errorf("GET %s: %d bytes, %v", k, len(got), err)
		}
		must(t, c.control.Append(ctxOf(t), k, "!").Err())
		want[k] += "!"
	}
	// One command of many megabytes and many keys.
	pairs := make([]any, 0, 200_000)
	for i := range 100_000 {
		k := fmt.Sprintf("pair:%d", i)
		want[k] = k
		pairs = append(pairs, k, k)
	}
	must(t, c.control.MSet(ctxOf(t), pairs...).Err())
	c.awaitLevel()
	c.sameOnAll(want, "n1", "n2")
	if s := c.awaitActive(); len(s.NodesEvicted) > 0 {
		t.Logf("evictions: %v (a busy machine)", s.NodesEvicted)
	}
}

var halfGigabyte = flag.Bool("halfgig", false, "TestAVeryLargeValue: 512 MB, the largest that the default settings allow (needs 16 GB of memory)")

// TestAVeryLargeValue passes one through broker and nodes, with a joiner after it.
func TestAVeryLargeValue(t *testing.T) {
	t.Parallel()
	if testing.Short() || raceEnabled {
		t.Skip("-short or -race")
	}
	size, args := 256<<20, []string{"--dead-after", "4s"} // a busy machine may keep a node from its heartbeats for one
	if *halfGigabyte {
		size, args = 512<<20, nil
	}
	c := startCluster(t, 2, args...)
	piece := bytes.Repeat([]byte("0123456789abcdef"), 1<<16)
	conn := dialRaw(t, c.addr)
	_ = conn.SetDeadline(time.Now().Add(4 * patience))
	replies := bufio.NewReaderSize(conn, 1<<20)
	began := time.Now()
	fmt.Fprintf(conn, "*3\r\n$3\r\nSET\r\n$1\r\nk\r\n$%d\r\n", size)
	for range size / len(piece) {
		if _, err := conn.Write(piece); err != nil {
			t.Fatal(err)
		}
	}
	fmt.Fprint(conn, "\r\n")
	if line, err := replies.ReadString('\n'); line != "+OK\r\n" {
		t.Fatalf("SET: %q %v", line, err)
	}
	memory := func(ids ...string) string {
		s := fmt.Sprintf("broker %d (at most %d) MB", c.broker.rss(t)>>20, c.broker.rssMax(t)>>20)
		for _, id := range ids {
			s += fmt.Sprintf(", %s %d (%d)", id, c.nodes[id].rss(t)>>20, c.nodes[id].rssMax(t)>>20)
		}
		return s
	}
	t.Logf("SET of %d MB: %s; %s", size>>20, time.Since(began).Round(time.Millisecond), memory("n1", "n2"))
	began = time.Now()
	fmt.Fprint(conn, "GET k\r\n")
	if line, err := replies.ReadString('\n'); line != fmt.Sprintf("$%d\r\n", size) {
		t.Fatalf("GET: %q %v", line, err)
	}
	got := make([]byte, len(piece))
	for i := range size / len(piece) {
		if _, err := io.ReadFull(replies, got); err != nil || !bytes.Equal(got, piece) {
			t.Fatalf("GET, megabyte %d: %v, equal %v", i, err, bytes.Equal(got, piece))
		}
	}
	t.Logf("GET of %d MB: %s; %s", size>>20, time.Since(began).Round(time.Millisecond), memory("n1", "n2"))
	began = time.Now()
	c.startNode("n3")
	awaitWithin(t, 4*patience, "the joiner is in sync", func() (bool, string) {
		s, err := c.status()
		if err != nil {
			return false, err.Error()
		}
		return nodeOf(s, "n3").InSync, summary(s)
	})
	t.Logf("the joiner took %s", time.Since(began).Round(time.Millisecond))
	cl := c.copyOf("n3")
	for _, args := range [][]string{{"STRLEN", "k"}, {"GETRANGE", "k", "-5", "-1"}} {
		reply, err := cl.Do(args...)
		if err != nil || reply.Int != int64(size) && string(reply.Str) != "bcdef" {
			t.Errorf("%q on n3: %.20q %d %v", args, reply.Str, reply.Int, err)
		}
	}
	if s := c.awaitActive(); len(s.NodesEvicted) != 0 {
		t.Errorf("nodes were put out: %v", s.NodesEvicted)
	}
	t.Log(memory("n1", "n2", "n3"))
}

// TestTheWayThroughZeroMQ is brainer-cli's and broker/client's.
func TestTheWayThroughZeroMQ(t *testing.T) {
	t.Parallel()
	c := startCluster(t, 2)
	cl := connectZMQ(t, c.brokerEndpoint())
	must(t, cl.Set("k", []byte("v")))
	must(t, cl.Set("any", []byte("w"), client.WaitAll(false), client.Expire(time.Hour)))
	if v, found, err := cl.Get("k"); string(v) != "v" || !found || err != nil {
		t.Errorf("Get: %q %v %v", v, found, err)
	}
	if existed, err := cl.Remove("k"); !existed || err != nil {
		t.Errorf("Remove: %v %v", existed, err)
	}
	if ttl := c.control.TTL(ctxOf(t), "any").Val(); ttl < 59*time.Minute {
		t.Errorf("TTL %s", ttl)
	}
	large := bytes.Repeat([]byte("z"), 3<<20)
	must(t, cl.Set("large", large))
	if v, _, err := cl.Get("large"); !bytes.Equal(v, large) || err != nil {
		t.Errorf("a large value: %d bytes, %v", len(v), err)
	}
	copy1 := c.copyOf("n1")
	if err := copy1.Set("k", []byte("x")); err == nil || !strings.Contains(err.Error(), "node's own endpoint") && !strings.HasPrefix(err.Error(), "READONLY") {
		t.Errorf("a write at a node's own endpoint: %v", err)
	}
	reply, err := cl.Do("BRAINER", "NODES")
	if err != nil || reply.Kind != resp.ArrayKind || len(reply.Elems) != 2 {
		t.Errorf("BRAINER NODES: %v %v", reply, err)
	}
}

// TestPipelinesLargerThanEveryBuffer: a client that reads while it writes gets everything, in order.
func TestPipelinesLargerThanEveryBuffer(t *testing.T) {
	t.Parallel()
	c := startCluster(t, 2)
	conn := dialRaw(t, c.addr)
	const n = 100_000
	failed := make(chan error, 1)
	go func() {
		w := bufio.NewWriterSize(conn, 1<<20)
		for i := range n {
			fmt.Fprintf(w, "*3\r\n$6\r\nAPPEND\r\n$1\r\nk\r\n$2\r\n%02d\r\n", i%100)
		}
		failed <- w.Flush()
	}()
	r := bufio.NewReader(conn)
	for i := range n {
		line, err := r.ReadString('\n')
		if want := fmt.Sprintf(":%d\r\n", 2*(i+1)); line != want {
			t.Fatalf("reply %d: %q %v, want %q", i, line, err, want)
		}
	}
	must(t, <-failed)
	if _, err := conn.Write([]byte("QUIT\r\n")); err != nil {
		t.Fatal(err)
	}
	if rest, err := io.ReadAll(r); string(rest) != "+OK\r\n" || err != nil {
		t.Errorf("QUIT: %q %v", rest, err)
	}
}
