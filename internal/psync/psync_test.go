package psync

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"testing"
	"testing/iotest"
	"time"

	"brainer/internal/rdb"
	"brainer/internal/redistest"
	"brainer/internal/transfer"
	"brainer/resp"
)

func TestMarkedFilesEndAtTheMark(t *testing.T) {
	mark := "0123456789abcdefghijklmnopqrstuvwxyzABCD"
	for _, file := range []string{"", "x", "RDB", mark[:39], mark[:20] + mark[:39], strings.Repeat("y", 5000) + mark[:10]} {
		for _, from := range []io.Reader{strings.NewReader(file + mark + "*1"), iotest.OneByteReader(strings.NewReader(file + mark + "*1"))} {
			r := bufio.NewReaderSize(from, 64)
			got, err := io.ReadAll(&marked{r: r, mark: []byte(mark)})
			rest, _ := io.ReadAll(r)
			if err != nil || string(got) != file || string(rest) != "*1" {
				t.Errorf("%.50q: %.50q, then %q; %v", file, got, rest, err)
			}
		}
	}
	if _, err := io.ReadAll(&marked{r: bufio.NewReader(strings.NewReader("cut off")), mark: []byte(mark)}); err != io.ErrUnexpectedEOF {
		t.Errorf("cut off: %v", err)
	}
}

// names reads the stream up to a command, and returns their names.
func names(t *testing.T, l *Link, last string) (all []string) {
	t.Helper()
	for {
		cmd, ok, err := l.Next()
		if err != nil {
			t.Fatal(err)
		}
		if !ok {
			if _, err := l.Fill(time.Second); err != nil {
				t.Fatal(err)
			}
			continue
		}
		name := strings.ToLower(string(bytes.Join(cmd.Args, []byte(" "))))
		if all = append(all, name); name == last {
			return all
		}
	}
}

func TestFileAndStreamOfARealServer(t *testing.T) {
	for _, diskless := range []string{"yes", "no"} {
		addr := redistest.Start(t, "--repl-diskless-sync", diskless, "--repl-diskless-sync-delay", "0")
		r := redistest.Dial(t, addr)
		r.Do("SET", "before", "x")
		r.Do("CONFIG", "SET", "requirepass", "secret")
		if _, err := Dial(t.Context(), Options{Addr: addr, Password: "wrong"}); !errors.As(err, new(ErrRefused)) {
			t.Fatalf("a wrong password: %v", err)
		}
		l, err := Dial(t.Context(), Options{Addr: addr, User: "default", Password: "secret"})
		if err != nil {
			t.Fatal(err)
		}
		file, err := l.Full()
		if err != nil {
			t.Fatal(err)
		}
		keys := 0
		if err := rdb.Read(file, rdb.Visitor{Piece: func(p *transfer.Piece) error { keys++; return nil }}); err != nil || keys != 1 {
			t.Fatalf("diskless %s: %d keys, %v", diskless, keys, err)
		}
		if n, err := io.Copy(io.Discard, file); n != 0 || err != nil {
			t.Fatalf("%d bytes behind the file, %v", n, err)
		}
		l.Ack(l.Offset)
		r.Do("SELECT", "3")
		r.Do("SET", "k", "v", "EX", "100")
		r.Do("SET", "last", "1")
		got := names(t, l, "set last 1")
		if k := len(got); k < 3 || got[k-3] != "select 3" || !strings.HasPrefix(got[k-2], "set k v pxat ") {
			t.Errorf("diskless %s: %q", diskless, got)
		}
		run, offset := l.Run, l.Offset
		l.Close()

		r.Do("SET", "missed", "1")
		if l, err = Dial(t.Context(), Options{Addr: addr, Password: "secret"}); err != nil {
			t.Fatal(err)
		}
		if ok, err := l.Continue(run, offset); !ok || err != nil {
			t.Fatalf("continue: %v, %v", ok, err)
		}
		if got := names(t, l, "set missed 1"); len(got) != 1 {
			t.Errorf("after it: %q", got)
		}
		l.Close()
		if l, err = Dial(t.Context(), Options{Addr: addr, Password: "secret"}); err != nil {
			t.Fatal(err)
		}
		if ok, err := l.Continue(strings.Repeat("f", 40), 1); ok || err != nil {
			t.Errorf("another history: %v, %v", ok, err)
		}
		l.Close()
	}
}

func TestEndOfContextEndsTheLink(t *testing.T) {
	addr := redistest.Start(t)
	ctx, cancel := context.WithCancel(context.Background())
	l, err := Dial(ctx, Options{Addr: addr})
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	cancel()
	if _, err := l.line(); err == nil {
		t.Error("it still reads")
	}
}

// A source as Redis 2.8 was: it knows no capabilities, sends a file of version 6 of known length, and says CONTINUE without a name.
func TestAnOlderSourceIsFollowed(t *testing.T) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	run := strings.Repeat("a", 40)
	file := "REDIS0006\xfe\x00\x00\x01k\x01v\xff" + strings.Repeat("\x00", 8)
	answers := map[string]string{
		"PING":     "+PONG\r\n",
		"REPLCONF": "-ERR Unrecognized REPLCONF option: capa\r\n",
		"PSYNC ?":  fmt.Sprintf("+FULLRESYNC %s 1\r\n\n\n$%d\r\n%s*1\r\n$4\r\nPING\r\n*3\r\n$3\r\nset\r\n$1\r\na\r\n$1\r\n1\r\n", run, len(file), file),
		"PSYNC a":  "+CONTINUE\r\n*3\r\n$3\r\nset\r\n$1\r\nb\r\n$1\r\n2\r\n",
	}
	served := make(chan error, 2)
	go func() {
		for range 2 {
			conn, err := ln.Accept()
			if err != nil {
				served <- err
				return
			}
			served <- answer(conn, answers)
		}
	}()
	for _, last := range []string{"set a 1", "set b 2"} {
		l, err := Dial(t.Context(), Options{Addr: ln.Addr().String()})
		if err != nil {
			t.Fatal(err)
		}
		if last == "set b 2" {
			if ok, err := l.Continue(run, 43); !ok || err != nil || l.Run != run {
				t.Fatalf("continue: %v, %v, run %q", ok, err, l.Run)
			}
		} else {
			file, err := l.Full()
			if err != nil {
				t.Fatal(err)
			}
			var key string
			if err := rdb.Read(file, rdb.Visitor{Piece: func(p *transfer.Piece) error { key = string(p.Key); return nil }}); err != nil || key != "k" {
				t.Fatalf("the file has key %q, %v", key, err)
			}
		}
		if got := names(t, l, last); got[len(got)-1] != last {
			t.Errorf("%q", got)
		}
		l.Close()
		if err := <-served; err != nil {
			t.Error(err)
		}
	}
}

// answer answers a replica's commands, by how they begin, until it leaves.
func answer(conn net.Conn, answers map[string]string) error {
	defer conn.Close()
	r := resp.NewReader(conn)
	for {
		cmd, ok, err := r.Next()
		if err != nil {
			return err
		}
		if !ok {
			if r.Fill() != nil {
				return nil
			}
			continue
		}
		name := string(cmd.Args[0])
		if name == "PSYNC" {
			name += " " + string(cmd.Args[1][:1])
		}
		if _, err := io.WriteString(conn, answers[name]); err != nil {
			return err
		}
	}
}
