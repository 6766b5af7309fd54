package integration

import (
	"fmt"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"brainer/internal/redistest"
)

// infoStats is the numbers of a server's INFO stats.
func infoStats(t testing.TB, c *redis.Client) map[string]int64 {
	t.Helper()
	text, err := c.Info(t.Context(), "stats").Result()
	must(t, err)
	stats := map[string]int64{}
	for line := range strings.Lines(text) {
		name, value, _ := strings.Cut(strings.TrimSpace(line), ":")
		if n, err := strconv.ParseInt(value, 10, 64); err == nil {
			stats[name] = n
		}
	}
	return stats
}

// Look-ups are counted as Redis counts them: with nodes, with the near cache, and in the broker's own process.
func TestHitsAndMissesAreCountedAsByRedis(t *testing.T) {
	t.Parallel()
	theirs := redis.NewClient(&redis.Options{Addr: redistest.Start(t), Protocol: 2})
	t.Cleanup(func() { _ = theirs.Close() })
	for name, start := range map[string]func() *cluster{
		"embedded": func() *cluster { return startAlone(t) },
		"three":    func() *cluster { return startCluster(t, 3) },
		"no near":  func() *cluster { return startCluster(t, 2, "--near-cache", "0") },
	} {
		t.Run(name, func(t *testing.T) {
			c := start()
			ours := c.control
			must(t, theirs.FlushAll(t.Context()).Err())
			for _, line := range []string{
				"SET s v", "GET s", "GET s", "GET s", "GET none", "GET none", "GET none", "MGET s none s t", "EXISTS s none", "STRLEN s", "STRLEN none",
				"GETRANGE s 0 1", "TTL s", "TTL none", "PTTL s", "TYPE s", "TYPE none", "OBJECT ENCODING s", "OBJECT FREQ none", "TOUCH s none",
				"SET s w GET", "SET none w XX", "SET s w NX", "SET t w NX", "GETSET u 1", "GETSET u 2", "GETDEL u", "GETDEL u", "GETEX s EX 100", "GETEX none",
				"SET s x", "GET s", "APPEND s x", "INCR n", "INCRBY n 3", "SETRANGE s 0 y", "EXPIRE s 1000", "PERSIST s", "SETNX s v", "COPY s d", "COPY none d",
				"RENAME d e", "DEL e none", "HSET h f v", "HGET h f", "HGET h f", "HGET h none", "HGET h none", "HGET nohash f", "HMGET h f g", "HGETALL h",
				"HGETALL nohash", "HLEN h", "HEXISTS h f", "HKEYS h", "HVALS h", "HINCRBY h n 1", "HDEL h f", "HRANDFIELD h", "HSCAN h 0", "HSTRLEN h n",
				"DBSIZE", "KEYS *", "SCAN 0", "RANDOMKEY", "LCS s n", "GET h", "HGET s f", "MSET a 1 b 2", "MSETNX a 1 b 2", "MEMORY USAGE s", "UNLINK a",
			} {
				var args []any
				for _, word := range strings.Fields(line) {
					args = append(args, word)
				}
				before, beforeTheirs := infoStats(t, ours), infoStats(t, theirs)
				ours.Do(t.Context(), args...)
				theirs.Do(t.Context(), args...)
				after, afterTheirs := infoStats(t, ours), infoStats(t, theirs)
				for _, field := range []string{"keyspace_hits", "keyspace_misses"} {
					if got, want := after[field]-before[field], afterTheirs[field]-beforeTheirs[field]; got != want {
						t.Errorf("%s: %s grew by %d, Redis's by %d", line, field, got, want)
					}
				}
			}
			tx := func(c *redis.Client) (hits, misses int64) {
				before := infoStats(t, c)
				pipe := c.TxPipeline()
				pipe.Get(t.Context(), "s")
				pipe.Get(t.Context(), "none")
				pipe.Set(t.Context(), "s", "v", 0)
				_, _ = pipe.Exec(t.Context())
				after := infoStats(t, c)
				return after["keyspace_hits"] - before["keyspace_hits"], after["keyspace_misses"] - before["keyspace_misses"]
			}
			if hits, misses := tx(ours); hits != 1 || misses != 1 {
				t.Errorf("a transaction has %d hits and %d misses", hits, misses)
			}
		})
	}
}

// Keys that expire are counted once, whatever the number of nodes; CONFIG RESETSTAT sets all of that to 0.
func TestResetStatResetsWhatNodesCount(t *testing.T) {
	t.Parallel()
	c := startCluster(t, 2, "--maxmemory", "60mb", "--maxmemory-policy", "allkeys-lru")
	pipe := c.control.Pipeline()
	for i := range 1000 {
		pipe.Set(t.Context(), fmt.Sprint("e", i), "v", time.Millisecond)
	}
	_, err := pipe.Exec(t.Context())
	must(t, err)
	await(t, "the keys to be counted as expired", func() (bool, string) {
		n := infoStats(t, c.control)["expired_keys"]
		return n == 1000, fmt.Sprint(n)
	})
	value := strings.Repeat("v", 4000)
	for i := 0; infoStats(t, c.control)["evicted_keys"] == 0; i++ {
		pipe := c.control.Pipeline()
		for j := range 500 {
			pipe.Set(t.Context(), fmt.Sprint("k", i, "-", j), value, 0)
		}
		_, err := pipe.Exec(t.Context())
		must(t, err)
	}
	c.do("SET", "k", "v")
	c.do("GET", "k")
	c.do("CONFIG", "RESETSTAT")
	stats := infoStats(t, c.control)
	for _, field := range []string{"expired_keys", "evicted_keys", "keyspace_hits", "keyspace_misses", "sync_full", "sync_partial_ok"} {
		if n, ok := stats[field]; n != 0 || !ok {
			t.Errorf("%s:%d after CONFIG RESETSTAT, there: %v", field, n, ok)
		}
	}
	if err := c.control.Do(t.Context(), "CONFIG", "REWRITE").Err(); err == nil || err.Error() != "ERR The server is running without a config file" {
		t.Errorf("CONFIG REWRITE: %v", err)
	}
}
