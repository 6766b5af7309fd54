package resp

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"reflect"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/tidwall/redcon"
)

// chunks is a source that gives its bytes in the sizes of next, then EOF.
type chunks struct {
	b    []byte
	next func() int
}

func (c *chunks) Read(p []byte) (int, error) {
	if len(c.b) == 0 {
		return 0, io.EOF
	}
	n := copy(p, c.b[:min(len(c.b), max(1, c.next()))])
	c.b = c.b[n:]
	return n, nil
}

func always(n int) func() int { return func() int { return n } }

// drain reads everything and returns copies of the arguments, and the last error.
func drain(t testing.TB, r *Reader) (cmds [][]string, raws []string, last error) {
	t.Helper()
	for {
		cmd, ok, err := r.Next()
		if err != nil {
			return cmds, raws, err
		}
		if ok {
			var args []string
			for _, a := range cmd.Args {
				args = append(args, string(a))
			}
			if want := AppendCommand(nil, cmd.Args...); !bytes.Equal(want, cmd.Raw) {
				t.Fatalf("Raw is %q, not the canonical %q", cmd.Raw, want)
			}
			cmds, raws = append(cmds, args), append(raws, string(cmd.Raw))
			continue
		}
		if err := r.Fill(); err != nil {
			return cmds, raws, err
		}
	}
}

func read(t testing.TB, input string, chunk int) ([][]string, error) {
	t.Helper()
	cmds, _, err := drain(t, NewReader(&chunks{[]byte(input), always(chunk)}))
	return cmds, err
}

func TestReaderReadsWhatRedisAccepts(t *testing.T) {
	long := strings.Repeat("x", 70000)
	for _, tt := range []struct {
		in   string
		want [][]string
	}{
		{"*1\r\n$4\r\nPING\r\n", [][]string{{"PING"}}},
		{"*2\r\n$3\r\nGET\r\n$0\r\n\r\n*1\r\n$1\r\na\r\n", [][]string{{"GET", ""}, {"a"}}},
		{"*0\r\n*-1\r\n*-7\r\n*1\r\n$1\r\na\r\n", [][]string{{"a"}}},
		{"\r\n\n  \r\n*1\r\n$1\r\na\r\n", [][]string{{"a"}}},
		{"PING\r\n", [][]string{{"PING"}}},
		{"set a  'b c' \"d\\n\\x41\\\"\"\n", [][]string{{"set", "a", "b c", "d\nA\""}}},
		{"a 'it\\'s' \"\"\n", [][]string{{"a", "it's", ""}}},
		{"a\"b\"\n", [][]string{{"ab"}}},
		{"one\r\n*1\r\n$3\r\ntwo\r\nthree x\r\n", [][]string{{"one"}, {"two"}, {"three", "x"}}},
		// Redis skips the byte behind CR, and the two behind an argument, unseen.
		{"*2\rX$1\rXaYZ$1\r\nb\r\n", [][]string{{"a", "b"}}},
		{"*1\r\n$70000\r\n" + long + "\r\n", [][]string{{long}}},
		{"*3\r\n$1\r\na\r\n$0\r\n\r\n$2\r\n\r\n\r\n", [][]string{{"a", "", "\r\n"}}},
	} {
		for _, chunk := range []int{1, 2, 3, 7, 1 << 20} {
			got, err := read(t, tt.in, chunk)
			if err != io.EOF || !reflect.DeepEqual(got, tt.want) {
				t.Errorf("%.60q in pieces of %d: %.200q, %v", tt.in, chunk, got, err)
			}
		}
	}
}

