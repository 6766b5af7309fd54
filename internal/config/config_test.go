package config_test

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"brainer/internal/config"

	"github.com/spf13/cobra"
)

// run executes a command with flags of every kind and returns what it saw.
func run(t *testing.T, args ...string) (string, error) {
	t.Helper()
	var seen string
	var (
		listen  string
		nodes   int
		debug   bool
		wait    time.Duration
		origins []string
	)
	cmd := &cobra.Command{
		Use: "broker", SilenceErrors: true, SilenceUsage: true,
		RunE: func(*cobra.Command, []string) error {
			seen = fmt.Sprint(listen, " ", nodes, " ", debug, " ", wait, " ", origins)
			return nil
		},
	}
	cmd.Flags().StringVar(&listen, "listen", "default", "")
	cmd.Flags().IntVar(&nodes, "min-in-sync", 1, "")
	cmd.Flags().BoolVar(&debug, "debug", false, "")
	cmd.Flags().DurationVar(&wait, "timeout", time.Second, "")
	cmd.Flags().StringSliceVar(&origins, "origins", nil, "")
	sub := &cobra.Command{Use: "sub", RunE: cmd.RunE}
	sub.Flags().Bool("wait-all", true, "")
	cmd.AddCommand(sub)
	config.Bind(cmd)
	cmd.SetArgs(args)
	err := cmd.Execute()
	return seen, err
}

func file(t *testing.T, name, content string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestPrecedenceIsFlagEnvironmentFileDefault(t *testing.T) {
	path := file(t, "b.yaml", "listen: file\nmin-in-sync: 3\ntimeout: 5s\norigins: [a, b]\n")
	for _, c := range []struct {
		env  map[string]string
		args []string
		want string
	}{
		{nil, nil, "default 1 false 1s []"},
		{nil, []string{"--config", path}, "file 3 false 5s [a b]"},
		{map[string]string{"BRAINER_CONFIG": path}, nil, "file 3 false 5s [a b]"},
		{map[string]string{"BRAINER_LISTEN": "env", "BRAINER_MIN_IN_SYNC": "2", "BRAINER_DEBUG": "true"},
			[]string{"--config", path}, "env 2 true 5s [a b]"},
		{map[string]string{"BRAINER_LISTEN": "env", "BRAINER_MIN_IN_SYNC": "2"},
			[]string{"--config", path, "--listen", "flag"}, "flag 2 false 5s [a b]"},
		{map[string]string{"BRAINER_LISTEN": "", "BRAINER_ORIGINS": "x,y"}, nil, "default 1 false 1s [x y]"},
	} {
		for name, value := range c.env {
			t.Setenv(name, value)
		}
		got, err := run(t, c.args...)
		if err != nil || got != c.want {
			t.Errorf("env %v args %v: %q %v, want %q", c.env, c.args, got, err, c.want)
		}
		for name := range c.env {
			os.Unsetenv(name)
		}
	}
}

func TestAFileMayBeTOML(t *testing.T) {
	path := file(t, "b.toml", "listen = \"127.0.0.1:1\"\nmin-in-sync = 2\ndebug = true\norigins = [\"a\"]\n")
	if got, err := run(t, "--config", path); err != nil || got != "127.0.0.1:1 2 true 1s [a]" {
		t.Errorf("%q %v", got, err)
	}
}

func TestAFileMaySetFlagsOfCommandsThatDoNotRun(t *testing.T) {
	path := file(t, "b.yaml", "wait-all: false\n")
	if _, err := run(t, "--config", path); err != nil {
		t.Error(err)
	}
}

func TestANameWithDotsIsAVariableAndAKeyToo(t *testing.T) {
	for _, path := range []string{
		file(t, "b.yaml", "web.config.file: from file\n"),
		file(t, "b.toml", "\"web.config.file\" = \"from file\"\n"),
		file(t, "c.toml", "web.config.file = \"from file\"\n"),
	} {
		for env, want := range map[string]string{"": "from file", "from env": "from env"} {
			t.Setenv("BRAINER_WEB_CONFIG_FILE", env)
			var got string
			cmd := &cobra.Command{Use: "broker", RunE: func(*cobra.Command, []string) error { return nil }}
			cmd.Flags().StringVar(&got, "web.config.file", "", "")
			config.Bind(cmd)
			cmd.SetArgs([]string{"--config", path})
			if err := cmd.Execute(); err != nil || got != want {
				t.Errorf("%s, environment %q: %q %v", path, env, got, err)
			}
		}
	}
}

func TestMistakesAreOneLineThatNamesThem(t *testing.T) {
	for _, c := range []struct {
		name, content string
		want          string
	}{
		{"b.yaml", "lisen: x\n", `unknown key "lisen"`},
		{"b.yaml", "server:\n  listen: x\n", `unknown key "server.listen"`},
		{"b.yaml", "config: other.yaml\n", `unknown key "config"`},
		{"b.yaml", "help: true\n", `unknown key "help"`},
		{"b.yaml", "min-in-sync: many\n", `min-in-sync: invalid value "many"`},
		{"b.yaml", "timeout: 5\n", `timeout: invalid value "5"`},
		{"b.yaml", "listen: [a, b]\n", "listen: one value, not a list"},
		{"b.yaml", "listen: [\n", "b.yaml: "},
		{"b.toml", "listen = \n", "b.toml: "},
		{"b.conf", "listen x\n", "ends in .yaml, .yml or .toml"},
	} {
		_, err := run(t, "--config", file(t, c.name, c.content))
		if err == nil || !strings.Contains(err.Error(), c.want) || strings.Contains(err.Error(), "\n") {
			t.Errorf("%q: %v, want %q", c.content, err, c.want)
		}
	}
	if _, err := run(t, "--config", "/nowhere/b.yaml"); err == nil || !strings.Contains(err.Error(), "no such file") {
		t.Errorf("no file: %v", err)
	}
	t.Setenv("BRAINER_MIN_IN_SYNC", "two")
	if _, err := run(t); err == nil || !strings.HasPrefix(err.Error(), `environment variable BRAINER_MIN_IN_SYNC: invalid value "two"`) {
		t.Errorf("environment: %v", err)
	}
}
