package broker

import (
	"testing"

	"brainer/internal/curve"
	"brainer/internal/wire"
)

func TestAKeyAdmitsWhatItsRoleSays(t *testing.T) {
	hello := wire.Hello{NodeID: "n1"}.Append(nil, wire.Header{Session: 1})
	beat := wire.Beat{}.Append(nil, wire.Header{Session: 1})
	resp := []byte("*1\r\n$4\r\nPING\r\n")
	broken := append([]byte(nil), hello...)
	broken[len(broken)-1] ^= 1
	node, n1, n2 := curve.Caller{Node: true}, curve.Caller{Node: true, NodeID: "n1"}, curve.Caller{Node: true, NodeID: "n2"}
	client := curve.Caller{Client: true}
	for _, c := range []struct {
		name string
		from curve.Caller
		body []byte
		want bool
	}{
		{"any node says hello", node, hello, true},
		{"n1 says that it is n1", n1, hello, true},
		{"n2 says that it is n1", n2, hello, false},
		{"n2 says something that is not read", n2, broken, false},
		{"n2 beats", n2, beat, true},
		{"a node sends a command", n1, resp, false},
		{"a client sends a command", client, resp, true},
		{"a client sends nothing", client, nil, true},
		{"a client says hello", client, hello, false},
		{"a client beats", client, beat, false},
		{"nobody sends a command", curve.Caller{}, resp, false},
	} {
		if got := Admit(c.from, c.body); got != c.want {
			t.Errorf("%s: %v", c.name, got)
		}
	}
}
