package integration

import (
	"fmt"
	"os/exec"
	"regexp"
	"strings"
	"testing"
)

// redisCLI runs redis-cli with stdin as its input, and returns what it prints.
func redisCLI(t testing.TB, c *cluster, stdin string, args ...string) string {
	t.Helper()
	host, port, _ := strings.Cut(c.addr, ":")
	cmd := exec.Command(installed(t, "redis-cli", "redis-tools"), append([]string{"-h", host, "-p", port}, args...)...)
	cmd.Stdin = strings.NewReader(stdin)
	p := startCommand(t, "redis-cli", cmd)
	if code := p.exit(); code != 0 {
		t.Errorf("redis-cli %q: exit code %d: %s", args, code, p.output())
	}
	return p.output()
}

func TestRedisCLI(t *testing.T) {
	t.Parallel()
	c := startCluster(t, 3)
	for _, test := range []struct {
		args  []string
		stdin string
		want  string
	}{
		{[]string{"ping"}, "", "PONG"},
		{[]string{"set", "k", "v"}, "", "OK"},
		{[]string{"get", "k"}, "", "v"},
		{[]string{"get", "nosuch"}, "", ""},
		{[]string{"--no-raw", "get", "nosuch"}, "", "(nil)"},
		{[]string{"--no-raw", "incr", "n"}, "", "(integer) 1"},
		{[]string{"-3", "--no-raw", "hset", "h", "a", "1", "b", "2"}, "", "(integer) 2"},
		{[]string{"-3", "--no-raw", "hgetall", "h"}, "", "1# \"a\" => \"1\"\n2# \"b\" => \"2\""},
		{[]string{"--no-raw", "hgetall", "h"}, "", "1) \"a\"\n2) \"1\"\n3) \"b\"\n4) \"2\""},
		{[]string{"-x", "set", "from-stdin"}, "a value\nof two lines", "OK"},
		{[]string{"get", "from-stdin"}, "", "a value\nof two lines"},
		{nil, "MULTI\nINCR n\nAPPEND k w\nEXEC\n", "OK\nQUEUED\nQUEUED\n2\n2"},
		{nil, "WATCH k\nMULTI\nSET k x\nDISCARD\nGET k\n", "OK\nOK\nQUEUED\nOK\nvw"},
		{nil, "NOSUCH a b\n", "ERR unknown command 'NOSUCH', with args beginning with: 'a' 'b' \n"},
		{[]string{"-n", "3", "set", "elsewhere", "x"}, "", "OK"},
		{[]string{"-n", "3", "dbsize"}, "", "1"},
		{[]string{"--csv", "mget", "k", "n", "nosuch"}, "", `"vw","2",NULL`},
		{[]string{"-r", "3", "incr", "repeated"}, "", "1\n2\n3"},
	} {
		if got := redisCLI(t, c, test.stdin, test.args...); got != test.want {
			t.Errorf("redis-cli %q < %q: %q, want %q", test.args, test.stdin, got, test.want)
		}
	}

	var load strings.Builder
	for i := range 3000 {
		fmt.Fprintf(&load, "SET piped:%d %d\r\n", i, i)
	}
	if got := redisCLI(t, c, load.String(), "--pipe"); !strings.Contains(got, "errors: 0, replies: 3000") {
		t.Errorf("--pipe: %s", got)
	}
	if got := redisCLI(t, c, "", "--scan", "--pattern", "piped:*"); strings.Count(got, "\n")+1 != 3000 {
		t.Errorf("--scan found %d keys, want 3000", strings.Count(got, "\n")+1)
	}
	got := redisCLI(t, c, "", "--bigkeys", "-i", "0")
	if !regexp.MustCompile(`Biggest string found '"from-stdin"' has 20 bytes`).MatchString(got) {
		t.Errorf("--bigkeys: %s", got)
	}
	if got := redisCLI(t, c, "", "info", "server"); !strings.Contains(got, "redis_version:7.") {
		t.Errorf("info server: %s", got)
	}
	c.awaitLevel()
}
