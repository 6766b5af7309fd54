package integration

import (
	"fmt"
	"os"
	"strconv"
	"strings"
	"testing"

	"brainer/internal/op"
)

// More is written than fits: the nodes stay within the limit, hold the same, and keep what is read.
func TestEvictionsKeepTheLimitAndTheCopiesEqual(t *testing.T) {
	t.Parallel()
	const limit, keys, valueBytes = 60 << 20, 100_000, 600
	c := startCluster(t, 2, "--maxmemory-policy", "allkeys-lru", "--near-cache", "0")
	c.do("CONFIG", "SET", "maxmemory", limit)
	value := strings.Repeat("v", valueBytes)
	for i := 0; i < keys; i += 500 {
		pipe := c.control.Pipeline()
		for j := range 500 {
			pipe.Set(t.Context(), fmt.Sprint("key:", i+j), value, 0)
		}
		kept := pipe.Get(t.Context(), "key:0")
		_, err := pipe.Exec(t.Context())
		must(t, err)
		if kept.Val() != value {
			t.Fatalf("the key that is read all the time is gone when %d are written", i)
		}
	}
	c.awaitLevel()
	var m op.Memory
	var held int64
	var info string
	await(t, "evictions at rest", func() (bool, string) { // what a process takes besides the data may grow once more
		before, err := c.status()
		must(t, err)
		held = c.control.DBSize(t.Context()).Val()
		info = c.control.Info(t.Context(), "stats", "memory").Val()
		after, err := c.status()
		must(t, err)
		m = before.Memory
		return m.Evicted == after.Memory.Evicted && m.UsedBytes <= limit, fmt.Sprintf("%+v", after.Memory)
	})
	if m.SmallestBytes != limit || m.UsedBytes > limit || m.Evicted < keys/20 || m.Refused > 0 {
		t.Errorf("%+v", m)
	}
	for _, id := range []string{"n1", "n2"} {
		if own := ownBytes(t, c.nodes[id].cmd.Process.Pid); own > limit*11/10 {
			t.Errorf("%s takes %d MB", id, own>>20)
		}
	}
	if held+int64(m.Evicted) != keys || held < keys/3 {
		t.Errorf("%d keys are held and %d evicted of %d", held, m.Evicted, keys)
	}
	if out, code := cli(t, c.brokerEndpoint(), "verify"); code != 0 {
		t.Errorf("the copies differ: %s", out)
	}
	// What was written last is there, what was written first and not read is not.
	if n := c.control.Exists(t.Context(), fmt.Sprint("key:", keys-1), fmt.Sprint("key:", keys-1000)).Val(); n != 2 {
		t.Errorf("%d of the latest two are there", n)
	}
	for _, line := range []string{fmt.Sprint("evicted_keys:", m.Evicted), fmt.Sprint("maxmemory:", limit), "maxmemory_policy:allkeys-lru"} {
		if !strings.Contains(info, line+"\r\n") {
			t.Errorf("INFO lacks %s", line)
		}
	}
}

// ownBytes is a process's resident memory without what it shares with others.
func ownBytes(t *testing.T, pid int) int64 {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/statm", pid))
	if err != nil {
		t.Skip("the memory of a process cannot be told here")
	}
	fields := strings.Fields(string(text))
	resident, _ := strconv.ParseInt(fields[1], 10, 64)
	shared, _ := strconv.ParseInt(fields[2], 10, 64)
	return (resident - shared) * int64(os.Getpagesize())
}

