package integration

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/redis/go-redis/v9"
)

// contents are all keys of a server: "db key" -> type, deadline and value. Types that Brainer has not are left out.
func contents(t testing.TB, addr string) map[string]string {
	t.Helper()
	all := map[string]string{}
	for db := range 16 {
		r := redis.NewClient(&redis.Options{Addr: addr, DB: db, ReadTimeout: patience, MaxRetries: -1})
		if err := addContents(all, r, db); err != nil {
			t.Fatalf("contents of %s, database %d: %v", addr, db, err)
		}
		r.Close()
	}
	return all
}

func addContents(all map[string]string, r *redis.Client, db int) error {
	ctx := context.Background()
	keys, err := r.Keys(ctx, "*").Result()
	if err != nil {
		return err
	}
	p := r.Pipeline()
	kinds, deadlines := make([]*redis.StatusCmd, len(keys)), make([]*redis.Cmd, len(keys))
	for i, key := range keys {
		kinds[i], deadlines[i] = p.Type(ctx, key), p.Do(ctx, "PEXPIRETIME", key)
	}
	if _, err := p.Exec(ctx); err != nil && len(keys) > 0 {
		return err
	}
	values := make([]redis.Cmder, len(keys))
	for i, key := range keys {
		switch kinds[i].Val() {
		case "string":
			values[i] = p.Get(ctx, key)
		case "hash":
			values[i] = p.HGetAll(ctx, key)
		}
	}
	if _, err := p.Exec(ctx); err != nil && p.Len() > 0 {
		return err
	}
	for i, key := range keys {
		var value string
		switch v := values[i].(type) {
		case *redis.StringCmd:
			value, err = v.Result()
		case *redis.MapStringStringCmd:
			var b strings.Builder
			for _, f := range slices.Sorted(maps.Keys(v.Val())) {
				fmt.Fprintf(&b, "%q=%q ", f, v.Val()[f])
			}
			value, err = b.String(), v.Err()
		default:
			continue
		}
		if err != nil {
			return err
		}
		all[fmt.Sprintf("%d %q", db, key)] = fmt.Sprintf("%s until %v: %s", kinds[i].Val(), deadlines[i].Val(), value)
	}
	return nil
}

// wantContents says what differs.
func wantContents(t testing.TB, what string, got, want map[string]string) {
	t.Helper()
	differing := 0
	for _, key := range slices.Sorted(maps.Keys(want)) {
		if got[key] != want[key] {
			if differing++; differing <= 5 {
				t.Errorf("%s: %s is %.120q, want %.120q", what, key, got[key], want[key])
			}
		}
	}
	for key := range got {
		if _, ok := want[key]; !ok {
			if differing++; differing <= 5 {
				t.Errorf("%s: %s is %.120q, and should not be there", what, key, got[key])
			}
		}
	}
	if differing > 0 || len(want) == 0 {
		t.Errorf("%s: %d keys, want %d; %d differ", what, len(got), len(want), differing)
	}
}

// fill puts keys of every kind that both have into a server.
func fill(t testing.TB, addr string) {
	t.Helper()
	ctx := context.Background()
	long := strings.Repeat("0123456789abcdef", 64<<10) // 1 MiB: several parts
	for _, db := range []int{0, 3, 15} {
		r := redis.NewClient(&redis.Options{Addr: addr, DB: db, ReadTimeout: patience, MaxRetries: -1})
		p := r.Pipeline()
		for i := range 500 {
			p.Set(ctx, fmt.Sprintf("s:%d:%d", db, i), strings.Repeat("v", i), 0)
			p.HSet(ctx, fmt.Sprintf("h:%d:%d", db, i), "f", i, "g\r\n", "x\x00y")
		}
		p.Set(ctx, "number", 12345, 0)
		p.Set(ctx, "negative", -1, 0)
		p.Set(ctx, "empty", "", 0)
		p.Set(ctx, "", "of the empty key", 0)
		p.Set(ctx, "long", long, 0)
		p.Set(ctx, "long for a while", long, 0)
		p.Do(ctx, "PEXPIREAT", "long for a while", 4102444800123)
		p.Do(ctx, "SET", "brief", "x", "PXAT", 4102444800000+db)
		p.Do(ctx, "SET", "gone", "x", "PX", 1)
		for i := range 3000 { // several slices
			p.HSet(ctx, "big", fmt.Sprintf("field %d", i), strings.Repeat("w", i%100))
		}
		p.Do(ctx, "PEXPIREAT", "big", 4102444800001)
		p.HSet(ctx, "numbers", "1", "2", "-3", "4000000000")
		if _, err := p.Exec(ctx); err != nil {
			t.Fatal(err)
		}
		r.Close()
	}
}
