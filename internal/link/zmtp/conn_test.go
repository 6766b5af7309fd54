package zmtp

import (
	"bytes"
	"encoding/binary"
	"errors"
	"io"
	"slices"
	"testing"

	"golang.org/x/sys/unix"

	"brainer/internal/link"
	"brainer/internal/link/linktest"
)

// pair is a router's connection and the descriptor at the other end.
func pair(t testing.TB) (c *conn, peer int) {
	t.Helper()
	fds, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC, 0)
	linktest.Must(t, err)
	ep, _, err := newEpoll(0)
	linktest.Must(t, err)
	t.Cleanup(func() {
		for _, fd := range append(fds[:], ep) {
			_ = unix.Close(fd)
		}
	})
	c = newConn(ep, fds[0], Options{MaxMsgBytes: 64 << 20})
	c.router = true
	linktest.Must(t, c.watch(unix.EPOLL_CTL_ADD, unix.EPOLLIN))
	return c, fds[1]
}

// feed writes to the connection's peer and has it read all; it returns the messages that came.
func feed(t testing.TB, c *conn, peer int, sent []byte) (got [][]byte, err error) {
	t.Helper()
	for {
		if len(sent) > 0 {
			n, werr := unix.Write(peer, sent)
			if werr != nil && werr != unix.EAGAIN {
				t.Fatal(werr)
			}
			sent = sent[max(n, 0):]
		}
		err := c.fill()
		for err == nil && c.phase != open {
			err = c.shake()
		}
		for err == nil {
			var body []byte
			if body, err = c.next(); err == nil {
				got = append(got, slices.Concat(body, c.place.last))
			}
		}
		if !errors.Is(err, link.ErrAgain) {
			return got, err
		}
		if len(sent) == 0 && c.r == c.w {
			return got, nil
		}
		if readable, _ := c.peek(); len(sent) == 0 && !readable {
			return got, nil // the rest of a frame is missing
		}
	}
}

// feedInPieces feeds a stream, so many bytes at a time, and expects these messages.
func feedInPieces(t *testing.T, c *conn, peer int, stream []byte, piece int, want [][]byte) {
	t.Helper()
	var got [][]byte
	for part := range slices.Chunk(stream, piece) {
		more, err := feed(t, c, peer, part)
		linktest.Must(t, err)
		got = append(got, more...)
	}
	if len(got) != len(want) {
		t.Fatalf("pieces of %d: %d messages, want %d", piece, len(got), len(want))
	}
	for i := range want {
		if !bytes.Equal(got[i], want[i]) {
			t.Errorf("pieces of %d: message %d is different", piece, i)
		}
	}
}

func handshakeOf(socketType, identity string) []byte {
	return appendReady(greeting(), socketType, identity)
}

func TestFramesInEveryPiece(t *testing.T) {
	stream := handshakeOf("DEALER", "n1")
	var want [][]byte
	for _, n := range []int{0, 1, 255, 256, 3000} {
		body := bytes.Repeat([]byte{byte(n)}, n)
		stream = append(appendHead(stream, 0, n), body...)
		want = append(want, body)
	}
	for _, piece := range []int{1, 7, 63, 1000, len(stream)} {
		c, peer := pair(t)
		feedInPieces(t, c, peer, stream, piece, want)
		if c.identity != "n1" {
			t.Fatalf("pieces of %d: messages of %q", piece, c.identity)
		}
	}
}

func TestWhatIsNotZMTPEndsTheConnection(t *testing.T) {
	good := handshakeOf("DEALER", "n1")
	curve := greeting()
	copy(curve[mechanismAt:], "CURVE")
	old := greeting()
	old[10] = 2
	for name, stream := range map[string][]byte{
		"HTTP":                       []byte("GET / HTTP/1.1\r\n\r\n"),
		"an older version":           old,
		"another mechanism":          curve,
		"a message before READY":     append(greeting(), 0, 1, 'x'),
		"another command":            append(greeting(), flagCommand, 6, 5, 'E', 'R', 'R', 'O', 'R'),
		"a socket type that is none": handshakeOf("PUB", ""),
		"a long identity":            handshakeOf("DEALER", string(bytes.Repeat([]byte{'a'}, 256))),
		"an identity of ZeroMQ's":    handshakeOf("DEALER", "\x00abcd"),
		"a READY cut short":          append(greeting(), flagCommand, 8, 5, 'R', 'E', 'A', 'D', 'Y', 11, 'S'),
		"a READY without end":        binary.BigEndian.AppendUint64(append(greeting(), flagCommand|flagLong), 1<<62),
		"a message without end":      binary.BigEndian.AppendUint64(append(bytes.Clone(good), flagLong), 1<<63),
		"a command too long":         binary.BigEndian.AppendUint64(append(bytes.Clone(good), flagCommand|flagLong), commandMax+1),
	} {
		c, peer := pair(t)
		if got, err := feed(t, c, peer, stream); err == nil || len(got) > 0 {
			t.Errorf("%s: %q, %v", name, got, err)
		}
	}
}

