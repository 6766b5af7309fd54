//go:build unix

package linktest

import (
	"fmt"
	"io"
	"net"
	"syscall"
	"testing"

	"brainer/internal/link"
)

// RunBenchmarks measures what a message costs, both ends in this process, each with an owner that waits through Ready:
// there and back, and one way with 64 MB or 1024 messages under way at most. CPU is of both ends.
func (s Suite) RunBenchmarks(b *testing.B) {
	b.Run("round trip of 100 B", func(b *testing.B) {
		r, d := s.pair(b)
		stop, ended := make(chan struct{}), make(chan struct{})
		go func() {
			defer close(ended)
			for {
				if peer, body, err := r.Recv(); err == nil {
					_ = r.Send(peer, body)
					continue
				}
				select {
				case <-r.Ready():
				case <-stop:
					return
				}
			}
		}()
		body := make([]byte, 100)
		measure(b, func() {
			for b.Loop() {
				Must(b, d.Send(body))
				RecvDealer(b, d)
			}
		})
		close(stop)
		<-ended
	})
	for _, size := range []int{100, 16 << 10, 1 << 20} {
		b.Run(fmt.Sprintf("one way %d B", size), func(b *testing.B) {
			r, d := s.pair(b)
			credit := make(chan struct{}, min(1024, 64<<20/size))
			for range cap(credit) {
				credit <- struct{}{}
			}
			body, n := make([]byte, size), b.N
			arrived, ended := make(chan struct{}), make(chan struct{})
			b.SetBytes(int64(size))
			measure(b, func() {
				go func() {
					defer close(ended)
					for range n {
						<-credit
						SendConnected(b, d, body)
					}
					for { // what waits for the socket goes out in its owner's time
						select {
						case <-d.Ready():
						case <-arrived:
							return
						}
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
				close(arrived)
				<-ended
			})
		})
	}
}

// pair is a connected router and dealer.
func (s Suite) pair(b *testing.B) (link.Router, link.Dealer) {
	tr := s.New(b, Options{})
	r := Bind(b, tr, s.Endpoint(b))
	d := Dial(b, tr, r.Endpoint(), "n1")
	SendConnected(b, d, []byte("hello"), r)
	peer, _ := RecvRouter(b, r)
	Must(b, r.Send(peer, []byte("welcome")))
	RecvDealer(b, d, r)
	return r, d
}

// BenchmarkSocket is the same over a bare socket: what a message costs at least.
func BenchmarkSocket(b *testing.B, network, address string) {
	pair := func(b *testing.B) (from, to net.Conn) {
		l, err := net.Listen(network, address)
		Must(b, err)
		defer l.Close()
		from, err = net.Dial(network, l.Addr().String())
		Must(b, err)
		to, err = l.Accept()
		Must(b, err)
		b.Cleanup(func() { from.Close(); to.Close() })
		return from, to
	}
	b.Run("round trip of 100 B", func(b *testing.B) {
		from, to := pair(b)
		go func() { _, _ = io.CopyBuffer(struct{ io.Writer }{to}, struct{ io.Reader }{to}, make([]byte, 100)) }()
		body := make([]byte, 100)
		measure(b, func() {
			for b.Loop() {
				_, err := from.Write(body)
				Must(b, err)
				_, err = io.ReadFull(from, body)
				Must(b, err)
			}
		})
	})
	for _, size := range []int{100, 16 << 10, 1 << 20} {
		b.Run(fmt.Sprintf("one way %d B", size), func(b *testing.B) {
			from, to := pair(b)
			body, n := make([]byte, size), b.N
			b.SetBytes(int64(size))
			measure(b, func() {
				go func() {
					for range n {
						_, _ = from.Write(body)
					}
				}()
				into := make([]byte, size)
				for range n {
					_, err := io.ReadFull(to, into)
					Must(b, err)
				}
			})
		})
	}
}

// measure reports the processor time that f took for each of b's rounds.
func measure(b *testing.B, f func()) {
	b.ReportAllocs()
	b.ResetTimer()
	before := processorUs()
	f()
	b.StopTimer()
	b.ReportMetric((processorUs()-before)/float64(b.N), "cpu-us/op")
}

func processorUs() float64 {
	var u syscall.Rusage
	if syscall.Getrusage(syscall.RUSAGE_SELF, &u) != nil {
		return 0
	}
	return float64(u.Utime.Nano()+u.Stime.Nano()) / 1000
}
