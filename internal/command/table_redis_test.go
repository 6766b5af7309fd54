package command

import (
	"slices"
	"strings"
	"testing"

	"brainer/internal/redistest"
	"brainer/resp"
)

// notInRedis are the commands that Redis 7.0 does not have: our own, and what came with 7.2.
var notInRedis = []string{
	"brainer", "client|setinfo", "client|no-touch",
}

// TestCommandInfoAndDocsAreRedis compares what COMMAND INFO and COMMAND DOCS say of every command,
// in both protocol versions: arity, flags, keys, categories, tips, arguments, history.
func TestCommandInfoAndDocsAreRedis(t *testing.T) {
	redis := redistest.Dial(t, redistest.Start(t))
	for _, proto := range []string{"2", "3"} {
		redis.Do("HELLO", proto)
		for _, c := range NewTable().All() {
			if slices.Contains(notInRedis, c.Name) {
				continue
			}
			compareRow(t, redis, proto, c)
		}
	}
}

func compareRow(t *testing.T, redis *redistest.Client, proto string, c *Command) {
	w := resp.Writer{Proto: int(proto[0] - '0')}
	w.Array(1)
	c.WriteInfo(&w)
	ours := redistest.Parse(w.B)
	theirs := redistest.Parse(redis.Do("COMMAND", "INFO", c.Name))
	keepSubcommands(&ours.Elems[0], c, 9)
	keepSubcommands(&theirs.Elems[0], c, 9)
	if ours.String() != theirs.String() {
		t.Errorf("RESP%s COMMAND INFO %s\n ours   %v\n redis  %v", proto, c.Name, ours, theirs)
	}

	w.B = w.B[:0]
	w.Map(1)
	c.WriteDocs(&w)
	ours = redistest.Parse(w.B)
	theirs = redistest.Parse(redis.Do("COMMAND", "DOCS", c.Name))
	keepSubcommandDocs(&ours.Elems[1], c)
	keepSubcommandDocs(&theirs.Elems[1], c)
	if ours.String() != theirs.String() {
		t.Errorf("RESP%s COMMAND DOCS %s\n ours   %v\n redis  %v", proto, c.Name, ours, theirs)
	}
}

// keepSubcommands leaves those that both have in element i of a COMMAND INFO, sorted: Redis's order is
// that of a hash table with a random seed.
func keepSubcommands(info *redistest.Value, c *Command, i int) {
	var kept redistest.Value
	for _, sub := range info.Elems[i].Elems {
		if isOurs(c, sub.Elems[0].Text) {
			kept.Elems = append(kept.Elems, sub)
		}
	}
	info.Elems[i].Elems, info.Elems[i].Text = kept.Sorted(1).Elems, ""
}

// keepSubcommandDocs does the same in a COMMAND DOCS.
func keepSubcommandDocs(docs *redistest.Value, c *Command) {
	for i, name := range docs.Elems {
		if name.Text != "subcommands" {
			continue
		}
		subs := &docs.Elems[i+1]
		var kept redistest.Value
		for j := 0; j < len(subs.Elems); j += 2 {
			if isOurs(c, subs.Elems[j].Text) {
				kept.Elems = append(kept.Elems, subs.Elems[j], subs.Elems[j+1])
			}
		}
		subs.Elems, subs.Text = kept.Sorted(2).Elems, ""
		return
	}
}

func isOurs(c *Command, name string) bool {
	_, short, _ := strings.Cut(name, "|")
	return c.FindSub([]byte(short)) != nil && !slices.Contains(notInRedis, name)
}

func TestCommandGetKeysIsRedis(t *testing.T) {
	redis := redistest.Dial(t, redistest.Start(t))
	table := NewTable()
	for _, proto := range []string{"2", "3"} {
		redis.Do("HELLO", proto)
		for _, call := range []string{
			"get a", "set a b", "set a b xx get", "set a b EX 5", "mset a 1 b 2", "mset a 1 b", "copy a b db 3",
			"object freq a", "object nosuch a", "lcs a b len", "rename a b", "ping", "nosuch", "get", "get a b",
			"del a b c", "hset h f v", "watch a b", "object help", "OBJECT", "client id", "hrandfield h 3",
		} {
			args := strings.Fields(call)
			var raw [][]byte
			for _, arg := range args {
				raw = append(raw, []byte(arg))
			}
			for _, sub := range []string{"GETKEYS", "GETKEYSANDFLAGS"} {
				if len(args) < 2 {
					continue // refused by the arity of COMMAND itself
				}
				w := resp.Writer{Proto: int(proto[0] - '0')}
				table.WriteKeys(&w, raw, sub == "GETKEYSANDFLAGS")
				if theirs := redis.Do(append([]string{"COMMAND", sub}, args...)...); string(theirs) != string(w.B) {
					t.Errorf("RESP%s COMMAND %s %s\n ours   %q\n redis  %q", proto, sub, call, w.B, theirs)
				}
			}
		}
	}
}
