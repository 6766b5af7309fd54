//go:build linux

package main

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"time"

	"brainer/bench/system"
	"brainer/resp"
)

const (
	traceWorkers  = 8
	traceDepth    = 32
	traceValue    = 200
	churnEvery    = 50 * time.Millisecond // the resident memory is looked at so often
	fillKeyBytes  = 16
	limitedMemory = 256 << 20
)

// limited is a server with a memory limit.
type limited struct {
	name  string
	start func(ctx context.Context, r *runner, limit, policy string) (*system.System, error)
}

// limitedServers are ours and redis-server, or what -than names.
func limitedServers(r *runner) []limited {
	ours := func(bin string) func(context.Context, *runner, string, string) (*system.System, error) {
		return func(ctx context.Context, r *runner, limit, policy string) (*system.System, error) {
			return system.Brainer(ctx, bin, 1, r.profiles != "", "--maxmemory", limit, "--maxmemory-policy", policy)
		}
	}
	if r.than != "" {
		return []limited{{"brainer, 1 node", ours(r.bin)}, {"brainer, 1 node" + other, ours(r.than)}}
	}
	return []limited{{"brainer, 1 node", ours(r.bin)}, {"redis-server", func(ctx context.Context, _ *runner, limit, policy string) (*system.System, error) {
		sys, err := system.Redis(ctx, 0)
		if err != nil {
			return nil, err
		}
		for _, set := range [][]string{{"CONFIG", "SET", "maxmemory-policy", policy}, {"CONFIG", "SET", "maxmemory", limit}} {
			if _, err := system.Call(sys.Address, set...); err != nil {
				sys.Stop()
				return nil, err
			}
		}
		return sys, nil
	}}}
}

// present leaves the other side out, if that was asked for.
func present(servers []limited, o options) []limited {
	if o.alone {
		return servers[:1]
	}
	return servers
}

// memoryTables measures what -memory names and writes the tables into dir/memory.md.
func memoryTables(ctx context.Context, r *runner, o options, progress io.Writer) error {
	var b strings.Builder
	fmt.Fprintf(&b, "Written by `make bench-memory` on %s.\n", time.Now().UTC().Format("2006-01-02"))
	for _, part := range []struct {
		name  string
		table func(context.Context, *runner, options, io.Writer) (string, error)
	}{{"bytes", bytesPerKey}, {"hits", hitRatios}, {"churn", churn}, {"saves", saves}} {
		if o.rows != "" && o.rows != part.name {
			continue
		}
		text, err := part.table(ctx, r, o, progress)
		if err != nil {
			return fmt.Errorf("%s: %w", part.name, err)
		}
		b.WriteString("\n" + text)
	}
	_, err := io.WriteString(progress, b.String())
	if err == nil && o.rows == "" {
		err = os.WriteFile(filepath.Join(o.memory, "memory.md"), []byte(b.String()), 0o644)
	}
	return err
}

// holder is the process that has the data: the node, or redis-server.
func holder(sys *system.System) *system.Process { return sys.Processes[len(sys.Processes)-1] }

// bytesPerKey fills servers without a limit.
func bytesPerKey(ctx context.Context, r *runner, o options, progress io.Writer) (string, error) {
	var b strings.Builder
	servers := limitedServers(r)
	fmt.Fprintf(&b, "Resident bytes a key of %d bytes, %d keys:\n\n| value | deadline | %s | %s | ratio |\n|---|---|---|---|---|\n", fillKeyBytes, o.keys, servers[0].name, servers[1].name)
	for _, value := range []int{16, 64, 1024} {
		for _, ttl := range []bool{false, true} {
			var each []float64
			for _, server := range servers {
				keys := o.keys
				if value > 64 {
					keys /= 4
				}
				sys, err := server.start(ctx, r, "0", "noeviction")
				if err != nil {
					return "", err
				}
				before, _, err := holder(sys).Memory()
				if err == nil {
					err = fillKeys(sys.Address, keys, value, ttl)
				}
				after := before
				if err == nil {
					after, _, err = holder(sys).Memory()
				}
				err = sys.Explain(err)
				sys.Stop()
				if err != nil {
					return "", err
				}
				each = append(each, float64(after-before)/float64(keys))
				fmt.Fprintf(progress, "%s: %d bytes, deadline %v: %.0f B/key\n", server.name, value, ttl, each[len(each)-1])
			}
			fmt.Fprintf(&b, "| %d | %v | %.0f | %.0f | %.2f |\n", value, ttl, each[0], each[1], each[0]/each[1])
		}
	}
	return b.String(), nil
}

