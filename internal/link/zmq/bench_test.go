package zmq_test

import (
	"fmt"
	"strings"
	"testing"

	"brainer/internal/link"
)

func benchEndpoints(b *testing.B) map[string]string {
	return map[string]string{"inproc": "inproc://b", "ipc": ipcEndpoint(b), "tcp": "tcp://127.0.0.1:*"}
}

// BenchmarkRoundTrip is one message of 100 bytes to an echoing goroutine and back, both woken
// through Ready.
func BenchmarkRoundTrip(b *testing.B) {
	for name, endpoint := range benchEndpoints(b) {
		b.Run(name, func(b *testing.B) {
			tr := newTransport(b)
			r := bind(b, tr, endpoint)
			stop, ended := make(chan struct{}), make(chan struct{})
			go func() {
				defer close(ended)
				for {
					if peer, body, err := r.Recv(); err == nil {
						r.Send(peer, body)
						continue
					}
					select {
					case <-r.Ready():
					case <-stop:
						return
					}
				}
			}()
			d := dial(b, tr, r.Endpoint(), "n1")
			body := make([]byte, 100)
			sendConnected(b, d, body)
			waitBody(d)
			b.ReportAllocs()
			for b.Loop() {
				d.Send(body)
				waitBody(d)
			}
			b.StopTimer()
			close(stop)
			<-ended
		})
	}
}

// BenchmarkOneWay has a dealer send and the router receive; at most 1024 messages are in flight.
func BenchmarkOneWay(b *testing.B) {
	for name, endpoint := range benchEndpoints(b) {
		for _, size := range []int{100, 16 << 10, 1 << 20} {
			b.Run(fmt.Sprintf("%s/%dB", name, size), func(b *testing.B) {
				if strings.HasPrefix(endpoint, "ipc") {
					endpoint = ipcEndpoint(b)
				}
				inFlight := min(1024, 64<<20/size)
				credit := make(chan struct{}, inFlight)
				for range inFlight {
					credit <- struct{}{}
				}
				tr := newTransport(b)
				r := bind(b, tr, endpoint)
				d := dial(b, tr, r.Endpoint(), "n1")
				body := make([]byte, size)
				sendConnected(b, d, body)
				recvRouter(b, r)
				ended := make(chan struct{})
				n := b.N
				b.SetBytes(int64(size))
				b.ReportAllocs()
				b.ResetTimer()
				go func() {
					defer close(ended)
					for range n {
						<-credit
						d.Send(body)
					}
				}()
				for got := 0; got < n; {
					if _, _, err := r.Recv(); err == nil {
						got++
						credit <- struct{}{}
						continue
					}
					<-r.Ready()
				}
				b.StopTimer()
				<-ended
			})
		}
	}
}

func waitBody(d link.Dealer) []byte {
	for {
		if body, err := d.Recv(); err == nil {
			return body
		}
		<-d.Ready()
	}
}
