package archtest

import (
	"encoding/json"
	"errors"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
)

const module = "brainer"

// pkg is what `go list -json` says of a package.
type pkg struct {
	ImportPath string
	Dir        string
	Standard   bool
	GoFiles    []string
	CgoFiles   []string
	Imports    []string
	Deps       []string
}

// below says whether the import path is one of the module's folders or inside one.
func below(path string, folders []string) bool {
	return slices.ContainsFunc(folders, func(f string) bool {
		return path == module+"/"+f || strings.HasPrefix(path, module+"/"+f+"/")
	})
}

// list returns all packages of the module and what they depend on; overlay, when not nil, is a set
// of files (path in the module -> content) that go list sees as if they were there.
func list(t *testing.T, overlay map[string]string) []pkg {
	t.Helper()
	root := moduleRoot(t)
	args := []string{"list", "-e", "-deps", "-json=ImportPath,Dir,Standard,GoFiles,CgoFiles,Imports,Deps"}
	patterns := []string{"./..."}
	if overlay != nil {
		dir := t.TempDir()
		replace := map[string]string{}
		for name, content := range overlay {
			file := filepath.Join(dir, strings.ReplaceAll(name, "/", "_"))
			if err := os.WriteFile(file, []byte(content), 0o644); err != nil {
				t.Fatal(err)
			}
			replace[filepath.Join(root, name)] = file
			patterns = append(patterns, "./"+filepath.Dir(name))
		}
		spec, err := json.Marshal(map[string]any{"Replace": replace})
		if err != nil {
			t.Fatal(err)
		}
		file := filepath.Join(dir, "overlay.json")
		if err := os.WriteFile(file, spec, 0o644); err != nil {
			t.Fatal(err)
		}
		args = append(args, "-overlay", file)
	}
	cmd := exec.Command("go", append(args, patterns...)...)
	cmd.Dir = root
	cmd.Env = append(os.Environ(), "CGO_ENABLED=1")
	cmd.Stderr = os.Stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("go list: %v", err)
	}
	var all []pkg
	for dec := json.NewDecoder(strings.NewReader(string(out))); ; {
		var p pkg
		err := dec.Decode(&p)
		if errors.Is(err, io.EOF) {
			return all
		}
		if err != nil {
			t.Fatalf("go list: %v", err)
		}
		all = append(all, p)
	}
}

func moduleRoot(t *testing.T) string {
	t.Helper()
	out, err := exec.Command("go", "env", "GOMOD").Output()
	if err != nil {
		t.Fatal(err)
	}
	return filepath.Dir(strings.TrimSpace(string(out)))
}

// reachViolations names every dependency that a reach rule forbids.
func reachViolations(pkgs []pkg) (found []string) {
	for _, p := range pkgs {
		for _, r := range reachRules {
			if !below(p.ImportPath, r.from) {
				continue
			}
			for _, d := range p.Deps {
				if below(d, r.never) {
					found = append(found, fmt.Sprintf("%s reaches %s (%s)", p.ImportPath, d, r.why))
				}
			}
		}
	}
	return found
}

// cgoViolations names every package that needs C and is not allowed to.
func cgoViolations(pkgs []pkg) (found []string) {
	needC := map[string]bool{}
	for _, p := range pkgs {
		if !p.Standard && len(p.CgoFiles) > 0 {
			needC[p.ImportPath] = true
		}
	}
	for _, p := range pkgs {
		if !strings.HasPrefix(p.ImportPath, module+"/") || below(p.ImportPath, cgoAllowed) {
			continue
		}
		for _, d := range append(p.Deps, p.ImportPath) {
			if needC[d] {
				found = append(found, fmt.Sprintf("%s reaches %s, which needs C", p.ImportPath, d))
			}
		}
	}
	return found
}

// worldViolations names every import of a deterministic core that brings the world in.
func worldViolations(pkgs []pkg) (found []string) {
	for _, p := range pkgs {
		if !below(p.ImportPath, deterministic) {
			continue
		}
		for _, i := range p.Imports {
			world := slices.ContainsFunc(worldImports, func(w string) bool { return i == w || strings.HasPrefix(i, w+"/") })
			if world && !slices.Contains(worldAllowed[strings.TrimPrefix(p.ImportPath, module+"/")], i) {
				found = append(found, fmt.Sprintf("%s imports %s", p.ImportPath, i))
			}
		}
	}
	return found
}

