package server

import (
	"fmt"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"brainer/internal/redistest"
	"brainer/resp"
)

// A script is lines of "CONNECTION[*REPLIES]> COMMAND", run on a redis-server and on ours; every
// reply must be the same bytes. Arguments are separated by spaces; "" is an empty one. A line
// without a command reads what arrives by itself.
var scripts = map[string]string{
	"connection": `
a> PING
a> ping hello
a> PING a b
a> ECHO x
a> ECHO
a> ECHO x y
a> NOSUCH
a> NOSUCH a b c
a> GET
a> SELECT 1
a> SELECT 99
a> SELECT -1
a> SELECT x
a> SELECT 99999999999999999999
a> SET k v
a> SELECT 0
a> GET k
a> AUTH x
a> AUTH default x
a> AUTH nobody x
a> AUTH a b c
a> HELLO 4
a> HELLO x
a> HELLO 2 BAD
a> HELLO 2 AUTH x
a> HELLO 2 SETNAME
a> HELLO 2 AUTH nobody x
a> HELLO 3 SETNAME bad\x20name
a> CLIENT GETNAME
a> CLIENT SETNAME me
a> CLIENT GETNAME
a> CLIENT SETNAME bad\x20name
a> CLIENT SETNAME ""
a> CLIENT GETNAME
a> CLIENT NO-EVICT ON
a> CLIENT NO-EVICT x
a> CLIENT
a> CLIENT NOSUCH
a> CLIENT LIST TYPE x
a> CLIENT LIST BAD
a> CLIENT LIST ID x
a> CLIENT LIST ID 999999
a> CLIENT LIST TYPE replica
a> CLIENT KILL 1.2.3.4:5
a> CLIENT KILL ID x
a> CLIENT KILL ID 0
a> CLIENT KILL ID 99999
a> CLIENT KILL TYPE x
a> CLIENT KILL USER nobody
a> CLIENT KILL USER default ADDR 1.2.3.4:5
a> CLIENT KILL ADDR x SKIPME
a> CLIENT KILL ADDR x SKIPME maybe
a> CLIENT KILL BAD x
a> CLIENT REPLY x
a> CLIENT REPLY ON
a> CLIENT REPLY
a*0> CLIENT REPLY OFF
a*0> PING
a> CLIENT REPLY ON
a*0> CLIENT REPLY SKIP
a*0> PING
a> PING
a> RESET
a> CLIENT GETNAME
a> TIME x
a> ROLE x
a> WAIT x 0
a> WAIT 0 x
a> WAIT 0 -1
a> WAIT 0 10
a> WAIT -1 0
a> DEBUG NOSUCH
a> QUIT
`,
	"transaction": `
a> EXEC
a> DISCARD
a> MULTI
a> MULTI
a> SET k 1
a> INCR k
a> PING
a> PING x
a> ECHO hi
a> EXEC
a> MULTI
a> WATCH k
a> EXEC
a> MULTI
a> GET
a> EXEC
a> MULTI
a> NOSUCH x
a> PING
a> EXEC
a> MULTI
a> SET k v
a> DISCARD
a> GET k
a> MULTI
a> EXEC
a> MULTI
a> SELECT 3
a> SET other x
a> GET other
a> SELECT 99
a> EXEC
a> GET other
a> SELECT 0
a> GET other
a> SELECT 3
a> DEL other
a> SELECT 0
a> WATCH k
b> SET k changed
a> MULTI
a> SELECT 5
a> SET k mine
a> EXEC
a> GET k
a> WATCH k
a> UNWATCH
b> SET k changed
a> MULTI
a> SET k mine
a> EXEC
a> WATCH k
b> SET k changed
a> MULTI
a> DISCARD
a> MULTI
a> SET k mine
a> EXEC
a> WATCH k nokey
a> MULTI
a> INCR nokey
a> UNWATCH
a> EXEC
a> WATCH k
b> SET k changed
a> MULTI
a> NOSUCH
a> EXEC
a> MULTI
a> SET k again
a> EXEC
a> MULTI
a> WAIT 0 0
a> TIME x
a> EXEC
a> WATCH
a> MULTI x
a> EXEC x
a> MULTI
a> EXEC x
a> PING
a> SELECT 99999999999
a> SELECT -99999999999
a> SELECT 99999999999999999999
a> MULTI
a> HSET k f x
a> EXEC
a> MULTI
a> QUIT
`,
	"transaction of the connection's own": `
a> MULTI
a> CLIENT SETNAME me
a> CLIENT GETNAME
a> CLIENT NOSUCH
a> EXEC
a> MULTI
a> CLIENT SETNAME me
a> CLIENT GETNAME
a> EXEC
a> CLIENT GETNAME
a> WATCH k
b> SET k v
a> MULTI
a> SET k mine
a> CLIENT GETNAME
a> EXEC
a> MULTI
a> AUTH x
a> GET k
a> PUBLISH nobody x
a> RESET
a> EXEC
`,
	"publish and subscribe": `
a*2> SUBSCRIBE x y
a> PING
a> PING hi
a> GET k
a> SUBSCRIBE
b> PUBLISH x hello
a>
b> PUBLISH nobody hello
a*2> PSUBSCRIBE x* [
b> PUBLISH x hello
a*2>
b> PUBLISH xyz hello
a>
c> SUBSCRIBE x
b> PUBLISH x hello
a*2>
c>
b> PUBSUB NUMPAT
b> PUBSUB NUMSUB x y z
b> PUBSUB NUMSUB
b> PUBSUB CHANNELS y*
b> PUBSUB CHANNELS z
b> PUBSUB NOSUCH
b> PUBSUB
b> PUBSUB CHANNELS a b
b> MULTI
b> PUBLISH x one
b> SET k v
b> PUBLISH x two
b> EXEC
a*4>
c*2>
b> MULTI
b> PUBLISH x three
b> EXEC
a*2>
c>
b> MULTI
b> PUBLISH x four
b> DISCARD
b> WATCH k
d> SET k changed
b> MULTI
b> PUBLISH x never
b> EXEC
b> PUBLISH x five
a*2>
c>
a> UNSUBSCRIBE y
a> UNSUBSCRIBE y
a> UNSUBSCRIBE nothing
a> UNSUBSCRIBE
a> UNSUBSCRIBE
a> PUNSUBSCRIBE x*
b> PUBLISH x gone
c>
a> PUNSUBSCRIBE [
a> PUNSUBSCRIBE
a> GET nothing
c> RESET
c> GET nothing
b> PUBLISH x gone
`,
	"subscribe inside MULTI": `
a> MULTI
a> SET k 1
a> SUBSCRIBE x y
a> GET k
a> PING
a> SELECT 1
a> GET k
a*2> EXEC
a> PING
b> PUBLISH x hello
a>
b> PUBSUB NUMSUB x y
a> GET k
a> UNSUBSCRIBE x
a> UNSUBSCRIBE
a> GET k
a> MULTI
a> SUBSCRIBE x
a> UNSUBSCRIBE x
a> PSUBSCRIBE p*
a> PUNSUBSCRIBE
a> UNSUBSCRIBE
a> EXEC
a> PING
a> MULTI
a> SUBSCRIBE
a> EXEC
a> MULTI
a> SUBSCRIBE x
a> DISCARD
b> PUBLISH x hello
a> WATCH w
b> SET w 1
b> SELECT 1
b> SET w 1
a> MULTI
a> SUBSCRIBE x
a> GET k
a> EXEC
b> PUBLISH x hello
a> GET w
a> WATCH w
a> MULTI
a> PSUBSCRIBE p*
a> EXEC
b> PUBLISH pq hello
a>
c> HELLO 3
c> MULTI
c> SUBSCRIBE x
c> SET k 2
c> EXEC
b> PUBLISH x hello
c>
c> MULTI
c> UNSUBSCRIBE
c> GET k
c> EXEC
b> PUBLISH x hello
c> GET k
`,
	"out of memory": `
a> SET k 1
a> MULTI
a> SET k 2
b> CONFIG SET maxmemory 1
a> EXEC
a> MULTI
a> GET k
a> EXEC
a> MULTI
a> DISCARD
a> SET k 3
a> INCR k
a> HSET h f v
a> APPEND k x
a> COPY k j
a> RENAME k j
a> RENAME j k
a> EXPIRE k 100
a> PERSIST k
a> GETDEL nosuch
a> GET k
a> OBJECT FREQ k
a> DEL k
b> CONFIG SET maxmemory 0
a> SET k 4
b> CONFIG SET maxmemory 1
a> FLUSHALL
a> PUBLISH c m
a> PING
b> CONFIG SET maxmemory 0
`,
	"config and command": `
a> CONFIG
a> CONFIG NOSUCH
a> CONFIG GET
a> CONFIG GET nosuch
a> CONFIG GET maxclients
a> CONFIG GET MAXCLIENTS
a> CONFIG GET databases
a> CONFIG GET save
a> CONFIG GET appendonly
a> CONFIG GET maxmemory
a> CONFIG GET maxmemory-policy
a> CONFIG GET client-output-buffer-limit
a> CONFIG GET proto-max-bulk-len
a> CONFIG GET timeout
a> CONFIG GET tcp-keepalive
a> CONFIG GET requirepass
a> CONFIG SET nosuch x
a> CONFIG SET timeout
a> CONFIG SET timeout x
a> CONFIG SET timeout -1
a> CONFIG SET timeout 10 timeout 20
a> CONFIG SET timeout 10 nosuch 1
a> CONFIG SET timeout 10 maxclients x
a> CONFIG GET timeout
a> CONFIG SET timeout 10
a> CONFIG GET timeout
a> CONFIG SET databases 3
a> CONFIG SET client-output-buffer-limit pubsub
a> CONFIG SET client-output-buffer-limit "pubsub 1mb 0 0"
a> CONFIG GET client-output-buffer-limit
a> CONFIG SET client-output-buffer-limit "nosuch 1mb 0 0"
a> CONFIG SET client-output-buffer-limit "pubsub x 0 0"
a> CONFIG SET proto-max-bulk-len 2mb
a> CONFIG GET proto-max-bulk-len
a> CONFIG SET proto-max-bulk-len 1
a> CONFIG SET proto-max-bulk-len x
a> CONFIG SET maxmemory x
a> CONFIG SET maxmemory -1
a> CONFIG SET maxmemory 100%
a> CONFIG SET maxmemory 1gb
a> CONFIG GET maxmemory
a> CONFIG SET maxmemory-policy nosuch
a> CONFIG SET maxmemory-policy ALLKEYS-LFU
a> CONFIG GET maxmemory-policy
a> CONFIG SET maxmemory-samples 0
a> CONFIG SET maxmemory-samples x
a> CONFIG SET maxmemory-samples 10
a> CONFIG SET lfu-log-factor -1
a> CONFIG SET lfu-log-factor 5
a> CONFIG SET lfu-decay-time -1
a> CONFIG SET lfu-decay-time 3
a> CONFIG GET lfu-decay-time
a> CONFIG GET maxmemory-samples
a> CONFIG SET maxmemory 0 maxmemory-policy noeviction maxmemory-samples 5 lfu-log-factor 10 lfu-decay-time 1
a> CONFIG RESETSTAT
a> CONFIG RESETSTAT x
a> COMMAND NOSUCH
a> COMMAND INFO get nosuch
a> COMMAND INFO client|id nosuch|x
a> COMMAND DOCS nosuch
a> COMMAND GETKEYS GET k
a> COMMAND GETKEYS MSET a 1 b 2
a> COMMAND GETKEYS PING x
a> COMMAND GETKEYS NOSUCH x
a> COMMAND GETKEYS GET
a> COMMAND GETKEYS GET a b c
a> COMMAND GETKEYS PING
a> COMMAND GETKEYSANDFLAGS GET k
a> COMMAND GETKEYSANDFLAGS MSET a 1 b 2
a> COMMAND LIST FILTERBY BAD
a> COMMAND LIST FILTERBY BAD x
a> COMMAND LIST FILTERBY MODULE x
a> COMMAND LIST FILTERBY PATTERN pin*
a> COMMAND COUNT x
`,
	"authentication": `
a> CONFIG SET requirepass secret
a> GET k
b> GET k
b> PING
b> NOSUCH
b> GET
b> AUTH wrong
b> AUTH default wrong
b> AUTH nobody secret
b> HELLO 3
b> HELLO 2 AUTH default wrong
b> MULTI
b> RESET
b> AUTH secret
b> GET k
b> RESET
b> GET k
b> AUTH default secret
b> GET k
c> QUIT
d> HELLO
`,
}

