package keyspace

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"
)

// footprintEnv makes the test binary a process that fills a keyspace and reports its resident bytes.
const footprintEnv = "KEYSPACE_FOOTPRINT"

func TestMain(m *testing.M) {
	if os.Getenv(footprintEnv) != "" {
		reportFootprint()
		return
	}
	os.Exit(m.Run())
}

func residentBytes() int64 {
	b, err := os.ReadFile("/proc/self/statm")
	if err != nil {
		return 0
	}
	pages, _ := strconv.ParseInt(strings.Fields(string(b))[1], 10, 64)
	return pages * int64(os.Getpagesize())
}

func reportFootprint() {
	base := residentBytes()
	value := make([]byte, 100)
	k := New()
	var key [16]byte
	for i := range uint64(benchKeys) {
		k.SetString(0, benchKey(key[:], i), value[:64], 0, 1000)
	}
	fmt.Println(residentBytes() - base)
	r := rand.New(rand.NewPCG(1, 2))
	for range 2 * benchKeys {
		k.SetString(0, benchKey(key[:], r.Uint64N(benchKeys)), value[:40+r.IntN(49)], 0, 1000)
	}
	fmt.Println(residentBytes() - base)
	for i := range uint64(benchKeys) {
		k.SetDeadline(0, benchKey(key[:], i), 1000+int64(i), 1000)
	}
	fmt.Println(residentBytes() - base)
	fmt.Println(k.UsedBytes())
	for i := range uint64(benchKeys) {
		if r.IntN(10) > 0 {
			k.Delete(0, benchKey(key[:], i), 500)
		}
	}
	fmt.Println(residentBytes() - base)
	k.FlushAll()
	for range 1000 {
		k.Reclaim(1000, 1)
	}
	fmt.Println(residentBytes() - base)
}

// BenchmarkBytesPerKey reports the growth of a process's resident memory per key, for a million keys of
// 16 bytes with values of 64: filled once, and after every key was written twice with 40 to 88 bytes.
func BenchmarkBytesPerKey(b *testing.B) {
	for range b.N {
		cmd := exec.Command(os.Args[0])
		cmd.Env = append(os.Environ(), footprintEnv+"=1")
		out, err := cmd.Output()
		if err != nil {
			b.Fatal(err)
		}
		names := []string{"B/key", "B/key-churned", "B/key-deadlines", "counted-B/key", "B/key-tenth-left", "B/key-flushed"}
		for i, f := range strings.Fields(string(out)) {
			n, _ := strconv.ParseFloat(f, 64)
			b.ReportMetric(n/benchKeys, names[i])
		}
	}
	b.ReportMetric(0, "ns/op")
}

// BenchmarkRedisBytesPerKey is the same of a real redis-server.
func BenchmarkRedisBytesPerKey(b *testing.B) {
	server, err := exec.LookPath("redis-server")
	if err != nil {
		b.Skip("no redis-server")
	}
	for range b.N {
		redisFootprint(b, server)
	}
	b.ReportMetric(0, "ns/op")
}

func redisFootprint(b *testing.B, server string) {
	socket := filepath.Join(b.TempDir(), "redis.sock")
	cmd := exec.Command(server, "--port", "0", "--unixsocket", socket, "--save", "", "--appendonly", "no")
	if err := cmd.Start(); err != nil {
		b.Fatal(err)
	}
	defer func() {
		cmd.Process.Kill()
		cmd.Wait()
	}()
	var conn net.Conn
	var err error
	for deadline := time.Now().Add(5 * time.Second); time.Now().Before(deadline); {
		if conn, err = net.Dial("unix", socket); err == nil {
			break
		}
	}
	if err != nil {
		b.Fatal(err)
	}
	defer conn.Close()
	in := bufio.NewReaderSize(conn, 1<<20)
	rss := func() float64 {
		fmt.Fprintf(conn, "INFO memory\r\n")
		head, _ := in.ReadString('\n')
		n, _ := strconv.Atoi(strings.Trim(head, "$\r\n"))
		body := make([]byte, n+2)
		if _, err := io.ReadFull(in, body); err != nil {
			b.Fatal(err)
		}
		_, rest, _ := bytes.Cut(body, []byte("used_memory_rss:"))
		line, _, _ := bytes.Cut(rest, []byte("\r"))
		x, _ := strconv.ParseFloat(string(line), 64)
		return x
	}
	value := make([]byte, 100)
	var key [16]byte
	set := func(count int, next func(i int) (uint64, int)) {
		const batch = 1000
		var out bytes.Buffer
		for from := 0; from < count; from += batch {
			out.Reset()
			for i := from; i < from+batch; i++ {
				k, n := next(i)
				fmt.Fprintf(&out, "*3\r\n$3\r\nSET\r\n$16\r\n%s\r\n$%d\r\n%s\r\n", benchKey(key[:], k), n, value[:n])
			}
			conn.Write(out.Bytes())
			if _, err := io.CopyN(io.Discard, in, batch*int64(len("+OK\r\n"))); err != nil {
				b.Fatal(err)
			}
		}
	}
	base := rss()
	set(benchKeys, func(i int) (uint64, int) { return uint64(i), 64 })
	b.ReportMetric((rss()-base)/benchKeys, "B/key")
	r := rand.New(rand.NewPCG(1, 2))
	set(2*benchKeys, func(int) (uint64, int) { return r.Uint64N(benchKeys), 40 + r.IntN(49) })
	b.ReportMetric((rss()-base)/benchKeys, "B/key-churned")
}
