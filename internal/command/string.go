package command

import (
	"math"

	"brainer/internal/keyspace"
)

func stringRows() []Row {
	return []Row{
		{
			Name: "set", Arity: -3, Flags: Write | DenyOOM,
			KeySpec: []string{"RW access update variable_flags @1 -- RW and ACCESS due to the optional `GET` argument"},
			ACL:     "string",
			Group:   "string", Since: "1.0.0", Complexity: "O(1)",
			Summary:  "Set the string value of a key",
			History:  []string{"2.6.12 Added the `EX`, `PX`, `NX` and `XX` options.", "6.0.0 Added the `KEEPTTL` option.", "6.2.0 Added the `GET`, `EXAT` and `PXAT` option.", "7.0.0 Allowed the `NX` and `GET` options to be used together."},
			ArgSpec:  "key<key>#0 value condition<oneof>@2.6.12?(nx=NX xx=XX) get=GET@6.2.0? expiration<oneof>?(seconds<integer>!EX@2.6.12 milliseconds<integer>!PX@2.6.12 unix-time-seconds<unix-time>!EXAT@6.2.0 unix-time-milliseconds<unix-time>!PXAT@6.2.0 keepttl=KEEPTTL@6.0.0)",
			KeyFlags: setKeyFlags,
			Run:      runSet,
		},
		{
			Name: "get", Arity: 2, Flags: ReadOnly | Steady | Fast,
			KeySpec: []string{"RO access @1"},
			ACL:     "string",
			Group:   "string", Since: "1.0.0", Complexity: "O(1)",
			Summary: "Get the value of a key",
			ArgSpec: "key<key>#0",
			Run:     runGet,
		},
		{
			Name: "getset", Arity: 3, Flags: Write | DenyOOM | Fast,
			KeySpec: []string{"RW access update @1"},
			ACL:     "string",
			Group:   "string", Since: "1.0.0", Complexity: "O(1)",
			Summary:         "Set the string value of a key and return its old value",
			DeprecatedSince: "6.2.0", ReplacedBy: "`SET` with the `!GET` argument",
			ArgSpec: "key<key>#0 value",
			Run:     runGetSet,
		},
		{
			Name: "getex", Arity: -2, Flags: Write | Fast,
			KeySpec: []string{"RW access update @1 -- RW and UPDATE because it changes the TTL"},
			ACL:     "string",
			Group:   "string", Since: "6.2.0", Complexity: "O(1)",
			Summary: "Get the value of a key and optionally set its expiration",
			ArgSpec: "key<key>#0 expiration<oneof>?(seconds<integer>!EX milliseconds<integer>!PX unix-time-seconds<unix-time>!EXAT unix-time-milliseconds<unix-time>!PXAT persist=PERSIST)",
			Run:     runGetEx,
		},
		{
			Name: "getdel", Arity: 2, Flags: Write | Fast,
			KeySpec: []string{"RW access delete @1"},
			ACL:     "string",
			Group:   "string", Since: "6.2.0", Complexity: "O(1)",
			Summary: "Get the value of a key and delete the key",
			ArgSpec: "key<key>#0",
			Run:     runGetDel,
		},
		{
			Name: "setnx", Arity: 3, Flags: Write | DenyOOM | Fast,
			KeySpec: []string{"OW insert @1"},
			ACL:     "string",
			Group:   "string", Since: "1.0.0", Complexity: "O(1)",
			Summary: "Set the value of a key, only if the key does not exist",
			ArgSpec: "key<key>#0 value",
			Run:     runSetNX,
		},
		{
			Name: "setex", Arity: 4, Flags: Write | DenyOOM,
			KeySpec: []string{"OW update @1"},
			ACL:     "string",
			Group:   "string", Since: "2.0.0", Complexity: "O(1)",
			Summary: "Set the value and expiration of a key",
			ArgSpec: "key<key>#0 seconds<integer> value",
			Run:     runSetEx,
		},
		{
			Name: "psetex", Arity: 4, Flags: Write | DenyOOM,
			KeySpec: []string{"OW update @1"},
			ACL:     "string",
			Group:   "string", Since: "2.6.0", Complexity: "O(1)",
			Summary: "Set the value and expiration in milliseconds of a key",
			ArgSpec: "key<key>#0 milliseconds<integer> value",
			Run:     runPSetEx,
		},
		{
			Name: "mget", Arity: -2, Flags: ReadOnly | Steady | Fast,
			KeySpec: []string{"RO access @1:-1"},
			ACL:     "string",
			Tips:    []string{"request_policy:multi_shard"},
			Group:   "string", Since: "1.0.0", Complexity: "O(N) where N is the number of keys to retrieve.",
			Summary: "Get the values of all the given keys",
			ArgSpec: "key<key>#0*",
			Run:     runMGet,
		},
		{
			Name: "mset", Arity: -3, Flags: Write | DenyOOM,
			KeySpec: []string{"OW update @1:-1:2"},
			ACL:     "string",
			Tips:    []string{"request_policy:multi_shard", "response_policy:all_succeeded"},
			Group:   "string", Since: "1.0.1", Complexity: "O(N) where N is the number of keys to set.",
			Summary: "Set multiple keys to multiple values",
			ArgSpec: "key_value<block>*(key<key>#0 value)",
			Run:     runMSet,
		},
		{
			Name: "msetnx", Arity: -3, Flags: Write | DenyOOM,
			KeySpec: []string{"OW insert @1:-1:2"},
			ACL:     "string",
			Tips:    []string{"request_policy:multi_shard", "response_policy:agg_min"},
			Group:   "string", Since: "1.0.1", Complexity: "O(N) where N is the number of keys to set.",
			Summary: "Set multiple keys to multiple values, only if none of the keys exist",
			ArgSpec: "key_value<block>*(key<key>#0 value)",
			Run:     runMSetNX,
		},
		{
			Name: "strlen", Arity: 2, Flags: ReadOnly | Steady | Fast,
			KeySpec: []string{"RO @1"},
			ACL:     "string",
			Group:   "string", Since: "2.2.0", Complexity: "O(1)",
			Summary: "Get the length of the value stored in a key",
			ArgSpec: "key<key>#0",
			Run:     runStrlen,
		},
		{
			Name: "append", Arity: 3, Flags: Write | DenyOOM | Fast,
			KeySpec: []string{"RW insert @1"},
			ACL:     "string",
			Group:   "string", Since: "2.0.0", Complexity: "O(1). The amortized time complexity is O(1) assuming the appended value is small and the already present value is of any size, since the dynamic string library used by Redis will double the free space available on every reallocation.",
			Summary: "Append a value to a key",
			ArgSpec: "key<key>#0 value",
			Run:     runAppend,
		},
		{
			Name: "getrange", Arity: 4, Flags: ReadOnly | Steady,
			KeySpec: []string{"RO access @1"},
			ACL:     "string",
			Group:   "string", Since: "2.4.0", Complexity: "O(N) where N is the length of the returned string. The complexity is ultimately determined by the returned length, but because creating a substring from an existing string is very cheap, it can be considered O(1) for small strings.",
			Summary: "Get a substring of the string stored at a key",
			ArgSpec: "key<key>#0 start<integer> end<integer>",
			Run:     runGetRange,
		},
		{
			Name: "substr", Arity: 4, Flags: ReadOnly | Steady,
			KeySpec: []string{"RO access @1"},
			ACL:     "string",
			Group:   "string", Since: "1.0.0", Complexity: "O(N) where N is the length of the returned string. The complexity is ultimately determined by the returned length, but because creating a substring from an existing string is very cheap, it can be considered O(1) for small strings.",
			Summary:         "Get a substring of the string stored at a key",
			DeprecatedSince: "2.0.0", ReplacedBy: "`GETRANGE`",
			ArgSpec: "key<key>#0 start<integer> end<integer>",
			Run:     runGetRange,
		},
		{
			Name: "setrange", Arity: 4, Flags: Write | DenyOOM,
			KeySpec: []string{"RW update @1"},
			ACL:     "string",
			Group:   "string", Since: "2.2.0", Complexity: "O(1), not counting the time taken to copy the new string in place. Usually, this string is very small so the amortized complexity is O(1). Otherwise, complexity is O(M) with M being the length of the value argument.",
			Summary: "Overwrite part of a string at key starting at the specified offset",
			ArgSpec: "key<key>#0 offset<integer> value",
			Run:     runSetRange,
		},
	}
}

