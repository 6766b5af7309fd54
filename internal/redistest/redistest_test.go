package redistest

import "testing"

func TestRawRepliesOfARealServer(t *testing.T) {
	c := Dial(t, Start(t))
	for _, test := range []struct{ command, reply string }{
		{"PING", "+PONG\r\n"},
		{"NOSUCH", "-ERR unknown command 'NOSUCH', with args beginning with: \r\n"},
		{"RANDOMKEY", "$-1\r\n"},
		{"DBSIZE", ":0\r\n"},
	} {
		if got := string(c.Do(test.command)); got != test.reply {
			t.Errorf("%s: %q, want %q", test.command, got, test.reply)
		}
	}
	hello := Parse(c.Do("HELLO", "3"))
	if hello.Kind != '%' || len(hello.Elems) != 14 {
		t.Errorf("HELLO 3: %v", hello)
	}
	if got := string(c.Do("GET", "nosuch")); got != "_\r\n" {
		t.Errorf("RESP3 null: %q", got)
	}
}