// fillKeys writes so many keys.
func fillKeys(address string, keys, value int, ttl bool) error {
	c, err := dialTrace(address)
	if err != nil {
		return err
	}
	defer c.conn.Close()
	body := bytes.Repeat([]byte("v"), value)
	for i := 0; i < keys; {
		n := 0
		for ; n < 256 && i < keys; n++ {
			args := [][]byte{[]byte("SET"), scattered(nil, uint64(i)), body}
			if ttl {
				args = append(args, []byte("EX"), []byte(strconv.Itoa(100_000+i)))
			}
			c.out = resp.AppendCommand(c.out, args...)
			i++
		}
		if _, err := c.exchange(n, nil); err != nil {
			return err
		}
	}
	return nil
}

// hitRatios runs the traces against limited servers.
func hitRatios(ctx context.Context, r *runner, o options, progress io.Writer) (string, error) {
	var b strings.Builder
	limit := o.limit
	keys := uint64(limit / 64)
	servers := present(limitedServers(r), o)
	fmt.Fprintf(&b, "Hits in %% of %d requests, after as many to warm up; %d keys, values of %d bytes, maxmemory %d MB, and the resident memory at the end in MB:\n\n"+
		"| trace | policy |", o.requests, keys, traceValue, limit>>20)
	for _, server := range servers {
		fmt.Fprintf(&b, " %s |", server.name)
	}
	fmt.Fprintf(&b, "\n|---|---%s|\n", strings.Repeat("|---", len(servers)))
	for _, t := range traces() {
		for _, policy := range []string{"allkeys-lru", "allkeys-lfu"} {
			fmt.Fprintf(&b, "| %s | %s |", t.what, policy)
			for _, server := range servers {
				sys, err := server.start(ctx, r, strconv.FormatInt(limit, 10), policy)
				if err != nil {
					return "", err
				}
				began := time.Now()
				hits, err := runTrace(sys.Address, t, keys, 2*o.requests)
				var resident int64
				if err == nil {
					resident, _, err = holder(sys).Memory()
				}
				err = sys.Explain(err)
				sys.Stop()
				if err != nil {
					return "", err
				}
				fmt.Fprintf(&b, " %.2f (%.0f) |", 100*hits, megabytes(resident))
				fmt.Fprintf(progress, "%s %s %s: %.2f %% in %v, %.0f MB\n", t.name, policy, server.name, 100*hits, time.Since(began).Round(time.Second), megabytes(resident))
			}
			b.WriteString("\n")
		}
	}
	return b.String(), nil
}

// runTrace asks for the keys of a trace, writes those that are missing, and returns the share of hits in its second half.
func runTrace(address string, t trace, keys uint64, requests int) (float64, error) {
	hits := make([]int, traceWorkers)
	errs := make([]error, traceWorkers)
	each := requests / traceWorkers
	var wg sync.WaitGroup
	for w := range traceWorkers {
		wg.Add(1)
		go func() {
			defer wg.Done()
			hits[w], errs[w] = traceWorker(address, t.begin(rand.New(rand.NewPCG(uint64(w), 7)), keys, w, each), each)
		}()
	}
	wg.Wait()
	sum := 0
	for w := range traceWorkers {
		if errs[w] != nil {
			return 0, errs[w]
		}
		sum += hits[w]
	}
	return float64(sum) / float64(each/2*traceWorkers), nil
}

func traceWorker(address string, next func(i int) uint64, requests int) (hits int, err error) {
	c, err := dialTrace(address)
	if err != nil {
		return 0, err
	}
	defer c.conn.Close()
	value := bytes.Repeat([]byte("v"), traceValue)
	var keys [traceDepth][]byte
	missed := make([]bool, traceDepth)
	for i := 0; i < requests; i += traceDepth {
		for j := range keys {
			keys[j] = scattered(keys[j][:0], next(i+j))
			c.out = resp.AppendCommand(c.out, []byte("GET"), keys[j])
		}
		found, err := c.exchange(traceDepth, missed)
		if err != nil {
			return 0, err
		}
		if i >= requests/2 {
			hits += found
		}
		writes := 0
		for j := range keys {
			if missed[j] {
				c.out = resp.AppendCommand(c.out, []byte("SET"), keys[j], value)
				writes++
			}
		}
		if _, err := c.exchange(writes, nil); err != nil {
			return 0, err
		}
	}
	return hits, nil
}

