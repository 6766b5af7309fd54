package deploy

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"

	"go.yaml.in/yaml/v3"
)

// command is one command line of ours that a file under deploy/ (or the Dockerfile) gives.
type command struct {
	where string
	args  []string          // the binary's name first
	env   map[string]string // what the file sets for it
	ports []string          // what the file says that it listens on
	kept  []string          // the directories of its that outlive it
}

// names are the flags that the command line and its environment give.
func (c command) flags() (names []string) {
	for _, a := range c.args[1:] {
		if name, ok := strings.CutPrefix(a, "--"); ok {
			name, _, _ = strings.Cut(name, "=")
			names = append(names, name)
		}
	}
	for name := range c.env {
		if flag, ok := strings.CutPrefix(name, "BRAINER_"); ok {
			names = append(names, strings.ToLower(strings.ReplaceAll(flag, "_", "-")))
		}
	}
	return names
}

// value is what the command line, or its environment, gives for the flag, "" when they do not.
func (c command) value(flag string) string {
	for i, a := range c.args {
		if v, ok := strings.CutPrefix(a, "--"+flag+"="); ok {
			return v
		}
		if a == "--"+flag && i+1 < len(c.args) {
			return c.args[i+1]
		}
	}
	return c.env["BRAINER_"+strings.ToUpper(strings.ReplaceAll(flag, "-", "_"))]
}

var portOf = regexp.MustCompile(`:(\d+)$`)

// listens are the ports that the command line makes the process listen on.
func (c command) listens() (ports []string) {
	flags := []string{"listen", "metrics", "node-endpoint"}
	if c.args[0] == "run_broker" {
		flags = append(flags, "broker")
	}
	for _, f := range flags {
		if m := portOf.FindStringSubmatch(c.value(f)); m != nil {
			ports = append(ports, m[1])
		}
	}
	return ports
}

var binaries = []string{"run_broker", "run_node", "brainer-cli"}

// binDir is where built puts the three binaries, once.
var binDir string

var built = sync.OnceValue(func() error {
	cmd := exec.Command("go", "build", "-trimpath", "-o", binDir+"/", "./cmd/run_broker", "./cmd/run_node", "./cmd/brainer-cli")
	cmd.Dir = ".."
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("%w\n%s", err, out)
	}
	return nil
})

func TestMain(m *testing.M) {
	dir, err := os.MkdirTemp("", "brainer-deploy")
	if err != nil {
		panic(err)
	}
	binDir = dir
	code := m.Run()
	os.RemoveAll(dir)
	os.Exit(code)
}

func builtBinaries(t *testing.T) string {
	t.Helper()
	if err := built(); err != nil {
		t.Fatal(err)
	}
	return binDir
}

// flagsOf returns the flags that the binary's --help lists.
func flagsOf(t *testing.T, binary string) []string {
	t.Helper()
	out, err := exec.Command(filepath.Join(builtBinaries(t), binary), "--help").CombinedOutput()
	if err != nil {
		t.Fatalf("%s --help: %v\n%s", binary, err, out)
	}
	var flags []string
	for _, m := range regexp.MustCompile(`(?m)^ +(?:-\w, )?--([a-z-]+)`).FindAllSubmatch(out, -1) {
		flags = append(flags, string(m[1]))
	}
	return flags
}

