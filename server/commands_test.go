package server

import (
	"encoding/json"
	"fmt"
	"io"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"brainer/internal/command"
	"brainer/internal/op"
	"brainer/internal/redistest"
	"brainer/resp"
)

// talkScript runs lines "COMMAND => REPLY" on one connection; REPLY is quoted as %q does.
func checkReplies(t *testing.T, c *redistest.Client, lines string) {
	t.Helper()
	for _, line := range strings.Split(strings.TrimSpace(lines), "\n") {
		text, want, _ := strings.Cut(line, " => ")
		got, err := c.Send(scriptCommand(text), 1)
		if err != nil {
			t.Fatalf("%s: %v", line, err)
		}
		if q := fmt.Sprintf("%q", got); q != `"`+strings.TrimSpace(want)+`"` {
			t.Errorf("%s\n got %s", line, q)
		}
	}
}

func TestBrainerHotkeys(t *testing.T) {
	c := startServer(t, nil).dial(t)
	checkReplies(t, c, `
BRAINER HOTKEYS COUNT 1 => *1\r\n*10\r\n$2\r\ndb\r\n:0\r\n$3\r\nkey\r\n$1\r\nk\r\n$5\r\nreads\r\n:5\r\n$6\r\nwrites\r\n:1\r\n$6\r\nspread\r\n:1\r\n
BRAINER HOTKEYS COUNT 0 => -ERR COUNT must be greater than 0\r\n
BRAINER HOTKEYS 3 => -ERR syntax error\r\n
BRAINER HOTKEYS LIMIT 3 => -ERR syntax error\r\n
`)
	if all, err := c.Send(scriptCommand("BRAINER HOTKEYS"), 1); err != nil || !strings.HasPrefix(string(all), "*2\r\n") {
		t.Errorf("%q, %v", all, err)
	}
}

// The id travels with what is ordered, whatever else stands in BRAINER WITH, and with nothing else.
func TestBrainerWithID(t *testing.T) {
	s := startServer(t, nil)
	var mu sync.Mutex
	var ids []string
	s.backend.each = func(o *op.Op) {
		mu.Lock()
		defer mu.Unlock()
		if o.Kind == op.Write || o.Kind == op.Txn || len(o.Client) > 0 {
			ids = append(ids, fmt.Sprintf("%s %d %d", o.Client, o.Number, o.Ack))
		}
	}
	c := s.dial(t)
	checkReplies(t, c, `
BRAINER WITH ID me 7 INCR n => :1\r\n
BRAINER WITH ID me 18446744073709551615 ACK 2 INCR n => :2\r\n
BRAINER WITH ACK primary ID other 0 INCR n => :3\r\n
INCR n => :4\r\n
MULTI => +OK\r\n
INCR n => +QUEUED\r\n
TIME => +QUEUED\r\n
BRAINER WITH ID me 8 INCR n => -ERR Command not allowed inside a transaction\r\n
DISCARD => +OK\r\n
MULTI => +OK\r\n
INCR n => +QUEUED\r\n
BRAINER WITH ID me 9 EXEC => *1\r\n:5\r\n
INCR n => :6\r\n
`)
	all, err := c.Send(append(scriptCommand("BRAINER WITH ID a 1 INCR n"), scriptCommand("BRAINER WITH ID bb 2 INCR n")...), 2)
	if err != nil || string(all) != ":7\r\n:8\r\n" {
		t.Errorf("%q %v", all, err)
	}
	mu.Lock()
	defer mu.Unlock()
	want := "me 7 0|me 18446744073709551615 2|other 0 -2| 0 0|me 9 0| 0 0|a 1 0|bb 2 0"
	if got := strings.Join(ids, "|"); got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
}

