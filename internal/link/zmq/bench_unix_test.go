//go:build unix

package zmq_test

import "testing"

// The same on ipc endpoints stands beside our own ZMTP's, in zmtp.
func BenchmarkLibzmq(b *testing.B) {
	for _, endpoint := range []string{"inproc://b", "tcp://127.0.0.1:*"} {
		b.Run(endpoint[:6], func(b *testing.B) {
			s := suite()
			s.Endpoint = named(endpoint)
			s.RunBenchmarks(b)
		})
	}
}