// setOptions are SET's, and those that GETEX shares.
type setOptions struct {
	nx, xx, get, keepTTL, persist bool
	expire                        expireOption
}

// expireOption is EX, PX, EXAT or PXAT with its argument.
type expireOption struct {
	arg     int  // index of the time; 0: no such option
	seconds bool // not milliseconds
	at      bool // not from now on
}

func runSet(c *Ctx) {
	o, ok := parseSetOptions(c, 3, false)
	if !ok {
		c.W.Error(ErrSyntax)
		return
	}
	set(c, c.Args[2], o)
}

func set(c *Ctx, value []byte, o setOptions) {
	key := c.Args[1]
	deadlineMs, ok := o.expire.deadline(c)
	if !ok {
		return
	}
	var old keyspace.Value
	found := false
	if o.get || o.nx || o.xx || o.keepTTL {
		old, found = c.peek(key)
	}
	if o.get {
		if old, found, ok = c.getTyped(key, keyspace.TypeString); !ok {
			return
		}
		c.read(found)
		c.bulkOrNull(old.String, found)
	}
	if o.nx && found || o.xx && !found {
		if !o.get {
			c.W.Null()
		}
		return
	}
	if o.keepTTL {
		deadlineMs = old.DeadlineMs
	}
	c.KS.SetString(c.DB, key, value, deadlineMs, c.NowMs)
	if !o.get {
		c.W.OK()
	}
}