// churn overwrites and adds values of changing sizes at the limit, and watches the resident memory.
func churn(ctx context.Context, r *runner, o options, progress io.Writer) (string, error) {
	var b strings.Builder
	fmt.Fprintf(&b, "Writes of values of 20 to 2,000 bytes, and 20 times more of each in turn, to %d MB under allkeys-lru, for %v:\n\n"+
		"| | writes a second | CPU µs a write | resident, most | over the limit |\n|---|---|---|---|---|\n", o.limit>>20, o.churn)
	for _, server := range present(limitedServers(r), o) {
		sys, err := server.start(ctx, r, strconv.FormatInt(o.limit, 10), "allkeys-lru")
		if err != nil {
			return "", err
		}
		profiled := make(chan error, 1)
		go func() { profiled <- r.profileChurn(ctx, sys, server.name, o.churn) }()
		before, err := cpuOf(sys)
		var writes int
		var most int64
		if err == nil {
			writes, most, err = churnOne(sys, o)
		}
		if e := <-profiled; err == nil {
			err = e
		}
		after := before
		if err == nil {
			after, err = cpuOf(sys)
		}
		err = sys.Explain(err)
		sys.Stop()
		if err != nil {
			return "", err
		}
		over := 100 * (float64(most)/float64(o.limit) - 1)
		rate, each := float64(writes)/o.churn.Seconds(), float64((after-before).Microseconds())/float64(writes)
		fmt.Fprintf(&b, "| %s | %.0f | %.1f | %.0f MB | %+.1f %% |\n", server.name, rate, each, megabytes(most), over)
		fmt.Fprintf(progress, "%s: %.0f writes/s, %.1f µs, %.0f MB at most, %+.1f %%\n", server.name, rate, each, megabytes(most), over)
	}
	return b.String(), nil
}

// cpuOf is what all processes of a system have used.
func cpuOf(sys *system.System) (sum time.Duration, err error) {
	each, err := sys.CPU()
	for _, used := range each {
		sum += used
	}
	return sum, err
}

// profileChurn keeps CPU profiles of the second half of a run, if that was asked for.
func (r *runner) profileChurn(ctx context.Context, sys *system.System, name string, lasts time.Duration) error {
	if r.profiles == "" {
		return nil
	}
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-time.After(lasts / 2):
	}
	return sys.Profile(ctx, filepath.Join(r.profiles, "churn, "+name), lasts/2-500*time.Millisecond)
}

func churnOne(sys *system.System, o options) (writes int, most int64, err error) {
	end := time.Now().Add(o.churn)
	done := make(chan error, traceWorkers)
	counts := make([]int, traceWorkers)
	for w := range traceWorkers {
		go func() {
			var err error
			counts[w], err = churnWorker(sys.Address, w, o.limit, end, o.churn)
			done <- err
		}()
	}
	tick := time.NewTicker(churnEvery)
	defer tick.Stop()
	for left := traceWorkers; left > 0; {
		select {
		case e := <-done:
			left--
			if err == nil {
				err = e
			}
		case <-tick.C:
			now, _, e := holder(sys).Memory()
			if err == nil {
				err = e
			}
			most = max(most, now)
		}
	}
	for _, n := range counts {
		writes += n
	}
	return writes, most, err
}

func churnWorker(address string, w int, limit int64, end time.Time, lasts time.Duration) (writes int, err error) {
	c, err := dialTrace(address)
	if err != nil {
		return 0, err
	}
	defer c.conn.Close()
	r := rand.New(rand.NewPCG(uint64(w), 9))
	value := bytes.Repeat([]byte("v"), 40_000)
	var key []byte
	for left := time.Until(end); left > 0; left = time.Until(end) {
		large := left*6/lasts%2 == 0 // by sixths
		for range traceDepth {
			key = scattered(key[:0], r.Uint64N(uint64(limit/100)))
			size := 20 + r.IntN(1980)
			if large && r.IntN(20) == 0 {
				size *= 20
			}
			c.out = resp.AppendCommand(c.out, []byte("SET"), key, value[:size])
		}
		if _, err := c.exchange(traceDepth, nil); err != nil {
			return writes, err
		}
		writes += traceDepth
	}
	return writes, nil
}

// traceConn is one connection that asks in pipelines.
type traceConn struct {
	conn net.Conn
	in   *bufio.Reader
	out  []byte
}

func dialTrace(address string) (*traceConn, error) {
	conn, err := net.Dial("tcp", address)
	if err != nil {
		return nil, err
	}
	return &traceConn{conn: conn, in: bufio.NewReaderSize(conn, 256<<10)}, nil
}

// exchange sends what has gathered and reads so many replies; it returns how many are values, and says which are null.
func (c *traceConn) exchange(replies int, null []bool) (found int, err error) {
	if _, err := c.conn.Write(c.out); err != nil {
		return 0, err
	}
	c.out = c.out[:0]
	for i := range replies {
		line, err := c.in.ReadSlice('\n')
		if err != nil {
			return 0, err
		}
		switch line[0] {
		case '-':
			return 0, fmt.Errorf("%s", bytes.TrimSpace(line))
		case '$':
			n, err := strconv.Atoi(string(bytes.TrimSpace(line[1:])))
			if err != nil {
				return 0, err
			}
			if null != nil {
				null[i] = n < 0
			}
			if n >= 0 {
				found++
				if _, err := c.in.Discard(n + 2); err != nil {
					return 0, err
				}
			}
		}
	}
	return found, nil
}