// unstable is what differs between two servers by right.
var unstable = regexp.MustCompile(`\$2\r\nid\r\n:\d+\r\n`)

func TestEveryReplyIsTheOneOfRedis(t *testing.T) {
	for name, script := range scripts {
		for _, proto := range []int{2, 3} {
			t.Run(fmt.Sprintf("%s in RESP%d", name, proto), func(t *testing.T) {
				real := redistest.Start(t, "--maxclients", "10000")
				ours := startServer(t, nil)
				conns := map[string][2]*redistest.Client{}
				for i, line := range strings.Split(strings.TrimSpace(script), "\n") {
					who, text, _ := strings.Cut(line, ">")
					who, count, _ := strings.Cut(who, "*")
					pair, ok := conns[who]
					if !ok {
						pair = [2]*redistest.Client{redistest.Dial(t, real), ours.dial(t)}
						conns[who] = pair
						if proto == 3 {
							pair[0].Do("HELLO", "3")
							pair[1].Do("HELLO", "3")
						}
					}
					replies := 1
					if count != "" {
						replies, _ = strconv.Atoi(count)
					}
					in := scriptCommand(text)
					want, err1 := pair[0].Send(in, replies)
					got, err2 := pair[1].Send(in, replies)
					if err1 != nil || err2 != nil {
						t.Fatalf("line %d %q: redis %q %v, ours %q %v", i+1, line, want, err1, got, err2)
					}
					a, b := unstable.ReplaceAllString(string(want), "ID"), unstable.ReplaceAllString(string(got), "ID")
					if a != b {
						t.Errorf("line %d %q\n redis %q\n ours  %q", i+1, line, want, got)
					}
				}
			})
		}
	}
}

// scriptCommand encodes a line's command; words may be quoted as in an inline command.
func scriptCommand(text string) []byte {
	text = strings.TrimSpace(text)
	if text == "" {
		return nil
	}
	r := resp.NewReader(strings.NewReader(strings.ReplaceAll(text, `\x20`, "\x01") + "\n"))
	if err := r.Fill(); err != nil {
		panic(err)
	}
	cmd, ok, err := r.Next()
	if !ok || err != nil {
		panic(fmt.Sprintf("%q: %v", text, err))
	}
	var args [][]byte
	for _, a := range cmd.Args {
		args = append(args, []byte(strings.ReplaceAll(string(a), "\x01", " ")))
	}
	return resp.AppendCommand(nil, args...)
}