var protocolErrors = []struct{ in, want string }{
	{"*1\r\n$9223372036854775807\r\nxxxxxxx", "invalid bulk length"},
	{"*9000000000000000000\r\n", "invalid multibulk length"},
	{"*9223372036854775808\r\n", "invalid multibulk length"},
	{"*1048577\r\n", "invalid multibulk length"},
	{"*a\r\n", "invalid multibulk length"},
	{"*\r\n", "invalid multibulk length"},
	{"*01\r\n", "invalid multibulk length"},
	{"*+1\r\n", "invalid multibulk length"},
	{"*-0\r\n", "invalid multibulk length"},
	{"*1\r\n$-1\r\n", "invalid bulk length"},
	{"*1\r\n$\r\n", "invalid bulk length"},
	{"*1\r\n$01\r\n", "invalid bulk length"},
	{"*1\r\n$536870913\r\n", "invalid bulk length"},
	{"*1\r\n$4294967296\r\n", "invalid bulk length"},
	{"*1\r\nfoo\r\n", "expected '$', got 'f'"},
	{"*1\r\n\r\n", "expected '$', got '\r'"},
	{"*2\r\n$1\r\na\r\n:1\r\n", "expected '$', got ':'"},
	{"a 'b\r\n", "unbalanced quotes in request"},
	{"a \"b\"c\r\n", "unbalanced quotes in request"},
	{strings.Repeat("a", 70000), "too big inline request"},
	{"*" + strings.Repeat("1", 70000), "too big mbulk count string"},
	{"*1\r\n$" + strings.Repeat("1", 70000), "too big bulk count string"},
}

func TestReaderAnswersInvalidInputWithRedisTexts(t *testing.T) {
	for _, tt := range protocolErrors {
		for _, chunk := range []int{1, 13, 1 << 20} {
			got, err := read(t, "*1\r\n$4\r\nPING\r\n"+tt.in, chunk)
			if want := ProtocolError(tt.want); err != want {
				t.Errorf("%.60q in pieces of %d: %v, want %v", tt.in, chunk, err, want)
			}
			if len(got) != 1 {
				t.Errorf("%.60q: the complete command before it is lost", tt.in)
			}
		}
	}
}

func TestReaderHoldsAStrangerToTenSmallArguments(t *testing.T) {
	for _, tt := range []struct{ in, want string }{
		{"*11\r\n", "unauthenticated multibulk length"},
		{"*1\r\n$16385\r\n", "unauthenticated bulk length"},
	} {
		r := NewReader(strings.NewReader(tt.in))
		r.Unauthenticated = true
		if _, _, err := drain(t, r); err != ProtocolError(tt.want) {
			t.Errorf("%q: %v", tt.in, err)
		}
		if _, err := read(t, tt.in, 4); err != io.EOF {
			t.Errorf("%q after AUTH: %v", tt.in, err)
		}
	}
}

// A client that sends AUTH and a large command in one packet is not held to the limits by then.
func TestLimitsOfAStrangerEndBetweenTwoCommandsOfOnePacket(t *testing.T) {
	r := NewReader(strings.NewReader("*1\r\n$4\r\nAUTH\r\n*11\r\n" + strings.Repeat("$1\r\nx\r\n", 11)))
	r.Unauthenticated = true
	if err := r.Fill(); err != nil {
		t.Fatal(err)
	}
	if cmd, ok, err := r.Next(); !ok || string(cmd.Args[0]) != "AUTH" {
		t.Fatal(ok, err)
	}
	r.Unauthenticated = false
	if cmd, ok, err := r.Next(); !ok || len(cmd.Args) != 11 {
		t.Fatal(ok, err)
	}
}

func TestReaderRefusesACommandOverItsBound(t *testing.T) {
	r := NewReader(&chunks{[]byte("*2\r\n$100\r\n" + strings.Repeat("x", 100) + "\r\n$1000\r\n" + strings.Repeat("x", 5000)), always(50)})
	r.Limits.CommandMax = 300
	if _, _, err := drain(t, r); err != ErrTooLarge {
		t.Fatal(err)
	}
	// Commands that are complete are not counted together.
	r = NewReader(&chunks{bytes.Repeat([]byte("*1\r\n$4\r\nPING\r\n"), 1000), always(100)})
	r.Limits.CommandMax = 300
	if cmds, _, err := drain(t, r); err != io.EOF || len(cmds) != 1000 {
		t.Fatal(len(cmds), err)
	}
}