// setKeyFlags tells whether SET reads what it replaces.
func setKeyFlags(args [][]byte) []string {
	for _, arg := range args[3:] {
		if equalFold(arg, "get") {
			return []string{"RW", "access", "update"}
		}
	}
	return []string{"OW", "update"}
}

// parseSetOptions reads the options of SET, or of GETEX, from argument i on. As in Redis an option
// excludes others, not its own repetition.
func parseSetOptions(c *Ctx, i int, getEx bool) (o setOptions, ok bool) {
	unit := "" // of the expire option
	for ; i < len(c.Args); i++ {
		expires := unit != ""
		switch {
		case c.is(i, "nx") && !o.xx && !getEx:
			o.nx = true
		case c.is(i, "xx") && !o.nx && !getEx:
			o.xx = true
		case c.is(i, "get") && !getEx:
			o.get = true
		case c.is(i, "keepttl") && !expires && !getEx:
			o.keepTTL = true
		case c.is(i, "persist") && !expires && getEx:
			o.persist = true
		default:
			name := expireUnit(c.Args[i])
			if name == "" || expires && name != unit || o.keepTTL || o.persist || i+1 == len(c.Args) {
				return o, false
			}
			i++
			unit = name
			o.expire = expireOption{i, name == "ex" || name == "exat", name == "exat" || name == "pxat"}
		}
	}
	return o, true
}

// expireUnit returns the expire option that arg is, or "".
func expireUnit(arg []byte) string {
	for _, unit := range [...]string{"ex", "px", "exat", "pxat"} {
		if equalFold(arg, unit) {
			return unit
		}
	}
	return ""
}

// deadline returns what the option asks for, 0 if there is no option; ok is false when it answered an error.
func (o expireOption) deadline(c *Ctx) (deadlineMs int64, ok bool) {
	if o.arg == 0 {
		return 0, true
	}
	n, ok := c.int(o.arg)
	if !ok {
		return 0, false
	}
	ok = n > 0
	if o.seconds {
		ok = ok && n <= math.MaxInt64/1000
		n *= 1000
	}
	if ok && !o.at {
		n, ok = addInt(n, c.NowMs)
	}
	if !ok {
		c.W.Error(ErrExpireTime(c.cmd.Name))
		return 0, false
	}
	return n, true
}

func runSetEx(c *Ctx) {
	set(c, c.Args[3], setOptions{expire: expireOption{arg: 2, seconds: true}})
}

func runPSetEx(c *Ctx) {
	set(c, c.Args[3], setOptions{expire: expireOption{arg: 2}})
}

func runSetNX(c *Ctx) {
	if c.exists(c.Args[1]) {
		c.W.Int(0)
		return
	}
	c.KS.SetString(c.DB, c.Args[1], c.Args[2], 0, c.NowMs)
	c.W.Int(1)
}

func runGet(c *Ctx) {
	v, found, ok := c.getTyped(c.Args[1], keyspace.TypeString)
	switch {
	case !ok:
	case c.FarFrom > 0 && len(v.String) >= c.FarFrom:
		c.W.BulkHead(len(v.String))
		c.Far = v.String
	default:
		c.bulkOrNull(v.String, found)
	}
}

func runGetSet(c *Ctx) {
	v, found, ok := c.getTyped(c.Args[1], keyspace.TypeString)
	if !ok {
		return
	}
	c.read(found)
	c.bulkOrNull(v.String, found)
	c.KS.SetString(c.DB, c.Args[1], c.Args[2], 0, c.NowMs)
}

