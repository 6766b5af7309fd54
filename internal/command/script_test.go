package command

import (
	"bytes"
	"fmt"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"brainer/internal/redistest"
	"brainer/resp"

	"github.com/cockroachdb/datadriven"
)

// scriptStartMs is the time a script begins at, until it says "at".
const scriptStartMs = 1_700_000_000_000

// TestScripts runs the scripts under testdata. A block's first line is
//
//	run [proto=3] [at=+MS] [ours]
//
// and every line below it a command in redis-cli's notation, answered by a line after "----".
// "at" moves the time forward. "txn" runs the lines as one transaction. The blocks without "at" and
// without "ours" (what a real redis-server does differently, or which would have to wait) are
// compared with it by TestScriptsAnswerAsRedis.
func TestScripts(t *testing.T) {
	datadriven.Walk(t, "testdata", func(t *testing.T, path string) {
		if !strings.HasSuffix(path, ".txt") {
			return
		}
		node := newTestNode(2)
		nowMs := int64(scriptStartMs)
		node.now = func() int64 { return nowMs }
		datadriven.RunTest(t, path, func(t *testing.T, d *datadriven.TestData) string {
			node.ctx.W.Proto = scriptProto(d)
			if d.HasArg("at") {
				var at string
				d.ScanArgs(t, "at", &at)
				ms, err := strconv.ParseInt(strings.TrimPrefix(at, "+"), 10, 64)
				if err != nil {
					d.Fatalf(t, "at: %v", err)
				}
				nowMs += ms
			}
			var out strings.Builder
			switch d.Cmd {
			case "run":
				for _, args := range scriptCommands(t, d.Input) {
					fmt.Fprintln(&out, show(redistest.Parse(node.do(args...))))
				}
			case "txn":
				for _, v := range redistest.Parse(node.txn(t, scriptCommands(t, d.Input)...)).Elems {
					fmt.Fprintln(&out, show(v))
				}
			default:
				d.Fatalf(t, "unknown directive %q", d.Cmd)
			}
			return out.String()
		})
		if len(node.ctx.Faults) > 0 {
			t.Errorf("panic: %v\n%s", node.ctx.Faults[0].Value, node.ctx.Faults[0].Stack)
		}
	})
}

// TestScriptsAnswerAsRedis runs the same scripts on a node and on a redis-server, in both protocol
// versions, and compares the bytes.
func TestScriptsAnswerAsRedis(t *testing.T) {
	addr := redistest.Start(t)
	paths, err := filepath.Glob("testdata/*.txt")
	if err != nil || len(paths) == 0 {
		t.Fatalf("scripts: %v, %v", paths, err)
	}
	for _, path := range paths {
		for proto := 2; proto <= 3; proto++ {
			t.Run(fmt.Sprintf("%s/RESP%d", filepath.Base(path), proto), func(t *testing.T) {
				pair := newPair(t, addr, proto)
				datadriven.RunTest(t, path, func(t *testing.T, d *datadriven.TestData) string {
					if !d.HasArg("ours") && !d.HasArg("at") {
						compareBlock(t, pair, d)
					}
					return d.Expected
				})
			})
		}
	}
}

func compareBlock(t *testing.T, pair *pair, d *datadriven.TestData) {
	commands := scriptCommands(t, d.Input)
	if d.Cmd == "txn" {
		ours := bytes.Clone(pair.node.txn(t, commands...))
		pair.redis.Do("MULTI")
		for _, args := range commands {
			pair.redis.Do(args...)
		}
		if theirs := pair.redis.Do("EXEC"); !bytes.Equal(ours, theirs) {
			t.Errorf("%s: %q\n ours   %q\n redis  %q", d.Pos, commands, ours, theirs)
		}
		return
	}
	for _, args := range commands {
		if difference := pair.compare(args); difference != "" {
			t.Errorf("%s: %s", d.Pos, difference)
		}
	}
}

func scriptProto(d *datadriven.TestData) int {
	for _, arg := range d.CmdArgs {
		if arg.Key == "proto" && len(arg.Vals) == 1 && arg.Vals[0] == "3" {
			return 3
		}
	}
	return 2
}

// scriptCommands reads one inline command per line.
func scriptCommands(t testing.TB, input string) (commands [][]string) {
	for _, line := range strings.Split(input, "\n") {
		r := resp.NewReader(strings.NewReader(line + "\r\n"))
		if err := r.Fill(); err != nil {
			t.Fatalf("%q: %v", line, err)
		}
		command, ok, err := r.Next()
		if err != nil || !ok {
			t.Fatalf("%q: %v", line, err)
		}
		var args []string
		for _, arg := range command.Args {
			args = append(args, string(arg))
		}
		commands = append(commands, args)
	}
	return commands
}

// show writes a reply on one line: bulk strings in quotes, errors after "-", RESP3's types by name.
func show(v redistest.Value) string {
	switch v.Kind {
	case '+':
		return v.Text
	case '-':
		return "-" + v.Text
	case ':':
		return v.Text
	case '_':
		return "nil"
	case '$':
		if len(v.Text) > 100 {
			return fmt.Sprintf("%q... (%d bytes)", v.Text[:20], len(v.Text))
		}
		return strconv.Quote(v.Text)
	case '*', '~', '%':
		name := map[byte]string{'*': "", '~': "set", '%': "map"}[v.Kind]
		parts := make([]string, len(v.Elems))
		for i, e := range v.Elems {
			parts[i] = show(e)
		}
		return name + "[" + strings.Join(parts, " ") + "]"
	}
	return v.String()
}
