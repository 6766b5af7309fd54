package main

import (
	"os/exec"
	"strings"
	"testing"

	"brainer/internal/redistest"
	"brainer/resp"
)

// Replies look as the real redis-cli prints them.
func TestRepliesLookAsInRedisCLI(t *testing.T) {
	cli, err := exec.LookPath("redis-cli")
	if err != nil {
		t.Skip("redis-cli is not installed")
	}
	addr := redistest.Start(t)
	host, port, _ := strings.Cut(addr, ":")
	for _, command := range [][]string{
		{"SET", "text", "a\"b\\c\n\r\t\a\b\x01\xffé"}, {"GET", "text"}, {"GET", "none"}, {"STRLEN", "text"},
		{"EVAL", "return {1,{2,{},'x',{false,'y'}},'z'}", "0"}, {"EVAL", "return redis.status_reply('FINE')", "0"},
		{"EVAL", "local t = {} for i = 1,11 do t[i] = {i,i} end return t", "0"},
		{"EVAL", "return {}", "0"}, {"ECHO", ""}, {"COMMAND", "INFO", "get", "nosuch"},
	} {
		for _, mode := range []string{"--raw", "--no-raw"} {
			out, err := exec.Command(cli, append([]string{"-h", host, "-p", port, mode}, command...)...).Output()
			if err != nil {
				t.Fatal(err)
			}
			stdout, stderr, code := invoke(t, append([]string{"redis://" + addr, mode}, command...)...)
			if stdout != string(out) || code != 0 {
				t.Errorf("%s %q\ngot  %q (%s)\nwant %q", mode, command, stdout, stderr, out)
			}
		}
	}
	// The types of RESP3, which DEBUG PROTOCOL shows one by one.
	if _, err := exec.Command(cli, "-h", host, "-p", port, "-3", "DEBUG", "PROTOCOL", "null").Output(); err != nil {
		t.Skip("no DEBUG PROTOCOL here")
	}
	server := redistest.Dial(t, addr)
	server.Do("HELLO", "3")
	for _, kind := range []string{"string", "integer", "double", "null", "array", "set", "map", "true", "false", "verbatim"} {
		reply, _, err := resp.ParseReply(server.Do("DEBUG", "PROTOCOL", kind))
		if err != nil {
			t.Fatal(err)
		}
		for mode, got := range map[string]string{"--no-raw": formatReply(reply), "--raw": string(rawReply(reply)) + "\n"} {
			want, err := exec.Command(cli, "-h", host, "-p", port, "-3", mode, "DEBUG", "PROTOCOL", kind).Output()
			if err != nil {
				t.Fatal(err)
			}
			if got != string(want) {
				t.Errorf("%s %s\ngot  %q\nwant %q", mode, kind, got, want)
			}
		}
	}
}

func TestTextForPeopleStaysText(t *testing.T) {
	addr := redistest.Start(t)
	stdout, _, _ := invoke(t, "redis://"+addr, "--no-raw", "INFO", "server")
	if !strings.HasPrefix(stdout, "# Server\r\n") {
		t.Errorf("INFO is printed as %.40q", stdout)
	}
	if stdout, _, _ = invoke(t, "redis://"+addr, "--no-raw", "CLIENT", "LIST"); !strings.HasPrefix(stdout, "id=") {
		t.Errorf("CLIENT LIST is printed as %.40q", stdout)
	}
}