func runGetEx(c *Ctx) {
	key := c.Args[1]
	o, ok := parseSetOptions(c, 2, true)
	if !ok {
		c.W.Error(ErrSyntax)
		return
	}
	v, found, ok := c.getTyped(key, keyspace.TypeString)
	if !ok {
		return
	}
	c.read(found)
	if !found {
		c.W.Null()
		return
	}
	deadlineMs, ok := o.expire.deadline(c)
	if !ok {
		return
	}
	c.W.Bulk(v.String)
	switch {
	case o.expire.arg != 0 && deadlineMs <= c.NowMs:
		c.KS.Delete(c.DB, key, c.NowMs)
	case o.expire.arg != 0:
		c.KS.SetDeadline(c.DB, key, deadlineMs, c.NowMs)
	case o.persist && v.DeadlineMs != 0:
		c.KS.SetDeadline(c.DB, key, 0, c.NowMs)
	}
}

func runGetDel(c *Ctx) {
	v, found, ok := c.getTyped(c.Args[1], keyspace.TypeString)
	if !ok {
		return
	}
	c.read(found)
	c.bulkOrNull(v.String, found)
	if found {
		c.KS.Delete(c.DB, c.Args[1], c.NowMs)
	}
}

func runMGet(c *Ctx) {
	start := len(c.W.B)
	c.W.Array(len(c.Args) - 1)
	for _, key := range c.Args[1:] {
		v, found := c.get(key)
		c.bulkOrNull(v.String, found && v.Type == keyspace.TypeString)
		if c.replyTooLarge(start) {
			return
		}
	}
}

func runMSet(c *Ctx) {
	if len(c.Args)%2 == 0 {
		c.wrongArity()
		return
	}
	mset(c)
	c.W.OK()
}

func runMSetNX(c *Ctx) {
	if len(c.Args)%2 == 0 {
		c.wrongArity()
		return
	}
	for i := 1; i < len(c.Args); i += 2 {
		if c.exists(c.Args[i]) {
			c.W.Int(0)
			return
		}
	}
	mset(c)
	c.W.Int(1)
}

func mset(c *Ctx) {
	for i := 1; i < len(c.Args); i += 2 {
		c.KS.SetString(c.DB, c.Args[i], c.Args[i+1], 0, c.NowMs)
	}
}

func runStrlen(c *Ctx) {
	if v, _, ok := c.getTyped(c.Args[1], keyspace.TypeString); ok {
		c.W.Int(int64(len(v.String)))
	}
}

func runAppend(c *Ctx) {
	v, found, ok := c.getTyped(c.Args[1], keyspace.TypeString)
	if !ok {
		return
	}
	tail := c.Args[2]
	if found && c.tooLong(int64(len(v.String)), int64(len(tail))) {
		return
	}
	c.W.Int(int64(c.KS.AppendString(c.DB, c.Args[1], tail, c.NowMs)))
}

func runGetRange(c *Ctx) {
	start, ok := c.int(2)
	if !ok {
		return
	}
	end, ok := c.int(3)
	if !ok {
		return
	}
	v, _, ok := c.getTyped(c.Args[1], keyspace.TypeString)
	if !ok {
		return
	}
	c.W.Bulk(subrange(v.String, start, end))
}

// subrange returns s from start to end, both included; negative ones count from the end.
func subrange(s []byte, start, end int64) []byte {
	n := int64(len(s))
	if start < 0 && end < 0 && start > end {
		return nil
	}
	if start < 0 {
		start = max(0, n+start)
	}
	if end < 0 {
		end = max(0, n+end)
	}
	end = min(end, n-1)
	if start > end {
		return nil
	}
	return s[start : end+1]
}

func runSetRange(c *Ctx) {
	offset, ok := c.int(2)
	if !ok {
		return
	}
	if offset < 0 {
		c.W.Error(ErrOffset)
		return
	}
	v, _, ok := c.getTyped(c.Args[1], keyspace.TypeString)
	if !ok {
		return
	}
	part := c.Args[3]
	if len(part) == 0 {
		c.W.Int(int64(len(v.String)))
		return
	}
	if c.tooLong(offset, int64(len(part))) {
		return
	}
	c.W.Int(int64(c.KS.SetRange(c.DB, c.Args[1], int(offset), part, c.NowMs)))
}

// bulkOrNull answers a value, or null when there is none.
func (c *Ctx) bulkOrNull(value []byte, found bool) {
	if found {
		c.W.Bulk(value)
	} else {
		c.W.Null()
	}
}
