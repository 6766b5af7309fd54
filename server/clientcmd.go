package server

import (
	"fmt"
	"strconv"
	"strings"
	"time"

	"brainer/internal/command"
	"brainer/resp"
)

func clientHandlers() map[string]handler {
	return map[string]handler{
		"client|id":       {run: func(c *client, _ [][]byte, w *resp.Writer) { w.Int(int64(c.id)) }},
		"client|getname":  {run: clientGetName},
		"client|setname":  {run: clientSetName},
		"client|setinfo":  {run: clientSetInfo},
		"client|list":     {run: clientList},
		"client|info":     {run: clientInfo},
		"client|kill":     {run: clientKill},
		"client|no-evict": {run: clientFlag(func(c *client, on bool) { c.noEvict = on })},
		"client|no-touch": {run: clientFlag(func(c *client, on bool) { c.noTouch = on })},
		"client|reply":    {run: clientReply},
		"client|help":     {run: help(clientHelp)},
	}
}

func clientGetName(c *client, _ [][]byte, w *resp.Writer) {
	if c.name == "" {
		w.Null()
		return
	}
	w.BulkString(c.name)
}

func clientSetName(c *client, args [][]byte, w *resp.Writer) {
	if !validName(args[2]) {
		w.Error(errClientName)
		return
	}
	c.name = string(args[2])
	w.OK()
}

func clientSetInfo(c *client, args [][]byte, w *resp.Writer) {
	var field *string
	switch strings.ToLower(string(args[2])) {
	case "lib-name":
		field = &c.libName
	case "lib-ver":
		field = &c.libVer
	default:
		w.Error(errUnrecognizedOption(args[2]))
		return
	}
	if !validName(args[3]) {
		w.Error(errLibInfo(strings.ToLower(string(args[2]))))
		return
	}
	*field = string(args[3])
	w.OK()
}

// clientFlag is CLIENT NO-EVICT and the like: on or off.
func clientFlag(set func(c *client, on bool)) func(*client, [][]byte, *resp.Writer) {
	return func(c *client, args [][]byte, w *resp.Writer) {
		on := equalFold(args[2], "on")
		if !on && !equalFold(args[2], "off") {
			w.Error(command.ErrSyntax)
			return
		}
		set(c, on)
		w.OK()
	}
}

func clientReply(c *client, args [][]byte, w *resp.Writer) {
	switch strings.ToLower(string(args[2])) {
	case "on":
		c.replyOff, c.replySkip = false, false
		w.OK()
	case "off":
		c.replyOff = true
	case "skip":
		if !c.replyOff {
			c.replySkipNext = true
		}
	default:
		w.Error(command.ErrSyntax)
	}
}

// describe is one line of CLIENT LIST.
func (c *client) describe(now time.Time) string {
	s := c.look()
	flags := ""
	if s.subs+s.psubs > 0 {
		flags += "P"
	}
	if s.multi >= 0 {
		flags += "x"
	}
	if s.noEvict {
		flags += "e"
	}
	if s.noTouch {
		flags += "T"
	}
	if flags == "" {
		flags = "N"
	}
	last := "NULL"
	if s.lastCommand != nil {
		last = s.lastCommand.Name
	}
	queued := c.out.queued()
	return fmt.Sprintf("id=%d addr=%s laddr=%s fd=%d name=%s age=%d idle=%d flags=%s db=%d sub=%d psub=%d ssub=0 multi=%d"+
		" qbuf=%d qbuf-free=%d argv-mem=0 multi-mem=%d rbs=0 rbp=0 obl=0 oll=%d omem=%d tot-mem=%d events=r cmd=%s user=default redir=-1 resp=%d lib-name=%s lib-ver=%s",
		c.id, c.addr(), c.laddr(), c.fd, s.name, int(now.Sub(s.createdAt).Seconds()), int(now.Sub(s.activeAt).Seconds()), flags,
		s.db, s.subs, s.psubs, s.multi, s.buffered, s.freeBytes, s.txBytes, oneIf(queued > 0), queued,
		s.buffered+s.freeBytes+s.txBytes+queued, last, s.proto, s.libName, s.libVer)
}

