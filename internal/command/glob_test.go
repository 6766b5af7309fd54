package command

import (
	"bytes"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"brainer/internal/redistest"
)

func TestMatch(t *testing.T) {
	for _, test := range []struct {
		pattern, s string
		want       bool
	}{
		{"*", "a", true}, {"*", "", false}, {"", "", true}, {"", "a", false}, {"a*", "a", true}, {"a**", "a", true},
		{"h?llo", "hello", true}, {"h*llo", "heeeello", true}, {"h[ae]llo", "hallo", true}, {"h[ae]llo", "hillo", false},
		{"h[^e]llo", "hallo", true}, {"h[^e]llo", "hello", false}, {"h[a-b]llo", "hbllo", true}, {"[b-a]", "a", true},
		{"\\*", "*", true}, {"\\*", "a", false}, {"a\\", "a\\", true}, {"[\\]]", "]", true}, {"[abc", "b", true},
		{"[", "a", false}, {"[^", "a", true}, {"[a-", "-", true}, {"*a*b", "xaxb", true}, {"*a*b", "xaxbx", false},
		{"[\x80-\x90]", "\x85", true}, {"[\x7f-\x80]", "a", true},
	} {
		if got := Match([]byte(test.pattern), []byte(test.s)); got != test.want {
			t.Errorf("Match(%q, %q) = %v", test.pattern, test.s, got)
		}
	}
}

// TestRandomPatternsMatchAsRedis makes patterns out of what patterns are made of.
func TestRandomPatternsMatchAsRedis(t *testing.T) {
	redis := redistest.Dial(t, redistest.Start(t))
	rnd := rand.New(rand.NewPCG(3, 0))
	random := func(alphabet string, lengthMax int) string {
		var b strings.Builder
		for range rnd.IntN(lengthMax + 1) {
			b.WriteByte(alphabet[rnd.IntN(len(alphabet))])
		}
		return b.String()
	}
	keys := map[string]bool{}
	for range 300 {
		key := random("abc-]^[\\*?\x00\x7f\x80\xff", 5)
		keys[key] = true
		redis.Do("SET", key, "")
	}
	for range 3000 {
		pattern := random("aabbc-]^[[\\***??\x00\x7f\x80\xff", 8)
		theirs := map[string]bool{}
		for _, v := range redistest.Parse(redis.Do("KEYS", pattern)).Elems {
			theirs[v.Text] = true
		}
		for key := range keys {
			if got := matches([]byte(pattern), []byte(key)); got != theirs[key] {
				t.Errorf("pattern %q, key %q: ours %v, redis %v", pattern, key, got, theirs[key])
			}
		}
	}
}

func TestMatchTimeIsBounded(t *testing.T) {
	pattern := bytes.Repeat([]byte("*a"), 10_000)
	s := append(bytes.Repeat([]byte("a"), 20_000), 'b')
	done := make(chan bool, 1)
	go func() { done <- Match(pattern, s) }()
	select {
	case got := <-done:
		if got {
			t.Error("matched")
		}
	case <-time.After(time.Minute):
		t.Fatal("still matching")
	}
}