func TestMemoryFollowsWhatArrivedNotWhatWasAnnounced(t *testing.T) {
	for _, in := range []string{
		"*1\r\n$536870912\r\nabc",
		"*1048576\r\n$1\r\na\r\n",
	} {
		r := NewReader(strings.NewReader(in))
		drain(t, r)
		if len(r.buf) > 2*bufferMin || cap(r.spans) > 1000 {
			t.Errorf("%q holds %d bytes, %d spans", in, len(r.buf), cap(r.spans))
		}
	}
}

func TestALargeBufferIsGivenBack(t *testing.T) {
	big := AppendCommand(nil, []byte("SET"), []byte("k"), make([]byte, 8<<20))
	r := NewReader(&chunks{append(big, "*1\r\n$4\r\nPING\r\n"...), always(1 << 16)})
	for {
		cmd, ok, err := r.Next()
		if err != nil {
			t.Fatal(err)
		}
		if ok && len(cmd.Args) == 1 {
			break
		}
		if !ok {
			if err := r.Fill(); err != nil {
				t.Fatal(err)
			}
		}
	}
	_ = r.Fill()
	if len(r.buf) > bufferKeep {
		t.Fatalf("%d bytes kept", len(r.buf))
	}
}

func TestTheBufferFollowsThePipelines(t *testing.T) {
	size := func(r *Reader, fills int) int {
		for range fills {
			for {
				if _, ok, err := r.Next(); err != nil {
					t.Fatal(err)
				} else if !ok {
					break
				}
			}
			if err := r.Fill(); err != nil {
				t.Fatal(err)
			}
		}
		return len(r.buf)
	}
	ping := []byte("*1\r\n$4\r\nPING\r\n")
	piece := 1 << 20
	r := NewReader(&chunks{bytes.Repeat(ping, 100_000), func() int { return piece }})
	if n := size(r, 20); n != bufferFill {
		t.Errorf("%d bytes for a flood", n)
	}
	piece = len(ping)
	if n := size(r, 2*smallReads); n != bufferMin {
		t.Errorf("%d bytes for single commands", n)
	}
}

// cpuTime is what this process has used.
func cpuTime(t *testing.T) time.Duration {
	var use syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &use); err != nil {
		t.Fatal(err)
	}
	return time.Duration(use.Utime.Nano() + use.Stime.Nano())
}

// The command redcon's reader parses again at every read: 32 MB of small pairs in pieces of 4 KB.
func TestALargeCommandInPiecesTakesLinearTime(t *testing.T) {
	var in []byte
	const pairs = 500_000
	in = appendHead(in, '*', 2*pairs+1)
	in = append(in, "$4\r\nMSET\r\n"...)
	for i := range pairs {
		in = append(in, fmt.Sprintf("$11\r\nkey:%07d\r\n$16\r\nvalue:0123456789\r\n", i)...)
	}
	began := cpuTime(t)
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	r := NewReader(&chunks{in, always(4096)})
	for {
		cmd, ok, err := r.Next()
		if err != nil {
			t.Fatal(err)
		}
		if ok {
			if len(cmd.Args) != 2*pairs+1 {
				t.Fatal(len(cmd.Args))
			}
			break
		}
		if err := r.Fill(); err != nil {
			t.Fatal(err)
		}
	}
	runtime.ReadMemStats(&after)
	took := cpuTime(t) - began
	t.Logf("%d MB in %v, %d MB allocated", len(in)>>20, took, (after.TotalAlloc-before.TotalAlloc)>>20)
	// A reader that begins anew at every read takes minutes; a busy machine must not fail the test.
	if took > 10*time.Second {
		t.Errorf("took %v of CPU", took)
	}
	if got := after.TotalAlloc - before.TotalAlloc; got > 12*uint64(len(in)) {
		t.Errorf("%d bytes allocated for %d", got, len(in))
	}
}

