package command

import (
	"strings"

	"brainer/resp"
)

// flagNames are COMMAND INFO's names, in its order.
var flagNames = [...]struct {
	flag Flag
	name string
}{
	{Write, "write"}, {ReadOnly, "readonly"}, {DenyOOM, "denyoom"}, {Admin, "admin"},
	{PubSub, "pubsub"}, {Noscript, "noscript"}, {Blocking, "blocking"}, {Loading, "loading"},
	{Stale, "stale"}, {SkipMonitor, "skip_monitor"}, {SkipSlowlog, "skip_slowlog"}, {Fast, "fast"},
	{NoAuth, "no_auth"}, {MayReplicate, "may_replicate"}, {NoMandatoryKeys, "no_mandatory_keys"},
	{Protected, "protected"}, {NoAsyncLoading, "no_async_loading"}, {NoMulti, "no_multi"},
	{AllowBusy, "allow_busy"}, {MovableKeys, "movablekeys"},
}

// Categories are the ACL categories, in COMMAND INFO's order.
var Categories = [...]string{
	"keyspace", "read", "write", "set", "sortedset", "list", "hash", "string", "bitmap",
	"hyperloglog", "geo", "stream", "pubsub", "admin", "fast", "slow", "blocking", "dangerous",
	"connection", "transaction", "scripting",
}

// FlagNames returns c's flags as COMMAND INFO names them.
func (c *Command) FlagNames() []string {
	var names []string
	for _, f := range flagNames {
		if c.Flags&f.flag != 0 {
			names = append(names, f.name)
		}
	}
	return names
}

// HasCategory says whether c is of that ACL category, named without its "@".
func (c *Command) HasCategory(category string) bool {
	for _, own := range strings.Fields(c.ACL) {
		if own == category {
			return true
		}
	}
	switch category {
	case "write":
		return c.Flags&Write != 0
	case "read":
		return c.Flags&ReadOnly != 0
	case "admin", "dangerous":
		return c.Flags&Admin != 0
	case "pubsub":
		return c.Flags&PubSub != 0
	case "blocking":
		return c.Flags&Blocking != 0
	case "fast":
		return c.Flags&Fast != 0
	case "slow":
		return c.Flags&Fast == 0
	}
	return false
}

// WriteInfo writes c as one element of COMMAND INFO's reply.
func (c *Command) WriteInfo(w *resp.Writer) {
	w.Array(10)
	w.BulkString(c.Name)
	w.Int(int64(c.Arity))
	writeStatusSet(w, c.FlagNames())
	w.Int(int64(c.First))
	w.Int(int64(c.Last))
	w.Int(int64(c.Step))
	var categories []string
	for _, category := range Categories {
		if c.HasCategory(category) {
			categories = append(categories, "@"+category)
		}
	}
	writeStatusSet(w, categories)
	w.Set(len(c.Tips))
	for _, tip := range c.Tips {
		w.BulkString(tip)
	}
	w.Set(len(c.KeySpecs))
	for i := range c.KeySpecs {
		c.KeySpecs[i].write(w)
	}
	if len(c.Sub) == 0 {
		w.Set(0) // and an array otherwise: so does Redis
		return
	}
	w.Array(len(c.Sub))
	for _, sub := range c.Sub {
		sub.WriteInfo(w)
	}
}

func (s *KeySpec) write(w *resp.Writer) {
	if s.Notes == "" {
		w.Map(3)
	} else {
		w.Map(4)
		w.BulkString("notes")
		w.BulkString(s.Notes)
	}
	w.BulkString("flags")
	writeStatusSet(w, s.Flags)
	w.BulkString("begin_search")
	w.Map(2)
	w.BulkString("type")
	w.BulkString("index")
	w.BulkString("spec")
	w.Map(1)
	w.BulkString("index")
	w.Int(int64(s.Begin))
	w.BulkString("find_keys")
	w.Map(2)
	w.BulkString("type")
	w.BulkString("range")
	w.BulkString("spec")
	w.Map(3)
	w.BulkString("lastkey")
	w.Int(int64(s.Last))
	w.BulkString("keystep")
	w.Int(int64(s.Step))
	w.BulkString("limit")
	w.Int(int64(s.Limit))
}