// sourceViolations names every go statement, use of a clock and of the global random generator.
func sourceViolations(fset *token.FileSet, f *ast.File) (found []string) {
	imported := map[string]string{} // local name -> path
	for _, i := range f.Imports {
		path, _ := strconv.Unquote(i.Path.Value)
		name := strings.TrimSuffix(path, "/v2")
		name = name[strings.LastIndex(name, "/")+1:]
		if i.Name != nil {
			name = i.Name.Name
		}
		imported[name] = path
	}
	ast.Inspect(f, func(n ast.Node) bool {
		switch n := n.(type) {
		case *ast.GoStmt:
			found = append(found, fmt.Sprintf("%s: go statement", fset.Position(n.Pos())))
		case *ast.SelectorExpr:
			x, ok := n.X.(*ast.Ident)
			if !ok {
				break
			}
			switch path, name := imported[x.Name], n.Sel.Name; {
			case path == "time" && clockFuncs[name],
				path == "syscall" && !slices.ContainsFunc(syscallAllowed, func(a string) bool { return strings.HasPrefix(name, a) }),
				(path == "math/rand" || path == "math/rand/v2") && !seededRand[name]:
				found = append(found, fmt.Sprintf("%s: %s.%s", fset.Position(n.Pos()), x.Name, name))
			}
		}
		return true
	})
	return found
}

func report(t *testing.T, found []string) {
	t.Helper()
	for _, f := range found {
		t.Error(f)
	}
}

func TestPackagesReachOnlyWhatTheyMay(t *testing.T) {
	pkgs := list(t, nil)
	report(t, reachViolations(pkgs))
	report(t, cgoViolations(pkgs))
	report(t, worldViolations(pkgs))
}

// A rule about a package that is not there keeps nothing.
func TestRulesNamePackagesThatExist(t *testing.T) {
	pkgs := list(t, nil)
	named := slices.Concat(cgoAllowed, deterministic)
	for _, r := range reachRules {
		named = slices.Concat(named, r.from, r.never)
	}
	slices.Sort(named)
	for _, folder := range slices.Compact(named) {
		if !slices.ContainsFunc(pkgs, func(p pkg) bool { return below(p.ImportPath, []string{folder}) }) {
			t.Errorf("there is no package in %s", folder)
		}
	}
}

func TestDeterministicCoresHaveNoClockNoChanceAndNoGoroutines(t *testing.T) {
	for _, p := range list(t, nil) {
		if !below(p.ImportPath, deterministic) {
			continue
		}
		for _, name := range p.GoFiles {
			fset := token.NewFileSet()
			f, err := parser.ParseFile(fset, filepath.Join(p.Dir, name), nil, 0)
			if err != nil {
				t.Error(err)
				continue
			}
			report(t, sourceViolations(fset, f))
		}
	}
}

// The simulator's worlds run beside each other, and that is raced.
func TestOnlyDeterministicPackagesAreLeftOutByTheRaceDetector(t *testing.T) {
	b, err := os.ReadFile("../../Makefile")
	if err != nil {
		t.Fatal(err)
	}
	_, line, _ := strings.Cut(string(b), "\nALONE := ")
	line, _, _ = strings.Cut(line, "\n")
	if line == "" {
		t.Error("the Makefile has no ALONE")
	}
	for _, name := range strings.Fields(line) {
		if name != "internal/sim" && !slices.Contains(deterministic, name) {
			t.Errorf("%s is in the Makefile's ALONE and not held to be deterministic", name)
		}
	}
}