// What an id cannot be given to is refused before it is ordered.
func TestBrainerWithIDIsForWrites(t *testing.T) {
	s := startServer(t, nil)
	ordered := 0
	s.backend.each = func(o *op.Op) { ordered++ }
	c := s.dial(t)
	const notData = "-ERR BRAINER WITH ID is for commands that change data, and EXEC: others may simply be sent again\\r\\n"
	checkReplies(t, c, strings.NewReplacer("NOTDATA", notData).Replace(`
BRAINER WITH ID me 1 GET k => NOTDATA
BRAINER WITH ID me 1 PING => NOTDATA
BRAINER WITH ID me 1 PUBLISH c m => NOTDATA
BRAINER WITH ID me 1 SET k => -ERR wrong number of arguments for 'set' command\r\n
BRAINER WITH ID me 1 NOSUCH => -ERR unknown command 'NOSUCH', with args beginning with: \r\n
BRAINER WITH ID me 1 EXEC => -ERR EXEC without MULTI\r\n
MULTI => +OK\r\n
SET k v => +QUEUED\r\n
PUBLISH c m => +QUEUED\r\n
BRAINER WITH ID me 1 EXEC => -EXECABORT Transaction discarded because of: BRAINER WITH ID cannot be given to a transaction with PUBLISH or SUBSCRIBE: who receives is not data\r\n
MULTI => +OK\r\n
TIME => +QUEUED\r\n
BRAINER WITH ID me 1 EXEC => -EXECABORT Transaction discarded because of: BRAINER WITH ID is for commands that change data, and EXEC: others may simply be sent again\r\n
EXEC => -ERR EXEC without MULTI\r\n
`))
	long := strings.Repeat("x", 65)
	checkReplies(t, c, "BRAINER WITH ID "+long+" 1 INCR n => -ERR the ID of BRAINER WITH is a client name of at most 64 bytes and a number\\r\\n")
	checkReplies(t, c, `BRAINER WITH ID `+long[1:]+` 1 INCR n => :1\r\n`)
	if ordered != 1 {
		t.Errorf("%d were ordered", ordered)
	}
}

func TestBrainerAckAndWith(t *testing.T) {
	s := startServer(t, nil)
	var mu sync.Mutex
	var acks []op.Ack
	var bodies []string
	s.backend.each = func(o *op.Op) {
		mu.Lock()
		defer mu.Unlock()
		acks = append(acks, o.Ack)
		bodies = append(bodies, string(o.Body))
	}
	c := s.dial(t)
	checkReplies(t, c, `
BRAINER ACK => $3\r\nall\r\n
SET k v => +OK\r\n
BRAINER ACK primary => +OK\r\n
BRAINER ACK => $7\r\nprimary\r\n
SET k v => +OK\r\n
BRAINER WITH ACK 2 SET k v => +OK\r\n
brainer with ack all set k v => +OK\r\n
BRAINER WITH SET k v => +OK\r\n
BRAINER WITH ACK 2 PING => +PONG\r\n
BRAINER WITH ACK 2 NOSUCH => -ERR unknown command 'NOSUCH', with args beginning with: \r\n
BRAINER WITH ACK 2 GET => -ERR wrong number of arguments for 'get' command\r\n
MULTI => +OK\r\n
BRAINER WITH ACK 2 SET k v => -ERR Command not allowed inside a transaction\r\n
EXEC => -EXECABORT Transaction discarded because of previous errors.\r\n
MULTI => +OK\r\n
BRAINER ACK all => -ERR Command not allowed inside a transaction\r\n
DISCARD => +OK\r\n
MULTI => +OK\r\n
SET k v => +QUEUED\r\n
BRAINER WITH ACK 3 EXEC => *1\r\n+OK\r\n
BRAINER ACK 0 => -ERR the acknowledgement rule is all, primary or a number of nodes from 1 to 32767\r\n
BRAINER ACK 40000 => -ERR the acknowledgement rule is all, primary or a number of nodes from 1 to 32767\r\n
BRAINER ACK x => -ERR the acknowledgement rule is all, primary or a number of nodes from 1 to 32767\r\n
BRAINER WITH ACK => -ERR the acknowledgement rule is all, primary or a number of nodes from 1 to 32767\r\n
BRAINER WITH ACK all => -ERR BRAINER WITH needs a command\r\n
BRAINER WITH ACK all ACK all PING => -ERR BRAINER WITH takes ACK and ID once each\r\n
BRAINER WITH ACK all BRAINER WITH PING => -ERR BRAINER WITH cannot be nested\r\n
BRAINER WITH ACK all ID me 7 ID me 8 PING => -ERR BRAINER WITH takes ACK and ID once each\r\n
BRAINER WITH ID me => -ERR the ID of BRAINER WITH is a client name of at most 64 bytes and a number\r\n
BRAINER WITH ID me 7 => -ERR BRAINER WITH needs a command\r\n
BRAINER WITH ID me x SET k v => -ERR the ID of BRAINER WITH is a client name of at most 64 bytes and a number\r\n
BRAINER WITH ID me -1 SET k v => -ERR the ID of BRAINER WITH is a client name of at most 64 bytes and a number\r\n
BRAINER NOSUCH => -ERR unknown subcommand 'NOSUCH'. Try BRAINER HELP.\r\n
RESET => +RESET\r\n
SET k v => +OK\r\n
`)
	mu.Lock()
	defer mu.Unlock()
	want := []op.Ack{op.AckDefault, op.AckPrimary, 2, op.AckAll, op.AckPrimary, 3, op.AckDefault}
	if fmt.Sprint(acks) != fmt.Sprint(want) {
		t.Errorf("acks %v, want %v", acks, want)
	}
	for _, body := range bodies {
		if strings.Contains(strings.ToUpper(body), "BRAINER") {
			t.Errorf("an entry %q", body)
		}
	}
}

