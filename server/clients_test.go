package server

import (
	"context"
	"errors"
	"fmt"
	osexec "os/exec"
	"strings"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
)

func TestGoRedisWorksUnchanged(t *testing.T) {
	for _, proto := range []int{2, 3} {
		t.Run(fmt.Sprintf("RESP%d", proto), func(t *testing.T) {
			s := startServer(t, func(o *Options) { o.Password = "secret" })
			ctx, cancel := context.WithTimeout(context.Background(), patience)
			defer cancel()
			c := redis.NewClient(&redis.Options{Addr: s.addr, Protocol: proto, Password: "secret", ClientName: "me", DB: 2})
			defer c.Close()
			if err := c.Set(ctx, "k", "v", time.Minute).Err(); err != nil {
				t.Fatal(err)
			}
			if _, err := c.Get(ctx, "nothing").Result(); !errors.Is(err, redis.Nil) {
				t.Errorf("a missing key: %v", err)
			}
			cmds, err := c.Pipelined(ctx, func(p redis.Pipeliner) error {
				for i := range 500 {
					p.HSet(ctx, "h", fmt.Sprint(i), i)
				}
				return nil
			})
			if err != nil || len(cmds) != 500 {
				t.Errorf("%d, %v", len(cmds), err)
			}
			if all, err := c.HGetAll(ctx, "h").Result(); err != nil || len(all) != 500 {
				t.Errorf("%d fields, %v", len(all), err)
			}
			// Optimistic locking, lost once.
			attempts := 0
			err = c.Watch(ctx, func(tx *redis.Tx) error {
				attempts++
				c.Incr(ctx, "n")
				_, err := tx.TxPipelined(ctx, func(p redis.Pipeliner) error {
					p.Set(ctx, "n", 100, 0)
					return nil
				})
				return err
			}, "n")
			if !errors.Is(err, redis.TxFailedErr) {
				t.Errorf("a watched key that changed: %v", err)
			}
			if err := c.Watch(ctx, func(tx *redis.Tx) error {
				_, err := tx.TxPipelined(ctx, func(p redis.Pipeliner) error {
					p.Set(ctx, "n", 100, 0)
					p.Incr(ctx, "n")
					return nil
				})
				return err
			}, "n"); err != nil {
				t.Error(err)
			}
			if n, err := c.Get(ctx, "n").Int(); err != nil || n != 101 {
				t.Errorf("%d, %v", n, err)
			}
			sub := c.PSubscribe(ctx, "news.*")
			defer sub.Close()
			if _, err := sub.Receive(ctx); err != nil {
				t.Fatal(err)
			}
			if n, err := c.Publish(ctx, "news.today", "hello").Result(); err != nil || n != 1 {
				t.Errorf("%d receivers, %v", n, err)
			}
			if m, err := sub.ReceiveMessage(ctx); err != nil || m.Channel != "news.today" || m.Payload != "hello" {
				t.Errorf("%v, %v", m, err)
			}
			if info, err := c.ClientInfo(ctx).Result(); err != nil || info.Name != "me" || info.DB != 2 || info.LibName == "" {
				t.Errorf("%+v, %v", info, err)
			}
			if rows, err := c.Command(ctx).Result(); err != nil || rows["get"] == nil || !rows["get"].ReadOnly {
				t.Errorf("%d commands, %v", len(rows), err)
			}
			if n, err := c.Wait(ctx, 0, time.Second).Result(); err != nil || n != 0 {
				t.Errorf("WAIT: %d, %v", n, err)
			}
		})
	}
}

func TestRedisCliPipesALoad(t *testing.T) {
	path, err := osexec.LookPath("redis-cli")
	if err != nil {
		t.Skip("redis-cli is not installed (apt-get install redis-tools)")
	}
	s := startServer(t, nil)
	host, port, _ := strings.Cut(s.addr, ":")
	var in strings.Builder
	for i := range 50_000 {
		fmt.Fprintf(&in, "SET key:%d 'value %d'\r\n", i, i)
	}
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	cmd := osexec.CommandContext(ctx, path, "-h", host, "-p", port, "--pipe")
	cmd.Stdin = strings.NewReader(in.String())
	out, err := cmd.CombinedOutput()
	if err != nil || !strings.Contains(string(out), "errors: 0, replies: 50000") {
		t.Fatalf("%v: %s", err, out)
	}
	if got := string(s.dial(t).Do("DBSIZE")); got != ":50000\r\n" {
		t.Error(got)
	}
}
