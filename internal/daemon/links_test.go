package daemon

import (
	"log/slog"
	"path/filepath"
	"strings"
	"testing"

	"github.com/spf13/pflag"

	"brainer/internal/curve"
)

func TestWhatOtherMachinesReachNeedsKeys(t *testing.T) {
	for endpoint, want := range map[string]bool{
		"ipc:///tmp/b.sock":              false,
		"inproc://x":                     false,
		"tcp://127.0.0.1:9620":           false,
		"tcp://127.1.2.3:*":              false,
		"tcp://[::1]:9620":               false,
		"tcp://localhost:9620":           false,
		"tcp://lo:9620":                  false,
		"tcp://*:9620":                   true,
		"tcp://0.0.0.0:9620":             true,
		"tcp://[::]:9620":                true,
		"tcp://192.0.2.1:9620":           true,
		"tcp://eth0:9620":                true,
		"tcp://broker:9620":              true,
		"tcp://127.0.0.1:0;broker:9620":  true,
		"tcp://eth0:0;127.0.0.1:9620":    false,
		"tcp://127.0.0.1.example.com:80": true,
		"tcp://9620":                     true,
		"tcp://":                         true,
	} {
		if got := exposed(endpoint); got != want {
			t.Errorf("%s: %v", endpoint, got)
		}
	}
}

func parse(t *testing.T, args ...string) *Links {
	t.Helper()
	var l Links
	f := pflag.NewFlagSet("test", pflag.ContinueOnError)
	l.BoundFlags(f)
	l.DialFlags(f)
	if err := f.Parse(args); err != nil {
		t.Fatal(err)
	}
	return &l
}

func TestKeysGoTogether(t *testing.T) {
	name := filepath.Join(t.TempDir(), "k")
	p, err := curve.Generate()
	if err != nil {
		t.Fatal(err)
	}
	if err := p.Write(name); err != nil {
		t.Fatal(err)
	}
	key, public := curve.Files(name)
	for _, c := range []struct {
		args           []string
		want           string // of the error
		bound, dialled bool   // are secured
	}{
		{nil, "", false, false},
		{[]string{"--curve-key", key}, "secures nothing", false, false},
		{[]string{"--curve-server-key", public}, "need --curve-key", false, false},
		{[]string{"--curve-allowed-keys", public}, "need --curve-key", false, false},
		{[]string{"--curve-key", key, "--curve-server-key", public}, "", false, true},
		{[]string{"--curve-key", key, "--curve-allowed-keys", "/dev/null"}, "", true, false},
		{[]string{"--curve-key", "/nowhere", "--curve-allowed-keys", "/dev/null"}, "--curve-key /nowhere: no such file", false, false},
		{[]string{"--curve-key", key, "--curve-allowed-keys", "/nowhere"}, "--curve-allowed-keys /nowhere: no such file", false, false},
		{[]string{"--curve-key", key, "--curve-server-key", "/dev/null"}, "--curve-server-key /dev/null: no public key", false, false},
	} {
		l := parse(t, c.args...)
		config, err := l.Config(slog.New(slog.DiscardHandler))
		if c.want != "" {
			if err == nil || !strings.Contains(err.Error(), c.want) || strings.Contains(err.Error(), "\n") {
				t.Errorf("%q: %v, want %q", c.args, err, c.want)
			}
			continue
		}
		if err != nil || config.Binds() != c.bound || config.Dials() != c.dialled {
			t.Errorf("%q: %+v %v", c.args, config, err)
		}
		if err := l.CheckBound("--broker", "tcp://*:1", config); (err == nil) != c.bound {
			t.Errorf("%q: bound: %v", c.args, err)
		}
		if err := l.CheckDialled("--broker", "tcp://b:1", config); (err == nil) != c.dialled {
			t.Errorf("%q: dialled: %v", c.args, err)
		}
	}
	if l := parse(t, "--allow-plain-tcp"); l.CheckBound("--broker", "tcp://*:1", nil) != nil || l.CheckDialled("--broker", "tcp://b:1", nil) != nil {
		t.Error("--allow-plain-tcp does not allow it")
	}
}
