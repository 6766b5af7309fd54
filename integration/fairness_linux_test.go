package integration

import (
	"bufio"
	"flag"
	"fmt"
	"net"
	"strings"
	"testing"
	"time"

	"brainer/internal/redistest"
	"brainer/resp"
)

var wholeFairness = flag.Bool("fairness", false, "TestGreedyClientsLeaveRoom: long enough for figures")

// A client with huge pipelines or huge values is served beside others, none of whose calls fail; -fairness prints by how much
// longer theirs take, and how much longer at a redis-server with two replicas, for which nobody waits there.
func TestGreedyClientsLeaveRoom(t *testing.T) {
	t.Parallel()
	ours := startCluster(t, 3)
	besideGreedyClients(t, "three nodes", ours.addr)
	if *wholeFairness {
		for _, p := range ours.nodes {
			p.kill()
		}
		ours.broker.kill()
		besideGreedyClients(t, "redis-server and two replicas, without WAIT", startRedisWithReplicas(t, 2))
	}
}

func startRedisWithReplicas(t *testing.T, replicas int) (addr string) {
	args := []string{"--repl-diskless-sync", "yes", "--repl-diskless-sync-delay", "0", "--client-output-buffer-limit", "replica 0 0 0"}
	addr = redistest.Start(t, args...)
	_, port, err := net.SplitHostPort(addr)
	must(t, err)
	for range replicas {
		redistest.Start(t, append(args, "--replicaof", "127.0.0.1 "+port)...)
	}
	client := redistest.Dial(t, addr)
	defer client.Close()
	await(t, "the replicas are in sync", func() (bool, string) {
		said := string(client.Do("INFO", "replication"))
		return strings.Count(said, "state=online") == replicas, said
	})
	return addr
}

func besideGreedyClients(t *testing.T, of, addr string) {
	look, clients, perSecond := time.Second/2, 10, 500.0
	if *wholeFairness {
		look, clients, perSecond = 10*time.Second, 20, 5000
	}
	polite := startWriters(t, addr, clients, 10_000, perSecond)
	var rows []string
	var alone time.Duration
	measure := func(what string) {
		from := time.Now()
		time.Sleep(look) // for as long as it is measured
		took := polite.between(from, from.Add(look))
		p50, p99, most := quantile(took, 0.5), quantile(took, 0.99), quantile(took, 1)
		if alone == 0 {
			alone = p99
		}
		rows = append(rows, fmt.Sprintf("| %s | %d | %.2f | %.2f | %.1f | %.2f |", what, len(took), ms(p50), ms(p99), ms(most), float64(p99)/float64(max(alone, 1))))
		if len(took) == 0 {
			t.Errorf("%s: nobody else was answered", what)
		}
	}
	time.Sleep(look)
	measure("nothing")
	rows[0] += " |"
	for _, greedy := range []struct {
		what            string
		commands, bytes int
	}{{"pipelines of 10,000 SETs of 64 bytes", 10_000, 64}, {"pipelines of 200 SETs of 16 KB", 200, 16 << 10}, {"SETs of 10 MB", 1, 10 << 20}} {
		stop := beGreedy(t, addr, greedy.commands, greedy.bytes)
		measure(greedy.what)
		pipelines := stop()
		rows[len(rows)-1] += fmt.Sprintf(" %.0f |", float64(pipelines*greedy.commands*greedy.bytes)/1e6/look.Seconds())
		if pipelines == 0 && *wholeFairness {
			t.Errorf("%s: it was not served at all", greedy.what)
		}
	}
	polite.stop()
	if len(polite.failed) > 0 {
		t.Errorf("calls failed: %v", polite.failed)
	}
	t.Logf("%s: %.0f SETs a second of %d clients, beside one client that sends\n| | calls | p50 ms | p99 ms | longest | p99 x | its own MB/s |\n|---|--:|--:|--:|--:|--:|--:|\n%s",
		of, perSecond, clients, strings.Join(rows, "\n"))
}

func ms(d time.Duration) float64 { return float64(d.Microseconds()) / 1000 }

// beGreedy sends pipelines one behind the other, until it is stopped.
func beGreedy(t *testing.T, addr string, commands, bytes int) (stop func() (pipelines int)) {
	conn, err := net.Dial("tcp", addr)
	must(t, err)
	var pipeline []byte
	value := []byte(strings.Repeat("g", bytes))
	for i := range commands {
		pipeline = resp.AppendCommand(pipeline, []byte("SET"), fmt.Append(nil, "greedy:", i%1000), value)
	}
	done, ended, pipelines := make(chan struct{}), make(chan struct{}), 0
	go func() {
		defer close(ended)
		defer conn.Close()
		r := bufio.NewReader(conn)
		for {
			select {
			case <-done:
				return
			default:
			}
			sent := make(chan error, 1)
			go func() { _, err := conn.Write(pipeline); sent <- err }()
			for range commands {
				line, err := r.ReadString('\n')
				if err != nil || line != "+OK\r\n" {
					t.Errorf("greedy: %q, %v", line, err)
					return
				}
			}
			if err := <-sent; err != nil {
				t.Errorf("greedy: %v", err)
				return
			}
			pipelines++
		}
	}()
	return func() int { close(done); <-ended; return pipelines }
}
