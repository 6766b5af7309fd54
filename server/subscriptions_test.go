package server

import (
	"bufio"
	"fmt"
	"io"
	"strings"
	"testing"
)

// say sends lines and expects an answer, byte for byte.
func say(t *testing.T, conn io.ReadWriter, r *bufio.Reader, lines, want string) {
	t.Helper()
	fmt.Fprint(conn, strings.ReplaceAll(lines, "|", "\r\n")+"\r\n")
	want = strings.ReplaceAll(want, " ", "\r\n") + "\r\n"
	got := make([]byte, len(want))
	if n, err := io.ReadFull(r, got); err != nil || string(got) != want {
		t.Errorf("%s: %q, want %q (%v)", lines, got[:n], want, err)
	}
}

func TestAMessageOfTheTransactionThatSubscribesComesBehindItsReply(t *testing.T) {
	s := startServer(t, nil)
	conn := s.raw(t)
	r := bufio.NewReader(conn)
	say(t, conn, r, "MULTI|SUBSCRIBE c1|PSUBSCRIBE c*|PUBLISH c1 hi|EXEC",
		"+OK +QUEUED +QUEUED +QUEUED *3 *3 $9 subscribe $2 c1 :1 *3 $10 psubscribe $2 c* :2 :2 "+
			"*3 $7 message $2 c1 $2 hi *4 $8 pmessage $2 c* $2 c1 $2 hi")
}

func TestConfirmationsInATransactionComeInSpiteOfReplyOff(t *testing.T) {
	s := startServer(t, nil)
	conn := s.raw(t)
	r := bufio.NewReader(conn)
	say(t, conn, r, "CLIENT REPLY OFF|MULTI|SUBSCRIBE c1|SET k v|EXEC|PING", "*3 $9 subscribe $2 c1 :1")
}

func TestATransactionThatIsRefusedSubscribesToNothing(t *testing.T) {
	s := startServer(t, nil)
	conn := s.raw(t)
	r := bufio.NewReader(conn)
	refusal := "NOREPLICAS Not enough good replicas to write."
	s.backend.refuse.Store(&refusal)
	fmt.Fprint(conn, "MULTI\r\nSUBSCRIBE c1\r\nSET k v\r\nEXEC\r\nPING\r\n")
	for _, want := range []string{"+OK", "+QUEUED", "+QUEUED", "-" + refusal, "+PONG"} {
		line, err := r.ReadString('\n')
		if strings.TrimSpace(line) != want {
			t.Errorf("%q %v, want %s", line, err, want)
		}
	}
	if channels, _ := s.hub.size(); channels != 0 {
		t.Error("it has subscribed")
	}
}
