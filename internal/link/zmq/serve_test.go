package zmq_test

import (
	"fmt"
	"testing"
	"time"

	"brainer/internal/link"
	"brainer/internal/link/zmq"
)

// An owner in Serve misses no message and no Kick, wherever they find it: at work, in a system call
// of its own, on its way into Go's poller, or there.
func TestServeMissesNothing(t *testing.T) {
	for _, linger := range []time.Duration{0, 10 * time.Microsecond, 100 * time.Microsecond, 10 * time.Millisecond} {
		t.Run(fmt.Sprint("linger ", linger), func(t *testing.T) {
			tr, err := zmq.New(zmq.Options{Linger: linger})
			must(t, err)
			t.Cleanup(func() { must(t, tr.Close()) })
			r := bind(t, tr, ipcEndpoint(t))
			d, err := tr.Dial(r.Endpoint(), "n1")
			must(t, err)
			sendConnected(t, d, []byte("hello"))
			recvRouter(t, r)

			calls := make(chan chan struct{}, 1)
			served := make(chan error, 1)
			go func() {
				err := d.Serve(func() bool {
					for {
						select {
						case c := <-calls:
							close(c)
						default:
						}
						body, err := d.Recv()
						if err == link.ErrAgain && len(calls) == 0 {
							return false
						}
						if string(body) == "end" {
							return true
						}
						if err == nil {
							_ = d.Send(body) // an echo that is lost is waited for in vain
						}
					}
				})
				_ = d.Close()
				served <- err
			}()
			for i := range 3000 {
				must(t, r.Send("n1", fmt.Appendf(nil, "%d", i)))
				if i%3 == 0 {
					called := make(chan struct{})
					calls <- called
					d.Kick()
					select {
					case <-called:
					case <-time.After(patience):
						t.Fatal("a kick was missed")
					}
				}
				if _, body := recvRouter(t, r); string(body) != fmt.Sprint(i) {
					t.Fatalf("echo %q of %d", body, i)
				}
				if i%100 == 0 {
					<-time.After(2 * linger) // let it fall asleep: what comes next finds it there
				}
			}
			must(t, r.Send("n1", []byte("end")))
			select {
			case err := <-served:
				must(t, err)
			case <-time.After(patience):
				t.Fatal("Serve did not end")
			}
			d.Kick() // harmless behind its end
		})
	}
}