// Without a policy writes are refused, with nothing done, and everything else goes on, in the order of the pipeline.
func TestWritesAreRefusedWhenMemoryIsFull(t *testing.T) {
	t.Parallel()
	const oom = "OOM command not allowed when used memory > 'maxmemory'."
	c := startCluster(t, 2)
	c.do("SET", "k", "old")
	c.do("SET", "volatile", "v", "EX", 1000)
	c.do("CONFIG", "SET", "maxmemory", 1000)
	c.awaitStatus("the limit", func(s op.Status) bool { return s.Memory.SmallestBytes == 1000 && s.Memory.UsedBytes > 1000 })
	pipe := c.control.Pipeline()
	set := pipe.Set(t.Context(), "k", "new", 0)
	get := pipe.Get(t.Context(), "k")
	del := pipe.Del(t.Context(), "other")
	_, _ = pipe.Exec(t.Context())
	if set.Err() == nil || set.Err().Error() != oom || get.Val() != "old" || del.Err() != nil {
		t.Errorf("SET: %v, GET: %q, DEL: %v", set.Err(), get.Val(), del.Err())
	}
	exec := c.control.TxPipeline()
	exec.Incr(t.Context(), "n")
	if _, err := exec.Exec(t.Context()); err == nil || !strings.HasPrefix(err.Error(), "EXECABORT") && err.Error() != oom {
		t.Errorf("a transaction that writes: %v", err)
	}
	if n := c.control.Exists(t.Context(), "n").Val(); n != 0 {
		t.Error("a refused transaction has taken place")
	}
	// Under a volatile policy keys with a deadline go, and then nothing may.
	c.do("CONFIG", "SET", "maxmemory-policy", "volatile-ttl")
	if err := c.control.Set(t.Context(), "k", "new", 0).Err(); err == nil || err.Error() != oom {
		t.Errorf("with one key that may go: %v", err)
	}
	c.awaitStatus("the eviction", func(s op.Status) bool { return s.Memory.EvictedBy["volatile-ttl"] == 1 })
	if n := c.control.Exists(t.Context(), "volatile").Val(); n != 0 {
		t.Error("the key with a deadline is still there")
	}
	c.do("CONFIG", "SET", "maxmemory", 0)
	c.do("SET", "k", "new")
	if got := c.do("GET", "k"); got != "new" {
		t.Errorf("GET: %v", got)
	}
}

// The counters of accesses are kept by the nodes, as the policy says.
func TestObjectFreqAndIdletimeFollowThePolicy(t *testing.T) {
	t.Parallel()
	c := startAlone(t, "--near-cache", "0")
	c.do("SET", "k", "v")
	if err := c.control.Do(t.Context(), "OBJECT", "FREQ", "k").Err(); err == nil || !strings.HasPrefix(err.Error(), "ERR An LFU maxmemory policy is not selected") {
		t.Errorf("OBJECT FREQ: %v", err)
	}
	c.do("CONFIG", "SET", "maxmemory-policy", "allkeys-lfu", "lfu-log-factor", 0)
	for range 50 {
		c.do("GET", "k")
	}
	if got := c.do("OBJECT", "FREQ", "k"); got != int64(55) {
		t.Errorf("OBJECT FREQ: %v", got)
	}
	if err := c.control.Do(t.Context(), "OBJECT", "IDLETIME", "k").Err(); err == nil || !strings.HasPrefix(err.Error(), "ERR An LFU maxmemory policy is selected") {
		t.Errorf("OBJECT IDLETIME: %v", err)
	}
}

// What was deleted makes room at once, as in Redis, though nothing else is written that would sweep up behind it.
func TestRoomIsThereOnceSomethingIsDeleted(t *testing.T) {
	t.Parallel()
	for name, start := range map[string]func() *cluster{
		"embedded": func() *cluster { return startAlone(t) },
		"two":      func() *cluster { return startCluster(t, 2) },
	} {
		t.Run(name, func(t *testing.T) {
			c := start()
			c.do("CONFIG", "SET", "maxmemory", 10<<20)
			value := strings.Repeat("v", 1000)
			for _, empty := range [][]any{{"FLUSHALL"}, {"DEL", "big"}, {"UNLINK", "big"}, {"FLUSHDB", "ASYNC"}} {
				written := 0
				for full := false; !full; written += 100 {
					if written > 100_000 {
						t.Fatal("the limit is never met")
					}
					pipe := c.control.Pipeline()
					for i := range 100 {
						if empty[0] == "DEL" || empty[0] == "UNLINK" {
							pipe.HSet(t.Context(), "big", written+i, value)
						} else {
							pipe.Set(t.Context(), fmt.Sprint("k", written+i), value, 0)
						}
					}
					_, err := pipe.Exec(t.Context())
					full = err != nil && strings.HasPrefix(err.Error(), "OOM ")
				}
				c.do(empty...)
				if err := c.control.Set(t.Context(), "k", value, 0).Err(); err != nil {
					t.Errorf("SET behind %v: %v", empty, err)
				}
				c.do("FLUSHALL")
				// And what was taken is given back.
				c.awaitStatus("the memory to be free", func(s op.Status) bool { return s.Memory.UsedBytes < 7<<20 })
			}
		})
	}
}