func TestBrainerStatusAndNodes(t *testing.T) {
	s := startServer(t, nil)
	s.backend.nodes.Store(2)
	c := s.dial(t)
	c.Do("SET", "k", "v")
	text := string(c.Do("BRAINER", "STATUS"))
	for _, line := range []string{"brainer_state:active\r\n", "brainer_index:1\r\n", "brainer_ack:all\r\n", "node1:id=n2,endpoint=tcp://127.0.0.1:7001,state=live"} {
		if !strings.Contains(text, line) {
			t.Errorf("BRAINER STATUS lacks %q: %q", line, text)
		}
	}
	reply, _, err := resp.ParseReply(c.Do("BRAINER", "STATUS", "JSON"))
	if err != nil {
		t.Fatal(err)
	}
	var st op.Status
	if err := json.Unmarshal(reply.Str, &st); err != nil || st.Index != 1 || len(st.Nodes) != 2 {
		t.Errorf("%+v, %v", st, err)
	}
	nodes, _, err := resp.ParseReply(c.Do("BRAINER", "NODES"))
	if err != nil || len(nodes.Elems) != 2 || string(nodes.Elems[1].Elems[1].Str) != "n2" {
		t.Errorf("%+v, %v", nodes, err)
	}
	checkReplies(t, c, `
ROLE => *3\r\n$6\r\nmaster\r\n:1\r\n*1\r\n*3\r\n$9\r\n127.0.0.1\r\n$4\r\n7001\r\n$1\r\n1\r\n
WAIT 1 1000 => :1\r\n
WAIT 0 0 => :1\r\n
BRAINER STATUS BAD => -ERR syntax error\r\n
`)
	replication := string(c.Do("INFO", "replication"))
	if !strings.Contains(replication, "connected_slaves:1\r\nslave0:ip=127.0.0.1,port=7001,state=online,offset=1,lag=0\r\n") {
		t.Errorf("%q", replication)
	}
}

func TestWaitEndsAtItsTimeoutOrWithItsClient(t *testing.T) {
	s := startServer(t, nil)
	var barriers, index int
	s.backend.each = func(o *op.Op) {
		if o.Kind == op.Barrier {
			barriers++
			index = int(o.Index)
		}
	}
	c := s.dial(t)
	c.Do("SET", "k", "v")
	if got := string(c.Do("WAIT", "5", "20")); got != ":0\r\n" {
		t.Error(got)
	}
	if barriers == 0 || index != 1 {
		t.Errorf("%d barriers, the last for index %d", barriers, index)
	}
	// For ever, but the client goes. The fake answers a barrier at once, so that it asks on and on.
	conn := s.raw(t)
	if _, err := io.WriteString(conn, "WAIT 5 0\r\n"); err != nil {
		t.Fatal(err)
	}
	await(t, "two", func() bool { return s.Connected() == 2 })
	_ = conn.Close()
	await(t, "noticed", func() bool { return s.Connected() == 1 })
}