func clientInfo(c *client, _ [][]byte, w *resp.Writer) {
	now := time.Now()
	c.turn.last = c.row
	c.publishSeen(now)
	w.Verbatim("txt", c.describe(now)+"\n")
}

// kinds are CLIENT LIST's types; what a client is, is "normal" or "pubsub".
func parseKind(arg []byte) (kind string, ok bool) {
	kind = strings.ToLower(string(arg))
	if kind == "slave" {
		kind = "replica"
	}
	switch kind {
	case "normal", "master", "replica", "pubsub":
		return kind, true
	}
	return "", false
}

func (c *client) kind() string {
	if s := c.look(); s.subs+s.psubs > 0 {
		return "pubsub"
	}
	return "normal"
}

func clientList(c *client, args [][]byte, w *resp.Writer) {
	kind := ""
	var ids map[uint64]bool
	switch {
	case len(args) == 4 && equalFold(args[2], "type"):
		var ok bool
		if kind, ok = parseKind(args[3]); !ok {
			w.Error(errClientType(args[3]))
			return
		}
	case len(args) > 3 && equalFold(args[2], "id"):
		ids = map[uint64]bool{}
		for _, arg := range args[3:] {
			id, err := strconv.ParseInt(string(arg), 10, 64)
			if err != nil {
				w.Error(errClientID)
				return
			}
			ids[uint64(id)] = true
		}
	case len(args) != 2:
		w.Error(command.ErrSyntax)
		return
	}
	now := time.Now()
	c.turn.last = c.row
	c.publishSeen(now)
	var lines strings.Builder
	for _, other := range c.srv.sortedClients() {
		if kind != "" && other.kind() != kind || ids != nil && !ids[other.id] {
			continue
		}
		lines.WriteString(other.describe(now))
		lines.WriteByte('\n')
	}
	w.Verbatim("txt", lines.String())
}

// killFilter is what CLIENT KILL selects by; zero values select all.
type killFilter struct {
	id          uint64
	addr, laddr string
	kind        string
	skipMe      bool
}

func (f killFilter) matches(c, me *client) bool {
	return (f.id == 0 || c.id == f.id) && (f.addr == "" || c.addr() == f.addr) &&
		(f.laddr == "" || c.laddr() == f.laddr) && (f.kind == "" || c.kind() == f.kind) && (!f.skipMe || c != me)
}

func clientKill(c *client, args [][]byte, w *resp.Writer) {
	var f killFilter
	old := len(args) == 3
	if old {
		f.addr = string(args[2])
	} else {
		var text string
		if f, text = parseKill(args[2:]); text != "" {
			w.Error(text)
			return
		}
	}
	killed := 0
	for _, other := range c.srv.sortedClients() {
		if !f.matches(other, c) {
			continue
		}
		killed++
		if other == c {
			c.closeAfter = true
		} else {
			other.kill()
		}
	}
	switch {
	case !old:
		w.Int(int64(killed))
	case killed == 0:
		w.Error(errNoSuchClient)
	default:
		w.OK()
	}
}

func parseKill(args [][]byte) (f killFilter, text string) {
	f.skipMe = true
	if len(args)%2 != 0 {
		return f, command.ErrSyntax
	}
	for i := 0; i < len(args); i += 2 {
		value := args[i+1]
		switch strings.ToLower(string(args[i])) {
		case "id":
			id, err := strconv.ParseInt(string(value), 10, 64)
			if err != nil || id < 1 {
				return f, errClientIDRange
			}
			f.id = uint64(id)
		case "type":
			var ok bool
			if f.kind, ok = parseKind(value); !ok {
				return f, errClientType(value)
			}
		case "addr":
			f.addr = string(value)
		case "laddr":
			f.laddr = string(value)
		case "user":
			if string(value) != "default" {
				return f, errNoSuchUser(value)
			}
		case "skipme":
			switch {
			case equalFold(value, "yes"):
				f.skipMe = true
			case equalFold(value, "no"):
				f.skipMe = false
			default:
				return f, command.ErrSyntax
			}
		default:
			return f, command.ErrSyntax
		}
	}
	return f, ""
}