func read(t *testing.T, file string) string {
	t.Helper()
	b, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// decode returns the file's YAML documents.
func decode(t *testing.T, file string) (documents []map[string]any) {
	t.Helper()
	for dec := yaml.NewDecoder(strings.NewReader(read(t, file))); ; {
		var d map[string]any
		err := dec.Decode(&d)
		if errors.Is(err, io.EOF) {
			return documents
		}
		if err != nil {
			t.Fatalf("%s: %v", file, err)
		}
		documents = append(documents, d)
	}
}

// at follows the path of keys; what is not there is nil.
func at(v any, path ...string) any {
	for _, k := range path {
		m, _ := v.(map[string]any)
		v = m[k]
	}
	return v
}

func strs(v any) (s []string) {
	list, _ := v.([]any)
	for _, e := range list {
		if text, ok := e.(string); ok {
			s = append(s, text)
		}
	}
	return s
}

func ours(args []string) bool {
	return len(args) > 0 && slices.Contains(binaries, filepath.Base(args[0]))
}

func composeCommands(t *testing.T) (all []command) {
	services, _ := at(decode(t, "compose.yaml")[0], "services").(map[string]any)
	for _, name := range slices.Sorted(maps.Keys(services)) {
		s := services[name]
		c := command{where: "compose.yaml: " + name, args: strs(at(s, "command")), env: map[string]string{}, ports: strs(at(s, "expose"))}
		env, _ := at(s, "environment").(map[string]any)
		for k := range env {
			c.env[k] = ""
		}
		for _, v := range strs(at(s, "volumes")) {
			c.kept = append(c.kept, strings.Split(v, ":")[1])
		}
		for _, p := range strs(at(s, "ports")) {
			c.ports = append(c.ports, portOf.FindStringSubmatch(p)[1])
		}
		if ours(c.args) {
			all = append(all, c)
		}
		if check := strs(at(s, "healthcheck", "test")); len(check) > 0 {
			all = append(all, command{where: c.where + ": healthcheck", args: check[1:]})
		}
	}
	return all
}

func kubernetesCommands(t *testing.T) (all []command) {
	for _, file := range glob(t, "kubernetes/*.yaml") {
		for _, d := range decode(t, file) {
			containers, _ := at(d, "spec", "template", "spec", "containers").([]any)
			for _, container := range containers {
				c := command{where: file, args: strs(at(container, "args")), env: map[string]string{}}
				env, _ := at(container, "env").([]any)
				for _, e := range env {
					c.env[at(e, "name").(string)] = ""
				}
				mounts, _ := at(container, "volumeMounts").([]any)
				claims, _ := at(d, "spec", "volumeClaimTemplates").([]any)
				for _, m := range mounts {
					if slices.ContainsFunc(claims, func(claim any) bool { return at(claim, "metadata", "name") == at(m, "name") }) {
						c.kept = append(c.kept, at(m, "mountPath").(string))
					}
				}
				ports, _ := at(container, "ports").([]any)
				for _, p := range ports {
					c.ports = append(c.ports, number(at(p, "containerPort")))
				}
				all = append(all, c)
			}
		}
	}
	return all
}

func systemdCommands(t *testing.T) (all []command) {
	for _, file := range glob(t, "systemd/*.service") {
		for line := range strings.Lines(read(t, file)) {
			if run, ok := strings.CutPrefix(strings.TrimSpace(line), "ExecStart="); ok {
				args := strings.Fields(run)
				args[0] = filepath.Base(args[0])
				c := command{where: file, args: args, env: map[string]string{}}
				for _, m := range regexp.MustCompile(`(?m)^StateDirectory=(.+)$`).FindAllStringSubmatch(read(t, file), -1) {
					c.kept = append(c.kept, "/var/lib/"+m[1])
				}
				for _, line := range regexp.MustCompile(`(?m)^Environment=(.+)$`).FindAllStringSubmatch(read(t, file), -1) {
					for _, assignment := range strings.Fields(line[1]) {
						name, value, _ := strings.Cut(assignment, "=")
						c.env[name] = value
					}
				}
				for _, m := range regexp.MustCompile(`\bBRAINER_[A-Z_]+\b`).FindAllString(read(t, file), -1) {
					if _, set := c.env[m]; !set {
						c.env[m] = "" // one in a comment is a flag, too
					}
				}
				all = append(all, c)
			}
		}
	}
	return all
}

// dockerfileLines returns the Dockerfile's instructions, continued lines joined.
func dockerfileLines(t *testing.T) (lines []string) {
	text := strings.ReplaceAll(read(t, "../Dockerfile"), "\\\n", " ")
	for line := range strings.Lines(text) {
		if line = strings.TrimSpace(line); line != "" && !strings.HasPrefix(line, "#") {
			lines = append(lines, line)
		}
	}
	return lines
}

func dockerfileCommands(t *testing.T) (all []command) {
	var exposed []string
	for _, line := range dockerfileLines(t) {
		switch instruction, rest, _ := strings.Cut(line, " "); instruction {
		case "EXPOSE":
			exposed = strings.Fields(rest)
		case "HEALTHCHECK":
			_, check, _ := strings.Cut(rest, "CMD ")
			all = append(all, command{where: "Dockerfile: HEALTHCHECK", args: strings.Fields(check)})
		case "CMD":
			var args []string
			if err := yaml.Unmarshal([]byte(rest), &args); err != nil {
				t.Fatalf("Dockerfile: %s: %v", line, err)
			}
			all = append(all, command{where: "Dockerfile: CMD", args: args})
		}
	}
	// The image is for brokers and nodes: it exposes what either listens on.
	for i := range all {
		if all[i].where == "Dockerfile: CMD" {
			all[i].ports = slices.DeleteFunc(exposed, func(p string) bool { return p == nodeMetricsPort })
		}
	}
	return all
}

const nodeMetricsPort = "9622"

func glob(t *testing.T, pattern string) []string {
	t.Helper()
	files, err := filepath.Glob(pattern)
	if err != nil || len(files) == 0 {
		t.Fatalf("%s: no files, %v", pattern, err)
	}
	return files
}

func number(v any) string {
	b, _ := yaml.Marshal(v)
	return string(bytes.TrimSpace(b))
}

func allCommands(t *testing.T) []command {
	return slices.Concat(composeCommands(t), kubernetesCommands(t), systemdCommands(t), dockerfileCommands(t))
}

func TestEveryFlagExists(t *testing.T) {
	flags := map[string][]string{}
	for _, b := range binaries {
		flags[b] = flagsOf(t, b)
	}
	count := 0
	for _, c := range allCommands(t) {
		if !ours(c.args) {
			t.Errorf("%s: %q does not begin with one of %v", c.where, c.args, binaries)
			continue
		}
		for _, f := range c.flags() {
			count++
			if !slices.Contains(flags[c.args[0]], f) {
				t.Errorf("%s: %s has no flag --%s", c.where, c.args[0], f)
			}
		}
	}
	if count < 30 {
		t.Errorf("only %d flags were found: the test does not see the files as they are", count)
	}
}

// What a file says that a process listens on, and what the process's command line says, is the same.
func TestEveryPortIsListenedOn(t *testing.T) {
	for _, c := range slices.Concat(composeCommands(t), kubernetesCommands(t), dockerfileCommands(t)) {
		if c.args[0] == "brainer-cli" {
			continue
		}
		want, got := c.listens(), c.ports
		slices.Sort(want)
		slices.Sort(got)
		if !slices.Equal(slices.Compact(got), want) {
			t.Errorf("%s: publishes %v, listens on %v", c.where, got, want)
		}
	}
}

// The ports of the image's default are those of the flags' defaults, so that documents can name them.
func TestDefaultPortsAreTheImages(t *testing.T) {
	for _, c := range dockerfileCommands(t) {
		if c.args[0] != "run_broker" {
			continue
		}
		help, err := exec.Command(filepath.Join(builtBinaries(t), "run_broker"), "--help").Output()
		if err != nil {
			t.Fatal(err)
		}
		for _, flag := range []string{"listen", "metrics"} {
			m := regexp.MustCompile(`--` + flag + ` .*default "[^"]*:(\d+)"`).FindSubmatch(help)
			if m == nil || !strings.HasSuffix(c.value(flag), ":"+string(m[1])) {
				t.Errorf("--%s: the image has %s, the default is %q", flag, c.value(flag), m)
			}
		}
	}
}

// Nodes dial where the broker of the same file listens, under the name that it has there.
func TestNodesDialTheBroker(t *testing.T) {
	for file, commands := range map[string][]command{"compose": composeCommands(t), "kubernetes": kubernetesCommands(t), "systemd": systemdCommands(t)} {
		var bound string
		for _, c := range commands {
			if c.args[0] == "run_broker" {
				bound = c.value("broker")
			}
		}
		for _, c := range commands {
			if c.args[0] != "run_node" {
				continue
			}
			dials := c.value("broker")
			names := map[string]string{"compose": "tcp://broker:", "kubernetes": "tcp://brainer-broker:"}
			if strings.HasPrefix(bound, "ipc://") {
				if dials != bound {
					t.Errorf("%s: dials %s, the broker binds %s", c.where, dials, bound)
				}
			} else if dials != names[file]+portOf.FindStringSubmatch(bound)[1] {
				t.Errorf("%s: dials %s, the broker binds %s", c.where, dials, bound)
			}
		}
	}
	for _, d := range decode(t, "kubernetes/broker.yaml") {
		if at(d, "kind") == "Service" && at(d, "metadata", "name") == "brainer-broker" {
			return
		}
	}
	t.Error("kubernetes/broker.yaml: there is no Service brainer-broker")
}

// What must outlive a process, or its container, is where it does. Nodes keep their copies, within bounds, and brokers snapshots.
func TestWhatIsKeptIsOnAVolume(t *testing.T) {
	for _, c := range slices.Concat(composeCommands(t), kubernetesCommands(t), systemdCommands(t)) {
		var want []string
		switch c.args[0] {
		case "run_broker":
			want = []string{"state-dir", "snapshot-dir"}
			if c.value("snapshot-every") == "" || c.value("maxmemory-policy") == "" {
				t.Errorf("%s: no snapshots are taken, or nothing makes room", c.where)
			}
		case "run_node":
			want = []string{"data-dir"}
			if c.value("storage") != "disk" || c.value("maxmemory") == "" {
				t.Errorf("%s: its copy is in memory alone, or has no limit", c.where)
			}
		}
		for _, flag := range want {
			dir := c.value(flag)
			if !slices.ContainsFunc(c.kept, func(kept string) bool { return dir == kept || strings.HasPrefix(dir, kept+"/") }) {
				t.Errorf("%s: --%s %s is not in what is kept, %q", c.where, flag, dir, c.kept)
			}
		}
	}
}

// Services, probes and policies name ports that a container has.
func TestKubernetesPortsAreTheContainers(t *testing.T) {
	known := map[string]bool{}
	for _, c := range kubernetesCommands(t) {
		for _, p := range c.ports {
			known[p] = true
		}
	}
	var visit func(file string, v any)
	visit = func(file string, v any) {
		switch v := v.(type) {
		case map[string]any:
			for k, e := range v {
				if k == "port" || k == "containerPort" || k == "prometheus.io/port" {
					if _, isName := e.(string); !isName || k == "prometheus.io/port" {
						if p := strings.Trim(number(e), `"'`); !known[p] {
							t.Errorf("%s: port %s is no container's", file, p)
						}
					}
				}
				visit(file, e)
			}
		case []any:
			for _, e := range v {
				visit(file, e)
			}
		}
	}
	for _, file := range glob(t, "kubernetes/*.yaml") {
		for _, d := range decode(t, file) {
			visit(file, d)
		}
	}
}

// Prometheus scrapes the addresses that compose's processes show their metrics at.
func TestPrometheusScrapesWhatComposeStarts(t *testing.T) {
	want := map[string]bool{}
	for _, c := range composeCommands(t) {
		if service, ok := strings.CutPrefix(c.where, "compose.yaml: "); ok && c.value("metrics") != "" {
			want[service+portOf.FindString(c.value("metrics"))] = true
		}
	}
	got := map[string]bool{}
	jobs, _ := at(decode(t, "prometheus/prometheus.yml")[0], "scrape_configs").([]any)
	for _, j := range jobs {
		static, _ := at(j, "static_configs").([]any)
		for _, s := range static {
			for _, target := range strs(at(s, "targets")) {
				got[target] = true
			}
		}
	}
	if !maps.Equal(got, want) {
		t.Errorf("scraped %v, shown %v", got, want)
	}
}

func TestSystemdUnitsAreValid(t *testing.T) {
	if _, err := exec.LookPath("systemd-analyze"); err != nil {
		t.Log("systemd-analyze is not here; only flags were checked")
		return
	}
	dir := t.TempDir()
	var units []string
	for _, file := range glob(t, "systemd/*.service") {
		unit := strings.ReplaceAll(read(t, file), "/usr/bin/", builtBinaries(t)+"/")
		name := filepath.Join(dir, strings.Replace(filepath.Base(file), "@", "@n1", 1))
		if err := os.WriteFile(name, []byte(unit), 0o644); err != nil {
			t.Fatal(err)
		}
		units = append(units, name)
	}
	out, err := exec.Command("systemd-analyze", append([]string{"verify", "--man=no"}, units...)...).CombinedOutput()
	if err != nil || len(out) > 0 {
		t.Errorf("systemd-analyze verify: %v\n%s", err, out)
	}
}