func TestInfoHasRedisFields(t *testing.T) {
	real := redistest.Dial(t, redistest.Start(t))
	s := startServer(t, nil)
	ours := s.dial(t)
	for _, c := range []*redistest.Client{real, ours} {
		c.Do("SET", "k", "v")
		c.Do("GET")
	}
	fields := func(c *redistest.Client, args ...string) (names map[string]bool, order []string) {
		reply, _, err := resp.ParseReply(c.Do(args...))
		if err != nil {
			t.Fatal(err)
		}
		names = map[string]bool{}
		for line := range strings.Lines(string(reply.Str)) {
			line = strings.TrimSpace(line)
			if strings.HasPrefix(line, "#") {
				order = append(order, line)
			} else if name, _, ok := strings.Cut(line, ":"); ok {
				names[name] = true
			}
		}
		return names, order
	}
	theirs, _ := fields(real, "INFO", "everything")
	mine, _ := fields(ours, "INFO", "everything")
	for name := range mine {
		if !theirs[name] && !regexp.MustCompile(`^(brainer_|go_version$|node\d|cmdstat_|errorstat_)`).MatchString(name) {
			t.Errorf("Redis has no field %q", name)
		}
	}
	for _, name := range []string{"redis_version", "connected_clients", "used_memory", "total_commands_processed", "role",
		"master_repl_offset", "used_cpu_sys", "db0", "cmdstat_set", "errorstat_ERR", "brainer_state", "maxmemory_policy"} {
		if !mine[name] {
			t.Errorf("INFO everything lacks %q", name)
		}
	}
	for _, args := range [][]string{{"INFO"}, {"INFO", "default"}, {"INFO", "clients", "keyspace"}, {"INFO", "nosuch"}, {"INFO", "CPU"}} {
		_, theirOrder := fields(real, args...)
		_, myOrder := fields(ours, args...)
		got := strings.TrimSuffix(strings.Join(myOrder, " "), " # Brainer")
		if want := strings.Join(theirOrder, " "); got != want {
			t.Errorf("%v: sections %q, redis %q", args, got, want)
		}
	}
}

func TestClientListAndKill(t *testing.T) {
	s := startServer(t, nil)
	a, b, sub := s.dial(t), s.dial(t), s.dial(t)
	a.Do("CLIENT", "SETNAME", "alice")
	a.Do("CLIENT", "SETINFO", "LIB-NAME", "lib")
	b.Do("SELECT", "3")
	b.Do("MULTI")
	b.Do("SET", "k", "v")
	sub.Do("SUBSCRIBE", "x")
	list := string(a.Do("CLIENT", "LIST"))
	for _, want := range []string{
		`id=1 addr=127\.0\.0\.1:\d+ laddr=127\.0\.0\.1:\d+ fd=\d+ name=alice age=\d+ idle=0 flags=N db=0 .* cmd=client\|list user=default redir=-1 resp=2 lib-name=lib lib-ver=`,
		`id=2 .* flags=x db=3 sub=0 psub=0 ssub=0 multi=1 `,
		`id=3 .* flags=P db=0 sub=1 .* cmd=subscribe `,
	} {
		if !regexp.MustCompile(want).MatchString(list) {
			t.Errorf("CLIENT LIST lacks %s: %q", want, list)
		}
	}
	if got := string(a.Do("CLIENT", "LIST", "TYPE", "pubsub")); !strings.Contains(got, "id=3 ") || strings.Contains(got, "id=1 ") {
		t.Errorf("%q", got)
	}
	if got := string(a.Do("CLIENT", "LIST", "ID", "1", "2")); !strings.Contains(got, "id=2 ") || strings.Contains(got, "id=3 ") {
		t.Errorf("%q", got)
	}
	if got := string(a.Do("CLIENT", "KILL", "TYPE", "pubsub")); got != ":1\r\n" {
		t.Error(got)
	}
	await(t, "the subscriber is gone", func() bool { return s.Connected() == 2 })
	if got := string(a.Do("CLIENT", "KILL", "ID", "1")); got != ":0\r\n" {
		t.Error("killed myself without SKIPME no:", got)
	}
	if got := string(a.Do("CLIENT", "KILL", "ID", "1", "SKIPME", "no")); got != ":1\r\n" {
		t.Error(got)
	}
	await(t, "I am gone too", func() bool { return s.Connected() == 1 })
}

// What the Redis fields of CLIENT LIST are called, and in which order.
func TestClientInfoHasRedisFields(t *testing.T) {
	names := func(c *redistest.Client) string {
		return regexp.MustCompile(`=\S*`).ReplaceAllString(strings.TrimSpace(strings.SplitN(string(c.Do("CLIENT", "INFO")), "\r\n", 2)[1]), "")
	}
	theirs, ours := names(redistest.Dial(t, redistest.Start(t))), names(startServer(t, nil).dial(t))
	if ours != theirs+" lib-name lib-ver" {
		t.Errorf("%s\nredis %s", ours, theirs)
	}
}