func TestAnAnnouncedSizeTakesNoMemory(t *testing.T) {
	c, peer := pair(t)
	stream := binary.BigEndian.AppendUint64(append(handshakeOf("DEALER", ""), flagLong), 60<<20)
	_, err := feed(t, c, peer, append(stream, make([]byte, 100<<10)...))
	linktest.Must(t, err)
	if len(c.in) > 512<<10 {
		t.Errorf("100 KB arrived of 60 MB, the buffer has %d", len(c.in))
	}
}

func TestTooLargeAMessageIsTold(t *testing.T) {
	c, peer := pair(t)
	_, err := feed(t, c, peer, handshakeOf("DEALER", ""))
	linktest.Must(t, err)
	_, err = unix.Write(peer, binary.BigEndian.AppendUint64([]byte{flagLong}, 1<<62))
	linktest.Must(t, err)
	linktest.Must(t, c.fill())
	if !c.whole() {
		t.Error("who waits for a whole frame would read it all")
	}
}

func TestALargeBufferGoesWhenItsMessageWasTaken(t *testing.T) {
	c, peer := pair(t)
	const n = 5 << 20
	got, err := feed(t, c, peer, append(appendHead(handshakeOf("DEALER", ""), 0, n), make([]byte, n)...))
	linktest.Must(t, err)
	if len(got) != 1 || len(got[0]) != n || len(c.in) > inKeptMax {
		t.Errorf("%d messages, a buffer of %d", len(got), len(c.in))
	}
}

func TestWhoAsksAndDoesNotReadIsEnded(t *testing.T) {
	c, peer := pair(t)
	_, err := feed(t, c, peer, handshakeOf("DEALER", ""))
	linktest.Must(t, err)
	pings := bytes.Repeat(append(appendHead(nil, flagCommand, 23), "\x04PING\x00\x0a0123456789abcdef"...), 20_000)
	for range 10 {
		if _, err = feed(t, c, peer, pings); err != nil {
			break
		}
	}
	if err == nil || c.outBytes > 1<<20 {
		t.Errorf("%v; %d bytes wait", err, c.outBytes)
	}
}

func TestAPINGIsAnswered(t *testing.T) {
	c, peer := pair(t)
	stream := handshakeOf("DEALER", "")
	stream = append(appendHead(stream, flagCommand, 10), "\x04PING\x00\x0aabc"...)
	_, err := feed(t, c, peer, stream)
	linktest.Must(t, err)
	said := make([]byte, 1000)
	n, err := unix.Read(peer, said)
	linktest.Must(t, err)
	if want := append(appendReady(nil, "ROUTER", ""), flagCommand, 8, 4, 'P', 'O', 'N', 'G', 'a', 'b', 'c'); !bytes.Equal(said[:n], want) {
		t.Errorf("%q, want %q", said[:n], want)
	}
}

func TestWhatThePeerHasNoRoomForIsWrittenLater(t *testing.T) {
	c, peer := pair(t)
	c.phase = open
	var sent, got []byte
	for i := range 400 {
		head, body := bytes.Repeat([]byte{byte(i)}, i*7%300), bytes.Repeat([]byte{byte(i + 1)}, i*977%70_000)
		linktest.Must(t, c.send(head, body, i%2 == 0))
		sent = append(append(appendHead(sent, 0, len(head)+len(body)), head...), body...)
		if clear(head); i%2 != 0 {
			clear(body)
		}
	}
	if len(c.out) == 0 || c.outBytes < len(sent)/2 {
		t.Fatalf("%d bytes wait of %d", c.outBytes, len(sent))
	}
	for buf := make([]byte, 1<<16); len(got) < len(sent); {
		n, err := unix.Read(peer, buf)
		if err == unix.EAGAIN {
			before := c.outBytes
			linktest.Must(t, c.flush())
			if before == c.outBytes {
				t.Fatalf("nothing written of %d bytes", before)
			}
			continue
		}
		linktest.Must(t, err)
		got = append(got, buf[:n]...)
	}
	if !bytes.Equal(got, sent) || c.outBytes != 0 || len(c.out) != 0 {
		t.Errorf("%d bytes arrived of %d, or others; %d wait", len(got), len(sent), c.outBytes)
	}
}

// FuzzStream: whatever a peer sends ends in messages or in an error, and takes no more memory than was sent.
func FuzzStream(f *testing.F) {
	f.Add([]byte("GET / HTTP/1.1\r\n\r\n"))
	f.Add(append(handshakeOf("DEALER", "n1"), 0, 3, 'a', 'b', 'c', flagMore, 0, 0, 1, 'd'))
	f.Add(append(handshakeOf("REQ", ""), flagLong, 0, 0, 0, 0, 0, 1, 0, 0, 'x'))
	f.Fuzz(func(t *testing.T, stream []byte) {
		c, peer := pair(t)
		got, err := feed(t, c, peer, stream)
		bytes := 0
		for _, m := range got {
			bytes += len(m)
		}
		if bytes > len(stream) || len(c.in) > 2*(inBytes+len(stream)) || errors.Is(err, io.EOF) {
			t.Errorf("%d bytes in messages, a buffer of %d, from %d; %v", bytes, len(c.in), len(stream), err)
		}
	})
}
