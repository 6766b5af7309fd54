package zmq

import (
	"strings"
	"testing"
)

func TestTwoGoroutinesInOneSocketAreAMessageNotBrokenMemory(t *testing.T) {
	tr, err := New(Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer tr.Close()
	d, err := tr.Dial("inproc://b", "n1")
	if err != nil {
		t.Fatal(err)
	}
	s := d.(*dealer).socket
	defer d.Close()
	defer s.leave()
	s.enter() // another goroutine is inside
	for name, call := range map[string]func(){
		"Recv": func() { d.Recv() }, "Send": func() { d.Send(nil) }, "Ready": func() { d.Ready() },
		"Connected": func() { d.Connected() }, "Close": func() { d.Close() },
	} {
		func() {
			defer func() {
				if text, _ := recover().(string); !strings.Contains(text, "two goroutines") {
					t.Errorf("%s: panic %q", name, text)
				}
			}()
			call()
		}()
	}
}