func TestATransactionIsOneOperation(t *testing.T) {
	s := startServer(t, nil)
	var ops []op.Op
	var mu sync.Mutex
	s.backend.each = func(o *op.Op) {
		mu.Lock()
		defer mu.Unlock()
		copied := *o
		copied.Body = []byte(string(o.Body))
		copied.Keys = append([]uint64(nil), o.Keys...)
		ops = append(ops, copied)
	}
	c := s.dial(t)
	in := "MULTI\r\nSET a 1\r\nPING\r\nSELECT 2\r\nGET b\r\nDBSIZE\r\nPUBLISH ch m\r\nCLIENT GETNAME\r\nEXEC\r\nGET c\r\n"
	got, err := c.Send([]byte(in), 10)
	want := "+OK\r\n" + strings.Repeat("+QUEUED\r\n", 7) + "*7\r\n+OK\r\n+PONG\r\n+OK\r\n$-1\r\n:0\r\n:0\r\n$-1\r\n" + "$-1\r\n"
	if err != nil || string(got) != want {
		t.Fatalf("%q, %v", got, err)
	}
	mu.Lock()
	defer mu.Unlock()
	if len(ops) != 2 {
		t.Fatalf("%d operations", len(ops))
	}
	txn := ops[0]
	keys := []uint64{command.KeyHash(0, []byte("a")), command.KeyHash(2, []byte("b")), command.KeyHash(2, []byte("ch"))}
	if txn.Kind != op.Txn || txn.DB != 0 || !txn.Keyless || txn.Token != 0 || fmt.Sprint(txn.Keys) != fmt.Sprint(keys) {
		t.Errorf("%+v", txn)
	}
	var body []byte
	for _, args := range [][]string{{"SET", "a", "1"}, {"_reply", "+PONG\r\n"}, {"SELECT", "2"}, {"GET", "b"}, {"DBSIZE"}, {"PUBLISH", "ch", "m", "0"}, {"_reply", "$-1\r\n"}} {
		raw := make([][]byte, len(args))
		for i := range args {
			raw[i] = []byte(args[i])
		}
		body = resp.AppendCommand(body, raw...)
	}
	if string(txn.Body) != string(body) {
		t.Errorf("body %q\nwant %q", txn.Body, body)
	}
	if ops[1].DB != 2 {
		t.Errorf("after EXEC: database %d", ops[1].DB)
	}
}

func TestWhatATransactionWouldHaveChangedStaysWhenItIsRefused(t *testing.T) {
	s := startServer(t, nil)
	c, sub := s.dial(t), s.dial(t)
	sub.Do("SUBSCRIBE", "ch")
	refusal := "NOREPLICAS Not enough good replicas to write."
	checkReplies(t, c, `
WATCH k => +OK\r\n
MULTI => +OK\r\n
SELECT 2 => +QUEUED\r\n
CLIENT SETNAME me => +QUEUED\r\n
PUBLISH ch never => +QUEUED\r\n
`)
	s.backend.refuse.Store(&refusal)
	checkReplies(t, c, `
EXEC => -NOREPLICAS Not enough good replicas to write.\r\n
PUBLISH ch never => -NOREPLICAS Not enough good replicas to write.\r\n
`)
	s.backend.refuse.Store(nil)
	checkReplies(t, c, `
CLIENT GETNAME => $-1\r\n
SET k in0 => +OK\r\n
SELECT 0 => +OK\r\n
GET k => $3\r\nin0\r\n
PUBLISH ch now => :1\r\n
`)
	if got, err := sub.Send(nil, 1); err != nil || string(got) != "*3\r\n$7\r\nmessage\r\n$2\r\nch\r\n$3\r\nnow\r\n" {
		t.Errorf("%q, %v", got, err)
	}
	// The keys that the refused EXEC watched do not fail the next one, which watches another.
	checkReplies(t, c, `
WATCH other => +OK\r\n
MULTI => +OK\r\n
SET k v => +QUEUED\r\n
EXEC => *1\r\n+OK\r\n
`)
}

func TestAConnectionsWatchesEndWithIt(t *testing.T) {
	s := startServer(t, nil)
	c := s.dial(t)
	c.Do("WATCH", "k")
	c.Close()
	await(t, "gone", func() bool { return s.Connected() == 0 })
	tracked := make(chan int, 1)
	s.backend.batch = func(int) {
		select {
		case tracked <- len(s.backend.watches):
		default:
		}
	}
	s.dial(t).Do("GET", "k")
	if n := <-tracked; n != 0 {
		t.Errorf("%d connections are still tracked", n)
	}
}

type observed struct {
	mu    sync.Mutex
	calls map[string][2]int
}

func (o *observed) Observe(c *command.Command, answered, failed int, seconds float64) {
	o.mu.Lock()
	defer o.mu.Unlock()
	name := "unknown"
	if c != nil {
		name = c.Name
	}
	n := o.calls[name]
	o.calls[name] = [2]int{n[0] + answered, n[1] + failed}
}

