package integration

import (
	"context"
	"errors"
	"fmt"
	"net"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
)

// eachProtocol runs the test over RESP2 and over RESP3.
func eachProtocol(t *testing.T, c *cluster, test func(*testing.T, *redis.Client)) {
	for _, proto := range []int{2, 3} {
		t.Run("RESP"+strconv.Itoa(proto), func(t *testing.T) {
			c.do("FLUSHALL")
			r := c.newClient(func(o *redis.Options) { o.Protocol = proto; o.ClientName = "go-redis" })
			test(t, r)
		})
	}
}

func TestGoRedis(t *testing.T) {
	t.Parallel()
	c := startCluster(t, 3)
	t.Run("pipelines", func(t *testing.T) { eachProtocol(t, c, goRedisPipelines) })
	t.Run("transactions", func(t *testing.T) { eachProtocol(t, c, goRedisTransactions) })
	t.Run("optimistic locking", func(t *testing.T) { eachProtocol(t, c, goRedisWatch) })
	t.Run("publish and subscribe", func(t *testing.T) { eachProtocol(t, c, goRedisPubSub) })
	t.Run("scan", func(t *testing.T) { eachProtocol(t, c, goRedisScan) })
	t.Run("hashes and expiry", func(t *testing.T) { eachProtocol(t, c, goRedisHashes) })
	t.Run("databases", func(t *testing.T) {
		one, two := c.newClient(func(o *redis.Options) { o.DB = 1 }), c.newClient(func(o *redis.Options) { o.DB = 2 })
		ctx := ctxOf(t)
		must(t, one.Set(ctx, "k", "one", 0).Err())
		must(t, two.Set(ctx, "k", "two", 0).Err())
		if v := one.Get(ctx, "k").Val() + two.Get(ctx, "k").Val(); v != "onetwo" {
			t.Errorf("got %q", v)
		}
	})
	t.Run("a deadline cuts a call off", func(t *testing.T) {
		r := c.newClient()
		ctx, cancel := context.WithTimeout(context.Background(), 50*time.Millisecond)
		defer cancel()
		began := time.Now()
		// Nobody is there to be a third copy besides the first: WAIT takes its whole time.
		must(t, r.Set(ctx, "k", "v", 0).Err())
		err := r.Do(ctx, "WAIT", 9, 20000).Err()
		var late net.Error
		if !errors.As(err, &late) || !late.Timeout() || time.Since(began) > 10*time.Second {
			t.Errorf("WAIT: %v after %s", err, time.Since(began))
		}
		if v, err := r.Get(ctxOf(t), "k").Result(); v != "v" || err != nil {
			t.Errorf("GET afterwards: %q %v", v, err)
		}
	})
	t.Run("WAIT counts the copies besides the first", func(t *testing.T) {
		ctx := ctxOf(t)
		must(t, c.control.Set(ctx, "k", "v", 0).Err())
		began := time.Now()
		if n, err := c.control.Do(ctx, "WAIT", 2, 30000).Int(); n != 2 || err != nil {
			t.Errorf("WAIT: %d %v, want 2", n, err)
		}
		if d := time.Since(began); d > 20*time.Second {
			t.Errorf("WAIT for copies that are there took %s", d)
		}
	})
	c.awaitLevel()
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func goRedisPipelines(t *testing.T, r *redis.Client) {
	ctx := ctxOf(t)
	for round := range 20 {
		const n = 500
		sets := make([]*redis.StatusCmd, n)
		incrs := make([]*redis.IntCmd, n)
		gets := make([]*redis.StringCmd, n)
		_, err := r.Pipelined(ctx, func(p redis.Pipeliner) error {
			for i := range n {
				k := fmt.Sprintf("k%d", i)
				sets[i] = p.Set(ctx, k, fmt.Sprintf("%d of %d", i, round), 0)
				incrs[i] = p.Incr(ctx, "counter")
				gets[i] = p.Get(ctx, k)
			}
			return nil
		})
		must(t, err)
		for i := range n {
			if sets[i].Val() != "OK" || incrs[i].Val() != int64(round*n+i+1) || gets[i].Val() != fmt.Sprintf("%d of %d", i, round) {
				t.Fatalf("round %d, %d: %v %v %v", round, i, sets[i], incrs[i], gets[i])
			}
		}
	}
	// An error in the middle is that command's alone.
	p := r.Pipeline()
	p.Set(ctx, "text", "x", 0)
	bad := p.Incr(ctx, "text")
	last := p.Get(ctx, "text")
	_, err := p.Exec(ctx)
	if err == nil || !strings.Contains(bad.Err().Error(), "not an integer") || last.Val() != "x" {
		t.Errorf("pipeline with an error: %v, %v, %v", err, bad, last)
	}
}

func goRedisTransactions(t *testing.T, r *redis.Client) {
	ctx := ctxOf(t)
	var wait sync.WaitGroup
	for range 8 {
		wait.Add(1)
		go func() {
			defer wait.Done()
			for range 50 {
				var a, b *redis.IntCmd
				_, err := r.TxPipelined(ctx, func(p redis.Pipeliner) error {
					a, b = p.Incr(ctx, "left"), p.Incr(ctx, "right")
					return nil
				})
				if err != nil || a.Val() != b.Val() {
					t.Errorf("transaction: %v, %v and %v", err, a, b)
					return
				}
			}
		}()
	}
	wait.Wait()
	if v, err := r.MGet(ctx, "left", "right").Result(); err != nil || fmt.Sprint(v) != "[400 400]" {
		t.Errorf("after 400 transactions: %v %v", v, err)
	}
	_, err := r.TxPipelined(ctx, func(p redis.Pipeliner) error {
		p.Set(ctx, "text", "x", 0)
		p.Incr(ctx, "text")
		p.Append(ctx, "text", "y")
		return nil
	})
	if v := r.Get(ctx, "text").Val(); err == nil || v != "xy" {
		t.Errorf("a transaction goes on after a command that fails: %v, %q", err, v)
	}
}

func goRedisWatch(t *testing.T, r *redis.Client) {
	ctx := ctxOf(t)
	var wait sync.WaitGroup
	for range 6 {
		wait.Add(1)
		go func() {
			defer wait.Done()
			for done := 0; done < 20; {
				err := r.Watch(ctx, func(tx *redis.Tx) error {
					n, err := tx.Get(ctx, "n").Int()
					if err != nil && err != redis.Nil {
						return err
					}
					_, err = tx.TxPipelined(ctx, func(p redis.Pipeliner) error {
						p.Set(ctx, "n", n+1, 0)
						return nil
					})
					return err
				}, "n")
				switch {
				case err == nil:
					done++
				case !errors.Is(err, redis.TxFailedErr):
					t.Errorf("watch: %v", err)
					return
				}
			}
		}()
	}
	wait.Wait()
	if n, err := r.Get(ctx, "n").Int(); n != 120 || err != nil {
		t.Errorf("120 increments under WATCH made %d (%v)", n, err)
	}
}

func goRedisPubSub(t *testing.T, r *redis.Client) {
	ctx := ctxOf(t)
	exact := r.Subscribe(ctx, "news")
	defer exact.Close()
	pattern := r.PSubscribe(ctx, "n*")
	defer pattern.Close()
	for _, s := range []*redis.PubSub{exact, pattern} {
		if _, err := s.Receive(ctx); err != nil {
			t.Fatal(err)
		}
	}
	const n = 200
	for i := range n {
		if got, err := r.Publish(ctx, "news", strconv.Itoa(i)).Result(); got != 2 || err != nil {
			t.Fatalf("PUBLISH: %d receivers, %v", got, err)
		}
	}
	for _, s := range []*redis.PubSub{exact, pattern} {
		for i := range n {
			m, err := s.ReceiveMessage(ctx)
			if err != nil || m.Channel != "news" || m.Payload != strconv.Itoa(i) {
				t.Fatalf("message %d: %v %v", i, m, err)
			}
		}
	}
	must(t, exact.Unsubscribe(ctx, "news"))
	if _, err := exact.Receive(ctx); err != nil {
		t.Fatal(err)
	}
	if got := r.Publish(ctx, "news", "x").Val(); got != 1 {
		t.Errorf("after UNSUBSCRIBE %d receive", got)
	}
}

func goRedisScan(t *testing.T, r *redis.Client) {
	ctx := ctxOf(t)
	var want []string
	p := r.Pipeline()
	for i := range 2000 {
		k := fmt.Sprintf("scan:%04d", i)
		want = append(want, k)
		p.Set(ctx, k, i, 0)
		p.Set(ctx, fmt.Sprintf("other:%d", i), i, 0)
	}
	if _, err := p.Exec(ctx); err != nil {
		t.Fatal(err)
	}
	var got []string
	for it := r.Scan(ctx, 0, "scan:*", 50).Iterator(); ; {
		if !it.Next(ctx) {
			must(t, it.Err())
			break
		}
		got = append(got, it.Val())
	}
	slices.Sort(got)
	if !slices.Equal(slices.Compact(got), want) {
		t.Errorf("SCAN found %d keys, want %d", len(got), len(want))
	}
}

func goRedisHashes(t *testing.T, r *redis.Client) {
	ctx := ctxOf(t)
	type user struct {
		Name string `redis:"name"`
		Age  int    `redis:"age"`
	}
	must(t, r.HSet(ctx, "user", user{"Ann", 41}).Err())
	must(t, r.HIncrBy(ctx, "user", "age", 1).Err())
	var u user
	must(t, r.HGetAll(ctx, "user").Scan(&u))
	if u != (user{"Ann", 42}) {
		t.Errorf("got %+v", u)
	}
	must(t, r.Set(ctx, "short", "x", 30*time.Millisecond).Err())
	must(t, r.Set(ctx, "long", "x", time.Hour).Err())
	await(t, "the key expires", func() (bool, string) {
		n := r.Exists(ctx, "short").Val()
		return n == 0, fmt.Sprint(n)
	})
	if d := r.TTL(ctx, "long").Val(); d < 59*time.Minute || d > time.Hour {
		t.Errorf("TTL %s", d)
	}
	if ok := r.SetNX(ctx, "long", "y", 0).Val(); ok {
		t.Error("SETNX over a key that is there")
	}
	if v, err := r.Get(ctx, "short").Result(); err != redis.Nil {
		t.Errorf("GET of an expired key: %q %v", v, err)
	}
}