// WriteDocs writes c's name and description: one pair of COMMAND DOCS's map.
func (c *Command) WriteDocs(w *resp.Writer) {
	w.BulkString(c.Name)
	pairs := 2
	for _, there := range []bool{
		c.Since != "", c.Complexity != "", c.SysCmd || c.DeprecatedSince != "",
		c.DeprecatedSince != "", c.ReplacedBy != "", len(c.History) > 0, len(c.Args) > 0, len(c.Sub) > 0,
	} {
		if there {
			pairs++
		}
	}
	w.Map(pairs)
	w.BulkString("summary")
	w.BulkString(c.Summary)
	writeText(w, "since", c.Since)
	w.BulkString("group")
	w.BulkString(c.Group)
	writeText(w, "complexity", c.Complexity)
	if c.SysCmd || c.DeprecatedSince != "" {
		w.BulkString("doc_flags")
		if c.SysCmd {
			writeStatusSet(w, []string{"syscmd"})
		} else {
			writeStatusSet(w, []string{"deprecated"})
		}
	}
	writeText(w, "deprecated_since", c.DeprecatedSince)
	writeText(w, "replaced_by", c.ReplacedBy)
	if len(c.History) > 0 {
		w.BulkString("history")
		w.Set(len(c.History))
		for _, entry := range c.History {
			version, change, _ := strings.Cut(entry, " ")
			w.Array(2)
			w.BulkString(version)
			w.BulkString(change)
		}
	}
	if len(c.Args) > 0 {
		w.BulkString("arguments")
		writeArgs(w, c.Args)
	}
	if len(c.Sub) > 0 {
		w.BulkString("subcommands")
		w.Map(len(c.Sub))
		for _, sub := range c.Sub {
			sub.WriteDocs(w)
		}
	}
}

// WriteKeys writes the reply of COMMAND GETKEYS, or of COMMAND GETKEYSANDFLAGS, about a call.
func (t *Table) WriteKeys(w *resp.Writer, call [][]byte, withFlags bool) {
	c := t.Find(call)
	switch {
	case c == nil || c.Flags&Internal != 0:
		w.Error(ErrInvalidCommand)
		return
	case len(c.KeySpecs) == 0:
		w.Error(ErrNoKeys)
		return
	case !c.ArityOK(len(call)):
		w.Error(ErrInvalidArity)
		return
	}
	w.Array(len(c.AppendKeys(nil, call)))
	for i := range c.KeySpecs {
		s := &c.KeySpecs[i]
		flags := s.Flags
		if c.KeyFlags != nil {
			flags = c.KeyFlags(call)
		}
		for i := s.Begin; i <= s.last(len(call)); i += s.Step {
			if withFlags {
				w.Array(2)
			}
			w.Bulk(call[i])
			if withFlags {
				writeStatusSet(w, flags)
			}
		}
	}
}

func writeArgs(w *resp.Writer, args []Arg) {
	w.Array(len(args))
	for i := range args {
		args[i].write(w)
	}
}

func (a *Arg) write(w *resp.Writer) {
	var flags []string
	if a.Optional {
		flags = append(flags, "optional")
	}
	if a.Multiple {
		flags = append(flags, "multiple")
	}
	if a.MultipleToken {
		flags = append(flags, "multiple_token")
	}
	pairs := 2
	for _, there := range []bool{
		a.KeySpec >= 0, a.Token != "", a.Since != "", a.DeprecatedSince != "",
		len(flags) > 0, len(a.Args) > 0,
	} {
		if there {
			pairs++
		}
	}
	w.Map(pairs)
	w.BulkString("name")
	w.BulkString(a.Name)
	w.BulkString("type")
	w.BulkString(a.Type)
	if a.KeySpec >= 0 {
		w.BulkString("key_spec_index")
		w.Int(int64(a.KeySpec))
	}
	writeText(w, "token", a.Token)
	writeText(w, "since", a.Since)
	writeText(w, "deprecated_since", a.DeprecatedSince)
	if len(flags) > 0 {
		w.BulkString("flags")
		writeStatusSet(w, flags)
	}
	if len(a.Args) > 0 {
		w.BulkString("arguments")
		writeArgs(w, a.Args)
	}
}

func writeText(w *resp.Writer, name, text string) {
	if text != "" {
		w.BulkString(name)
		w.BulkString(text)
	}
}

func writeStatusSet(w *resp.Writer, names []string) {
	w.Set(len(names))
	for _, name := range names {
		w.Simple(name)
	}
}
