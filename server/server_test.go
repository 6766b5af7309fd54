package server

import (
	"fmt"
	"strings"
	"testing"
)

func TestGetAndSetInAPipeline(t *testing.T) {
	c := startServer(t, nil).dial(t)
	var in, want strings.Builder
	for i := range 3000 {
		fmt.Fprintf(&in, "*3\r\n$3\r\nSET\r\n$1\r\nk\r\n$4\r\n%04d\r\n*2\r\n$3\r\nGET\r\n$1\r\nk\r\nPING\r\n", i)
		fmt.Fprintf(&want, "+OK\r\n$4\r\n%04d\r\n+PONG\r\n", i)
	}
	got, err := c.Send([]byte(in.String()), 9000)
	if err != nil || string(got) != want.String() {
		t.Fatal(err, len(got))
	}
}
