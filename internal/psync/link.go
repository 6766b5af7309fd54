package psync

import (
	"bufio"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"brainer/resp"
)

// Options say where the source is, and who asks.
type Options struct {
	Addr           string
	User, Password string
	TLS            *tls.Config // nil: in the clear
	Silence        time.Duration
}

// silenceMax is how long a source may say nothing: it pings every 10 s (repl-ping-replica-period).
const silenceMax = 60 * time.Second

// ackEvery is how often a replica says how far it is. A source that sends its file without a disk waits for one of these.
const ackEvery = time.Second

// Link is a connection to the source, used by one goroutine but for Ack and Close.
type Link struct {
	// Run and Offset are the history of the source and how many bytes of its stream have been read.
	Run    string
	Offset int64

	conn     net.Conn
	silence  time.Duration
	patience time.Duration // of a read
	heardAt  time.Time
	r        *bufio.Reader
	commands *resp.Reader
	mu       sync.Mutex // of writing
	unhook   func() bool

	acked  atomic.Int64
	acking sync.Once
	closed chan struct{}
	silent chan struct{} // closed when nothing is acknowledged any more
}

// ErrRefused: the source does not let us be a replica, and says why.
type ErrRefused string

func (e ErrRefused) Error() string { return "the source refuses to be followed: " + string(e) }

// Dial connects and introduces itself. The end of ctx ends the link.
func Dial(ctx context.Context, o Options) (*Link, error) {
	const patience = 10 * time.Second
	bounded, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	conn, err := new(net.Dialer).DialContext(bounded, "tcp", o.Addr)
	if err != nil {
		return nil, err
	}
	if o.TLS != nil {
		secured := tls.Client(conn, o.TLS)
		if err := secured.HandshakeContext(bounded); err != nil {
			conn.Close()
			return nil, err
		}
		conn = secured
	}
	l := &Link{conn: conn, silence: o.Silence, closed: make(chan struct{}), silent: make(chan struct{})}
	if l.silence == 0 {
		l.silence = silenceMax
	}
	l.patience = l.silence
	l.r = bufio.NewReaderSize(deadlined{l}, 256<<10)
	l.unhook = context.AfterFunc(ctx, func() { conn.Close() })
	if err := l.introduce(o); err != nil {
		l.Close()
		return nil, err
	}
	return l, nil
}

// deadlined gives every read its time.
type deadlined struct{ l *Link }

func (d deadlined) Read(b []byte) (int, error) {
	if err := d.l.conn.SetReadDeadline(time.Now().Add(d.l.patience)); err != nil {
		return 0, err
	}
	return d.l.conn.Read(b)
}

func (l *Link) introduce(o Options) error {
	if o.Password != "" {
		args := []string{"AUTH", o.Password}
		if o.User != "" {
			args = []string{"AUTH", o.User, o.Password}
		}
		if err := l.expect(args...); err != nil {
			return err
		}
	}
	if err := l.expect("PING"); err != nil {
		return err
	}
	// Older ones do not know of these, and need not.
	for _, args := range [][]string{{"REPLCONF", "listening-port", "0"}, {"REPLCONF", "capa", "eof", "capa", "psync2"}} {
		var refused ErrRefused
		if err := l.expect(args...); err != nil && !errors.As(err, &refused) {
			return err
		}
	}
	return nil
}

// expect sends a command and wants another answer than an error.
func (l *Link) expect(args ...string) error {
	line, err := l.ask(args...)
	if err == nil && strings.HasPrefix(line, "-") {
		err = ErrRefused(line[1:])
	}
	return err
}

func (l *Link) ask(args ...string) (line string, err error) {
	if err := l.send(args...); err != nil {
		return "", err
	}
	return l.line()
}