// Each rule is shown a fault, planted in an overlay that only go list sees.
func TestRulesCatchPlantedFaults(t *testing.T) {
	planted := []struct {
		in, imports string // the package that gets the import, and the import
		check       func([]pkg) []string
		want        string
	}{
		{"server", "brainer/broker", reachViolations, "brainer/server reaches brainer/broker "},
		{"server", "brainer/broker/client", reachViolations, "brainer/server reaches brainer/broker/client "},
		{"broker/replication", "brainer/resp", reachViolations, "brainer/broker/replication reaches brainer/resp "},
		{"broker/replication", "brainer/server", reachViolations, "brainer/broker/replication reaches brainer/server "},
		{"broker/replication", "brainer/internal/command", reachViolations, "brainer/broker/replication reaches brainer/internal/keyspace "},
		{"broker", "brainer/node/replica", reachViolations, "brainer/broker reaches brainer/node/replica "},
		{"node", "brainer/broker/replication", reachViolations, "brainer/node reaches brainer/broker/replication "},
		{"internal/keyspace", "brainer/resp", reachViolations, "brainer/internal/keyspace reaches brainer/resp "},
		{"internal/op", "brainer/metrics", reachViolations, "brainer/internal/op reaches brainer/metrics "},
		{"metrics", "brainer/server", reachViolations, "brainer/metrics reaches brainer/server "},
		{"node", "github.com/pebbe/zmq4", cgoViolations, "brainer/node reaches github.com/pebbe/zmq4,"},
		{"broker", "brainer/internal/link/zmq", cgoViolations, "brainer/broker reaches github.com/pebbe/zmq4,"},
		{"internal/keyspace", "os", worldViolations, "brainer/internal/keyspace imports os"},
		{"internal/command", "net/http", worldViolations, "brainer/internal/command imports net/http"},
		{"internal/wire", "crypto/rand", worldViolations, "brainer/internal/wire imports crypto/rand"},
	}
	for _, f := range planted {
		t.Run(f.in+"<-"+f.imports, func(t *testing.T) {
			overlay := map[string]string{f.in + "/planted_fault.go": source(f.in, f.imports)}
			// The target is there even before its real files are.
			if target, ok := strings.CutPrefix(f.imports, module+"/"); ok {
				body := "package " + target[strings.LastIndex(target, "/")+1:]
				switch target {
				case "internal/command":
					body += "\nimport _ \"brainer/internal/keyspace\""
				case "internal/link/zmq":
					body += "\nimport _ \"github.com/pebbe/zmq4\""
				}
				overlay[target+"/planted_target.go"] = body
			}
			found := f.check(list(t, overlay))
			if !slices.ContainsFunc(found, func(s string) bool { return strings.HasPrefix(s, f.want) }) {
				t.Errorf("planted: %s imports %s\nwant: %s\nfound: %q", f.in, f.imports, f.want, found)
			}
		})
	}
}

func source(folder, imports string) string {
	return fmt.Sprintf("package %s\nimport _ %q\n", folder[strings.LastIndex(folder, "/")+1:], imports)
}

func TestSourceRulesCatchPlantedFaults(t *testing.T) {
	const src = `package p
import (
	"math/rand"
	r2 "math/rand/v2"
	"syscall"
	"time"
)
type t struct { r *rand.Rand; d time.Duration }       // fine
var a = rand.New(rand.NewSource(1)).Intn(3)           // fine
var b = r2.New(r2.NewPCG(1, 2)).IntN(3) + int(time.Second) + int(time.UnixMilli(5).Unix()) // fine
var c = time.Now()
var d = time.Since
var e = rand.Intn(3)
var f = r2.N(10)
func g() { go func() {}() }
func h() { <-time.After(1) }
func i() { syscall.Mmap(-1, 0, 1, syscall.PROT_READ, syscall.MAP_ANON); syscall.Open("f", 0, 0) }
`
	fset := token.NewFileSet()
	f, err := parser.ParseFile(fset, "p.go", src, 0)
	if err != nil {
		t.Fatal(err)
	}
	found := sourceViolations(fset, f)
	want := []string{"p.go:11:9: time.Now", "p.go:12:9: time.Since", "p.go:13:9: rand.Intn", "p.go:14:9: r2.N",
		"p.go:15:12: go statement", "p.go:16:14: time.After", "p.go:17:73: syscall.Open"}
	if !slices.Equal(found, want) {
		t.Errorf("found %q\nwant  %q", found, want)
	}
}