func TestReaderAgreesWithRedconOnValidInput(t *testing.T) {
	rnd := rand.New(rand.NewPCG(1, 2))
	var in []byte
	for range 3000 {
		args := make([][]byte, 1+rnd.IntN(6))
		for i := range args {
			args[i] = make([]byte, 1+rnd.IntN(40))
			for j := range args[i] {
				args[i][j] = "abc \"'\\\r\n$*\x00\xff"[rnd.IntN(13)]
			}
		}
		if rnd.IntN(4) == 0 {
			in = append(in, "GET plain \"quo ted\"\r\n"...)
		} else {
			in = AppendCommand(in, args...)
		}
	}
	theirs := redcon.NewReader(bytes.NewReader(in))
	ours := NewReader(&chunks{bytes.Clone(in), func() int { return 1 + rnd.IntN(300) }})
	cmds, raws, err := drain(t, ours)
	if err != io.EOF {
		t.Fatal(err)
	}
	for i := range cmds {
		cmd, err := theirs.ReadCommand()
		if err != nil {
			t.Fatal(i, err)
		}
		if string(cmd.Raw) != raws[i] || len(cmd.Args) != len(cmds[i]) {
			t.Fatalf("command %d: %q, redcon %q", i, raws[i], cmd.Raw)
		}
		for j := range cmd.Args {
			if string(cmd.Args[j]) != cmds[i][j] {
				t.Fatalf("command %d: %q, redcon %q", i, cmds[i], cmd.Args)
			}
		}
	}
	if _, err := theirs.ReadCommand(); !errors.Is(err, io.EOF) {
		t.Fatal("redcon read more:", err)
	}
}

func FuzzReader(f *testing.F) {
	for _, tt := range protocolErrors {
		f.Add([]byte(tt.in[:min(len(tt.in), 200)]), uint64(1))
	}
	f.Add([]byte("*2\r\n$3\r\nGET\r\n$1\r\nk\r\nset 'a b' \"\\x41\"\r\n*0\r\n*1\rX$1\rXaYZ"), uint64(7))
	f.Fuzz(func(t *testing.T, in []byte, seed uint64) {
		whole, _, wholeErr := drain(t, NewReader(&chunks{bytes.Clone(in), always(1 << 30)}))
		rnd := rand.New(rand.NewPCG(seed, 1))
		r := NewReader(&chunks{bytes.Clone(in), func() int { return 1 + rnd.IntN(9) }})
		split, _, splitErr := drain(t, r)
		if !reflect.DeepEqual(whole, split) || wholeErr != splitErr {
			t.Fatalf("whole %q %v, in pieces %q %v", whole, wholeErr, split, splitErr)
		}
		if len(r.buf) > 2*len(in)+bufferFill {
			t.Fatalf("%d bytes held for %d", len(r.buf), len(in))
		}
	})
}

// loop gives the same bytes for ever, as many whole copies as fit.
type loop struct{ b []byte }

func (l loop) Read(p []byte) (n int, err error) {
	for len(p)-n >= len(l.b) {
		n += copy(p[n:], l.b)
	}
	if n == 0 {
		n = copy(p, l.b)
	}
	return n, nil
}

func BenchmarkReaderPipeline(b *testing.B) {
	cmd := AppendCommand(nil, []byte("SET"), []byte("key:00000001"), bytes.Repeat([]byte("x"), 64))
	r := NewReader(loop{bytes.Repeat(cmd, 16)})
	b.ReportAllocs()
	b.SetBytes(int64(len(cmd)))
	for b.Loop() {
		for {
			_, ok, err := r.Next()
			if err != nil {
				b.Fatal(err)
			}
			if ok {
				break
			}
			if err := r.Fill(); err != nil {
				b.Fatal(err)
			}
		}
	}
}

func BenchmarkReaderInline(b *testing.B) {
	r := NewReader(loop{bytes.Repeat([]byte("SET key:00000001 some-value\r\n"), 16)})
	b.ReportAllocs()
	for b.Loop() {
		for {
			_, ok, _ := r.Next()
			if ok {
				break
			}
			if err := r.Fill(); err != nil {
				b.Fatal(err)
			}
		}
	}
}
