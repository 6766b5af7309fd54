//go:build linux

package main

import (
	"fmt"
	"io"
	"net"
	"path/filepath"
	"sync"
	"syscall"
	"testing"
	"time"
)

// BenchmarkLargeFloor moves values over the sockets that a broker and its nodes have between them, each with one buffer and
// one copy into the kernel and one out of it, and nothing else: no checksum, no order, no copy that is kept. get: a unix
// socket, then TCP; set: TCP, then three unix sockets, and a byte back on each. CPU is that of all ends, the client's too.
//
//	go test ./bench -run '^$' -bench LargeFloor
func BenchmarkLargeFloor(b *testing.B) {
	for _, size := range []int{16 << 10, 1 << 20} {
		b.Run(fmt.Sprintf("get-%dk", size>>10), func(b *testing.B) { floorOf(b, size, 1, false) })
		b.Run(fmt.Sprintf("set-%dk", size>>10), func(b *testing.B) { floorOf(b, size, 3, true) })
	}
}

func floorOf(b *testing.B, size, nodes int, set bool) {
	var wg sync.WaitGroup
	defer wg.Wait()
	client, broker := connected(b, "tcp", "127.0.0.1:0")
	defer client.Close()
	buf, got := make([]byte, size), make([]byte, size)
	var links []net.Conn
	for range nodes {
		link, node := connected(b, "unix", filepath.Join(b.TempDir(), "s"))
		defer link.Close()
		links = append(links, link)
		wg.Go(func() { // a node
			defer node.Close()
			value := make([]byte, size)
			in, out := value[:1], value
			if set {
				in, out = value, value[:1]
			}
			for {
				if _, err := io.ReadFull(node, in); err != nil {
					return
				}
				if _, err := node.Write(out); err != nil {
					return
				}
			}
		})
	}
	wg.Go(func() { // the broker
		defer broker.Close()
		in, out := got[:1], got
		if set {
			in, out = got, got[:1]
		}
		for {
			if _, err := io.ReadFull(broker, in); err != nil {
				return
			}
			for _, l := range links {
				if _, err := l.Write(in); err != nil {
					return
				}
			}
			for _, l := range links {
				if _, err := io.ReadFull(l, out); err != nil {
					return
				}
			}
			if _, err := broker.Write(out); err != nil {
				return
			}
		}
	})
	ask, answer := buf[:1], buf
	if set {
		ask, answer = buf, buf[:1]
	}
	b.SetBytes(int64(size))
	before := cpuUsed()
	for b.Loop() {
		if _, err := client.Write(ask); err != nil {
			b.Fatal(err)
		}
		if _, err := io.ReadFull(client, answer); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64((cpuUsed()-before).Microseconds())/float64(b.N), "cpu-us/op")
}

func connected(b *testing.B, network, address string) (net.Conn, net.Conn) {
	l, err := net.Listen(network, address)
	if err != nil {
		b.Fatal(err)
	}
	defer l.Close()
	dialled, err := net.Dial(network, l.Addr().String())
	if err != nil {
		b.Fatal(err)
	}
	accepted, err := l.Accept()
	if err != nil {
		b.Fatal(err)
	}
	return dialled, accepted
}

// cpuUsed is what this process has used.
func cpuUsed() time.Duration {
	var r syscall.Rusage
	_ = syscall.Getrusage(syscall.RUSAGE_SELF, &r)
	return time.Duration(r.Utime.Nano() + r.Stime.Nano())
}
