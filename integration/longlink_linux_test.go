package integration

import (
	"flag"
	"fmt"
	"net"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

var wholeLongLink = flag.Bool("longlink", false, "TestLongLinks: long enough for figures")

// longLink is a proxy between a node and the broker that hands everything on after a time, and any amount meanwhile.
func longLink(t *testing.T, c *cluster, delay time.Duration) (endpoint string) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	must(t, err)
	t.Cleanup(func() { ln.Close() })
	type piece struct {
		b   []byte
		due time.Time
	}
	pass := func(from, to net.Conn) {
		pieces := make(chan piece, 4096)
		go func() {
			defer to.Close()
			for p := range pieces {
				if wait := time.Until(p.due); wait > 0 { // Go's timers are late by up to a millisecond
					at := unix.NsecToTimespec(wait.Nanoseconds())
					_ = unix.Nanosleep(&at, nil)
				}
				if _, err := to.Write(p.b); err != nil {
					from.Close()
				}
			}
		}()
		defer close(pieces)
		buf := make([]byte, 256<<10)
		for {
			n, err := from.Read(buf)
			if err != nil {
				return
			}
			pieces <- piece{append([]byte(nil), buf[:n]...), time.Now().Add(delay)}
		}
	}
	go func() {
		for {
			in, err := ln.Accept()
			if err != nil {
				return
			}
			out, err := net.Dial("unix", filepath.Join(c.dir, "b"))
			if err != nil {
				in.Close()
				continue
			}
			go pass(in, out)
			go pass(out, in)
		}
	}()
	return "tcp://" + ln.Addr().String()
}

// Were turns in lock-step, a request would wait for the turn that is under way and then for its own: throughput over links
// with a delay must not be far below what as many clients could have with one request under way each.
func TestLongLinks(t *testing.T) {
	t.Parallel()
	look, clients := time.Second/2, 50
	if *wholeLongLink {
		look = 4 * time.Second
	}
	var rows []string
	for _, delay := range []time.Duration{0, time.Millisecond, 5 * time.Millisecond} {
		c := newCluster(t)
		c.startBroker("--embedded=false")
		for i := range 3 {
			flags := []string{"--broker", longLink(t, c, delay)}
			c.startNode(nodeName(i+1), flags...)
		}
		c.awaitInSync(3)
		w := startWriters(t, c.addr, clients, 10_000, 0)
		time.Sleep(look / 2)
		from := time.Now()
		time.Sleep(look) // for as long as it is measured
		w.stop()
		took := w.between(from, from.Add(look))
		rate := float64(len(took)) / look.Seconds()
		bound := "none"
		if delay > 0 {
			bound = fmt.Sprintf("%.2f", rate/(float64(clients)/(2*delay.Seconds())))
		}
		rows = append(rows, fmt.Sprintf("| %s | %.0f | %.2f | %.2f | %s |", delay, rate, ms(quantile(took, 0.5)), ms(quantile(took, 0.99)), bound))
		if len(took) == 0 || len(w.failed) > 0 {
			t.Errorf("%s: %d calls, failed: %v", delay, len(took), w.failed)
		}
	}
	t.Logf("%d clients, a SET each, 3 nodes behind links with a delay each way\n| delay | SET /s | p50 ms | p99 ms | of what the delay allows |\n|--:|--:|--:|--:|--:|\n%s", clients, strings.Join(rows, "\n"))
}