func TestEveryCommandIsObservedOnce(t *testing.T) {
	seen := &observed{calls: map[string][2]int{}}
	s := startServer(t, func(o *Options) { o.Observer = seen })
	c := s.dial(t)
	if _, err := c.Send([]byte("SET k v\r\nSET k w\r\nGET k\r\nINCR k\r\nGET\r\nCLIENT ID\r\nNOSUCH\r\nSET k x\r\n"), 8); err != nil {
		t.Fatal(err)
	}
	seen.mu.Lock()
	got := fmt.Sprint(seen.calls)
	seen.mu.Unlock()
	if want := fmt.Sprint(map[string][2]int{"set": {3, 0}, "get": {2, 1}, "incr": {1, 1}, "client|id": {1, 0}, "unknown": {1, 1}}); got != want {
		t.Errorf("%s, want %s", got, want)
	}
	stats := string(c.Do("INFO", "commandstats", "errorstats"))
	for _, want := range []string{`cmdstat_set:calls=3,usec=\d+,usec_per_call=[\d.]+,rejected_calls=0,failed_calls=0`,
		`cmdstat_get:calls=1,.*,rejected_calls=1,failed_calls=0`, `cmdstat_incr:calls=1,.*,failed_calls=1`, `errorstat_ERR:count=3`} {
		if !regexp.MustCompile(want).MatchString(stats) {
			t.Errorf("no %s in %q", want, stats)
		}
	}
	c.Do("CONFIG", "RESETSTAT")
	if stats := string(c.Do("INFO", "commandstats")); strings.Contains(stats, "cmdstat_set") {
		t.Errorf("%q", stats)
	}
}

func TestMessagesComeAsPushesInRESP3AmongReplies(t *testing.T) {
	s := startServer(t, nil)
	c := s.dial(t)
	c.Do("HELLO", "3")
	checkReplies(t, c, `
SUBSCRIBE x => >3\r\n$9\r\nsubscribe\r\n$1\r\nx\r\n:1\r\n
SET k v => +OK\r\n
`)
	got, err := c.Send([]byte("PUBLISH x m\r\nGET k\r\n"), 3)
	if err != nil || string(got) != ">3\r\n$7\r\nmessage\r\n$1\r\nx\r\n$1\r\nm\r\n:1\r\n$1\r\nv\r\n" {
		t.Errorf("%q, %v", got, err)
	}
}

func TestHelpIsInRedisForm(t *testing.T) {
	c := startServer(t, nil).dial(t)
	for _, name := range []string{"CLIENT", "COMMAND", "CONFIG", "PUBSUB", "BRAINER"} {
		reply, _, err := resp.ParseReply(c.Do(name, "HELP"))
		if err != nil || len(reply.Elems) < 4 || !strings.HasPrefix(string(reply.Elems[0].Str), name+" <subcommand> ") {
			t.Errorf("%s HELP: %+v, %v", name, reply, err)
		}
	}
}

func TestTheTimeIsNow(t *testing.T) {
	c := startServer(t, nil).dial(t)
	reply, _, err := resp.ParseReply(c.Do("TIME"))
	if err != nil || len(reply.Elems) != 2 || !strings.HasPrefix(fmt.Sprint(time.Now().Unix()), string(reply.Elems[0].Str[:8])) {
		t.Errorf("%+v, %v", reply, err)
	}
}

// As a redis-server that loads answers: whoever is told PONG may ask for more.
func TestWhileNobodyServesPINGIsRefused(t *testing.T) {
	s := startServer(t, nil)
	c := s.dial(t)
	for _, refusal := range []string{"LOADING Redis is loading the dataset in memory", "CLUSTERDOWN The cluster is down"} {
		s.backend.refuse.Store(&refusal)
		checkReplies(t, c, strings.ReplaceAll(`
PING => -REFUSAL\r\n
PING hello => -REFUSAL\r\n
WAIT 0 0 => -REFUSAL\r\n
GET k => -REFUSAL\r\n
ECHO hello => $5\r\nhello\r\n
SELECT 0 => +OK\r\n
CONFIG NOSUCH => -ERR unknown subcommand 'NOSUCH'. Try CONFIG HELP.\r\n
MULTI => +OK\r\n
PING => -REFUSAL\r\n
GET k => -REFUSAL\r\n
EXEC => -EXECABORT Transaction discarded because of previous errors.\r\n
`, "REFUSAL", refusal))
		s.backend.refuse.Store(nil)
		checkReplies(t, c, "\nPING => +PONG\\r\\n\n")
	}
}