func (l *Link) send(args ...string) error {
	raw := make([][]byte, len(args))
	for i, a := range args {
		raw[i] = []byte(a)
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if err := l.conn.SetWriteDeadline(time.Now().Add(l.silence)); err != nil {
		return err
	}
	_, err := l.conn.Write(resp.AppendCommand(nil, raw...))
	return err
}

// line returns the next line that is not empty: those say that the source is still there.
func (l *Link) line() (string, error) {
	for {
		b, err := l.r.ReadSlice('\n')
		if err != nil {
			return "", err
		}
		if line := strings.TrimRight(string(b), "\r\n"); line != "" {
			return line, nil
		}
	}
}

// Continue asks for what follows offset in a history; false says that the source does not have it any more. The link
// is of no use then.
func (l *Link) Continue(run string, offset int64) (bool, error) {
	line, err := l.psync(run, strconv.FormatInt(offset+1, 10))
	if err != nil || !strings.HasPrefix(line, "+CONTINUE") {
		return false, err
	}
	l.Run, l.Offset = run, offset
	if words := strings.Fields(line); len(words) > 1 {
		l.Run = words[1] // it goes by another name since a failover
	}
	l.commands = resp.NewReader(l.r)
	return true, nil
}

// Full asks for everything. The RDB file that comes is to be read to its end, then the stream follows.
func (l *Link) Full() (file io.Reader, err error) {
	line, err := l.psync("?", "-1")
	if err != nil {
		return nil, err
	}
	words := strings.Fields(line)
	if len(words) != 3 || words[0] != "+FULLRESYNC" {
		return nil, fmt.Errorf("the answer to PSYNC is %.100q", line)
	}
	l.Run = words[1]
	if l.Offset, err = strconv.ParseInt(words[2], 10, 64); err != nil {
		return nil, fmt.Errorf("the answer to PSYNC is %.100q", line)
	}
	if line, err = l.line(); err != nil {
		return nil, err
	}
	l.commands = resp.NewReader(l.r)
	if mark, ok := strings.CutPrefix(line, "$EOF:"); ok && len(mark) == markBytes {
		return &marked{r: l.r, mark: []byte(mark)}, nil
	}
	n, err := strconv.ParseInt(strings.TrimPrefix(line, "$"), 10, 64)
	if line[0] != '$' || err != nil || n < 0 {
		return nil, fmt.Errorf("instead of an RDB file came %.100q", line)
	}
	return io.LimitReader(l.r, n), nil
}

func (l *Link) psync(run, offset string) (string, error) {
	line, err := l.ask("PSYNC", run, offset)
	if err == nil && strings.HasPrefix(line, "-") {
		return "", ErrRefused(line[1:])
	}
	return line, err
}

// Next returns the next command of the stream if it has arrived.
func (l *Link) Next() (cmd resp.Command, ok bool, err error) {
	cmd, ok, err = l.commands.Next()
	if ok {
		l.Offset += int64(len(cmd.Raw))
	}
	return cmd, ok, err
}

// Fill waits for more of the stream, for so long at most; it says whether there is. Commands returned before are gone.
func (l *Link) Fill(most time.Duration) (bool, error) {
	if l.heardAt.IsZero() {
		l.heardAt = time.Now()
	}
	l.patience = min(most, l.silence)
	_, err := l.r.Peek(1)
	l.patience = l.silence
	var timeout net.Error
	if errors.As(err, &timeout) && timeout.Timeout() && time.Since(l.heardAt) < l.silence {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	l.heardAt = time.Now()
	return true, l.commands.Fill()
}

// Ack has the source told, once a second from now on, how far its stream has been put away. The stream begins with that: call
// it when the file has been read.
func (l *Link) Ack(offset int64) {
	l.acked.Store(offset)
	l.acking.Do(func() { go l.keepAcking() })
}

// keepAcking ends with the link.
func (l *Link) keepAcking() {
	defer close(l.silent)
	tick := time.NewTicker(ackEvery)
	defer tick.Stop()
	for {
		if l.send("REPLCONF", "ACK", strconv.FormatInt(l.acked.Load(), 10)) != nil {
			return // reading tells, too
		}
		select {
		case <-tick.C:
		case <-l.closed:
			return
		}
	}
}

// Close ends the link.
func (l *Link) Close() {
	l.unhook()
	_ = l.conn.Close()
	close(l.closed)
	l.acking.Do(func() { close(l.silent) })
	<-l.silent
}
