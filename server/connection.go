package server

import (
	"crypto/sha256"
	"crypto/subtle"
	"math"
	"strconv"
	"time"

	"brainer/internal/command"
	"brainer/resp"
)

func connectionHandlers() map[string]handler {
	return map[string]handler{
		"ping":   {run: ping, easy: true},
		"echo":   {run: func(_ *client, args [][]byte, w *resp.Writer) { w.Bulk(args[1]) }, easy: true},
		"auth":   {run: auth},
		"hello":  {run: hello},
		"select": {run: selectDB, inMulti: inBody},
		"quit":   {run: quit, inMulti: immediate},
		"reset":  {run: reset, inMulti: immediate, settled: true},
	}
}

func ping(c *client, args [][]byte, w *resp.Writer) {
	switch {
	case len(args) > 2:
		w.Error(command.ErrArity("ping"))
	case c.subscribed() && c.proto == 2:
		w.Array(2)
		w.BulkString("pong")
		if len(args) == 2 {
			w.Bulk(args[1])
		} else {
			w.BulkString("")
		}
	case len(args) == 2:
		w.Bulk(args[1])
	default:
		w.Simple("PONG")
	}
}

// login checks user and password, nil for none, and returns the text of an error or "". There is one
// user, "default".
func (c *client) login(user, password []byte) string {
	s := c.srv
	want := *s.settings.password.Load()
	from, now := guesserOf(c.conn), time.Now()
	ok, tell := s.guesses.take(from, now)
	if !ok {
		s.stats.authLimited.Add(1)
		if tell {
			s.log.Warn("too many wrong passwords, AUTH is refused", "client", c.id, "addr", c.addr())
		}
		return errAuthLimited
	}
	if user != nil && string(user) != "default" || want != "" && !samePassword(password, want) {
		s.stats.authFailures.Add(1)
		return errWrongPass
	}
	s.guesses.giveBack(from, now)
	c.authenticated = true
	c.applyLimits()
	return ""
}

// samePassword takes as long for a wrong password as for the right one, whatever its length.
func samePassword(given []byte, want string) bool {
	a, b := sha256.Sum256(given), sha256.Sum256([]byte(want))
	return subtle.ConstantTimeCompare(a[:], b[:]) == 1
}

func auth(c *client, args [][]byte, w *resp.Writer) {
	var user []byte
	switch {
	case len(args) > 3:
		w.Error(command.ErrSyntax)
		return
	case len(args) == 3:
		user = args[1]
	case *c.srv.settings.password.Load() == "":
		w.Error(errNoPassword)
		return
	}
	if text := c.login(user, args[len(args)-1]); text != "" {
		w.Error(text)
		return
	}
	w.OK()
}

func hello(c *client, args [][]byte, w *resp.Writer) {
	proto := c.proto
	var user, password, name []byte
	if len(args) > 1 {
		n, err := strconv.ParseInt(string(args[1]), 10, 64)
		if err != nil {
			w.Error(errProtoVersion)
			return
		}
		if n != 2 && n != 3 {
			w.Error(errNoProto)
			return
		}
		proto = int(n)
	}
	for i := 2; i < len(args); i++ {
		more := len(args) - 1 - i
		switch {
		case equalFold(args[i], "auth") && more >= 2:
			user, password = args[i+1], args[i+2]
			i += 2
		case equalFold(args[i], "setname") && more >= 1:
			name = args[i+1]
			if !validName(name) {
				w.Error(errClientName)
				return
			}
			i++
		default:
			w.Error(errHelloOption(args[i]))
			return
		}
	}
	if user != nil {
		if text := c.login(user, password); text != "" {
			w.Error(text)
			return
		}
	}
	if c.mustAuth() {
		w.Error(errHelloAuth)
		return
	}
	if name != nil {
		c.name = string(name)
	}
	c.proto = proto
	c.pushProto.Store(int32(proto))
	w.Proto = proto
	w.Map(7)
	w.BulkString("server")
	w.BulkString("redis")
	w.BulkString("version")
	w.BulkString(redisVersion)
	w.BulkString("proto")
	w.Int(int64(proto))
	w.BulkString("id")
	w.Int(int64(c.id))
	w.BulkString("mode")
	w.BulkString("standalone")
	w.BulkString("role")
	w.BulkString("master")
	w.BulkString("modules")
	w.Array(0)
}

// parseDB reads a database number; the text is of the error if there is one.
func parseDB(arg []byte) (db int, text string) {
	n, err := strconv.ParseInt(string(arg), 10, 64)
	switch {
	case err != nil:
		return 0, command.ErrNotInteger
	case n != int64(int32(n)):
		return 0, command.ErrRange(math.MinInt32, math.MaxInt32)
	case n < 0 || n >= command.Databases:
		return 0, command.ErrDBIndex
	}
	return int(n), ""
}

func selectDB(c *client, args [][]byte, w *resp.Writer) {
	db, text := parseDB(args[1])
	if text != "" {
		w.Error(text)
		return
	}
	c.db = db
	w.OK()
}

func quit(c *client, _ [][]byte, w *resp.Writer) {
	c.closeAfter = true
	w.OK()
}

// reset makes the connection as good as new.
func reset(c *client, _ [][]byte, w *resp.Writer) {
	c.tx.reset()
	c.forgetWatches()
	c.srv.hub.dropClient(c)
	c.closeSnapshot()
	c.resetSession()
	w.Simple("RESET")
}
