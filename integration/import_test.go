package integration

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"github.com/redis/go-redis/v9"

	"brainer/internal/redistest"
)

// withOtherTypes puts keys into a Redis that Brainer cannot have.
func withOtherTypes(t testing.TB, addr string) {
	t.Helper()
	r := redistest.Dial(t, addr)
	r.Do("RPUSH", "a list", "a", "b")
	r.Do("SADD", "a set", "a")
	r.Do("SADD", "another set", "1")
	r.Do("ZADD", "scores", "1", "a")
	r.Do("XADD", "a stream", "*", "f", "v")
}

const leftOut = "5 keys of types that Brainer does not have were left out (list 1, set 2, stream 1, zset 1)"

func TestImportFromRedis(t *testing.T) {
	theirs := redistest.Start(t)
	redistest.Dial(t, theirs).Do("CONFIG", "SET", "requirepass", "secret pass")
	t.Setenv("BRAINER_SOURCE_PASSWORD", "secret pass")
	url := "redis://:secret%20pass@" + theirs
	open := redistest.Start(t) // the same without a password, which the helpers do not know
	fill(t, open)
	withOtherTypes(t, open)
	want := contents(t, open)
	c := startCluster(t, 2)

	out, code := cli(t, c.brokerEndpoint(), "import", "redis://"+open)
	if code != 1 || !strings.Contains(out, leftOut) {
		t.Errorf("import: %q, exit code %d", out, code)
	}
	wantContents(t, "imported", contents(t, c.addr), want)

	// Where keys are it wants to be told.
	if out, code = cli(t, c.brokerEndpoint(), "import", "redis://"+open); code != 1 || !strings.Contains(out, "there are keys already") {
		t.Errorf("import where keys are: %q, exit code %d", out, code)
	}
	c.do("SET", "mine", "x")
	c.do("HSET", "numbers", "a field of old", "x")
	if out, code = cli(t, c.brokerEndpoint(), "import", "redis://"+open, "--merge", "--skip-unsupported", "--batch", "7"); code != 0 || !strings.Contains(out, leftOut) || strings.Contains(out, "has changed meanwhile") {
		t.Errorf("import --merge: %q, exit code %d", out, code)
	}
	if c.do("DEL", "mine") != int64(1) {
		t.Error("--merge removed a key")
	}
	wantContents(t, "merged", contents(t, c.addr), want)

	// A part.
	if out, code = cli(t, "redis://"+c.addr, "import", "redis://"+open, "--replace", "--dbs", "3,15", "--match", "s:*:1?"); code != 0 {
		t.Errorf("import of a part: %q, exit code %d", out, code)
	}
	some := map[string]string{}
	for key, value := range want {
		for i := 10; i < 20; i++ {
			if key == fmt.Sprintf(`3 "s:3:%d"`, i) || key == fmt.Sprintf(`15 "s:15:%d"`, i) {
				some[key] = value
			}
		}
	}
	wantContents(t, "a part", contents(t, c.addr), some)

	// What cannot be: one line.
	for _, test := range []struct{ source, want string }{
		{"redis://" + theirs + "/x", "looks like redis://"},
		{"redis://127.0.0.1:1", "connection refused"},
		{"redis://:wrong@" + theirs, "WRONGPASS"},
		{"http://" + theirs, "looks like redis://"},
	} {
		if out, code = cli(t, c.brokerEndpoint(), "import", test.source, "--replace"); code == 0 || !strings.Contains(out, test.want) || strings.Contains(strings.TrimSpace(out), "\n") {
			t.Errorf("%s: %q, exit code %d", test.source, out, code)
		}
	}
	for _, source := range []string{url, "redis://" + theirs} { // the password from the environment
		if out, code = cli(t, c.brokerEndpoint(), "import", source, "--replace"); code != 0 || !strings.Contains(out, "imported 0 keys") {
			t.Errorf("with a password: %q, exit code %d", out, code)
		}
	}
}

func TestImportOfAnRDBFile(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	theirs := redistest.Start(t, "--dir", dir)
	fill(t, theirs)
	withOtherTypes(t, theirs)
	redistest.Dial(t, theirs).Do("SAVE")
	want := contents(t, theirs)
	c := startAlone(t)
	file := filepath.Join(dir, "dump.rdb")
	out, code := cli(t, c.brokerEndpoint(), "import", file)
	if code != 1 || !strings.Contains(out, leftOut) {
		t.Errorf("import: %q, exit code %d", out, code)
	}
	wantContents(t, "imported", contents(t, c.addr), want)

	whole, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	flipped := append([]byte(nil), whole...)
	flipped[len(flipped)/2] ^= 1
	for name, b := range map[string][]byte{"the RDB file is cut off": whole[:len(whole)/2], "the RDB file is damaged": flipped, "not an RDB file": []byte("hello"),
		"not an RDB file: it is a snapshot of Brainer, which snapshot load takes": {0x50, 0x2a, 0x4d, 0x18, 9},
		"has version 12": []byte("REDIS0012..."), "no such file": nil} {
		file := filepath.Join(dir, strings.ReplaceAll(name, " ", "_"))
		if b != nil {
			if err := os.WriteFile(file, b, 0o600); err != nil {
				t.Fatal(err)
			}
		}
		out, code := cli(t, c.brokerEndpoint(), "import", file, "--replace")
		if code != 1 || !strings.Contains(out, name) || strings.Contains(strings.TrimSpace(out), "\n") {
			t.Errorf("%s: %q, exit code %d", name, out, code)
		}
	}
	wantContents(t, "after bad files", contents(t, c.addr), want)
}

// An import that was killed goes on where it was.
func TestKilledImportGoesOn(t *testing.T) {
	t.Parallel()
	theirs := redistest.Start(t)
	r := redis.NewClient(&redis.Options{Addr: theirs})
	defer r.Close()
	ctx := context.Background()
	p := r.Pipeline()
	for i := range 20_000 {
		p.Set(ctx, fmt.Sprint("k", i), i, 0)
	}
	for i := range 1000 { // left out by both runs
		p.RPush(ctx, fmt.Sprint("list", i), "x")
	}
	if _, err := p.Exec(ctx); err != nil {
		t.Fatal(err)
	}
	fill(t, theirs)
	want := contents(t, theirs)
	c := startAlone(t)
	importer := start(t, "import", binary("brainer-cli"), c.brokerEndpoint(), "import", "redis://"+theirs, "--batch", "20")
	await(t, "some keys are there", func() (bool, string) {
		n, _ := c.do("DBSIZE").(int64)
		return n > 3000, fmt.Sprint(n, " keys")
	})
	importer.kill()
	if c.do("EXISTS", "brainer:import") != int64(1) {
		t.Fatal("the import had come to its end: there is nothing to go on with")
	}
	if out, code := cli(t, c.brokerEndpoint(), "import", "redis://127.0.0.1:1"); code != 1 {
		t.Errorf("an import of something else: %q, exit code %d", out, code)
	}
	redistest.Dial(t, theirs).Do("SET", "k1", "1") // as it is
	out, code := cli(t, c.brokerEndpoint(), "import", "redis://"+theirs, "--skip-unsupported")
	told := regexp.MustCompile(`imported (\d+) keys from \S+, (\d+) of them before it was interrupted`).FindStringSubmatch(out)
	if told == nil || code != 0 || !strings.Contains(out, "1000 keys of types that Brainer does not have were left out (list 1000)") {
		t.Fatalf("%q, exit code %d", out, code)
	}
	keys, _ := strconv.Atoi(told[1])
	before, _ := strconv.Atoi(told[2])
	if keys < len(want) || before < 2000 || before >= keys {
		t.Errorf("%d keys, %d of them before: there are %d", keys, before, len(want))
	}
	if !strings.Contains(out, "the source has changed meanwhile") {
		t.Errorf("of the change meanwhile: %q", out)
	}
	wantContents(t, "after both", contents(t, c.addr), want)
}

func TestExport(t *testing.T) {
	t.Parallel()
	c := startCluster(t, 2)
	fill(t, c.addr)
	want := contents(t, c.addr)
	theirs := redistest.Start(t)
	redistest.Dial(t, theirs).Do("SET", "theirs", "x")
	if out, code := cli(t, c.brokerEndpoint(), "export", "redis://"+theirs); code != 1 || !strings.Contains(out, "there are keys already") {
		t.Errorf("export where keys are: %q, exit code %d", out, code)
	}
	if out, code := cli(t, c.brokerEndpoint(), "export", "redis://"+theirs, "--replace"); code != 0 || !strings.Contains(out, "exported") {
		t.Errorf("export: %q, exit code %d", out, code)
	}
	wantContents(t, "in Redis", contents(t, theirs), want)

	// Only a Brainer has snapshots.
	for _, refused := range [][]string{{"snapshot", "save", filepath.Join(t.TempDir(), "snap")}, {"export", "-"}, {"verify"}} {
		if out, code := cli(t, append([]string{"redis://" + theirs}, refused...)...); code != 1 || !strings.Contains(out, "the server is no Brainer") {
			t.Errorf("%q at a Redis: %q, exit code %d", refused, out, code)
		}
	}

	// With a user's name.
	admin := redistest.Dial(t, theirs)
	admin.Do("ACL", "SETUSER", "mover", "on", ">moves", "allkeys", "allcommands")
	if out, code := cli(t, c.brokerEndpoint(), "export", "redis://mover:moves@"+theirs, "--merge"); code != 0 {
		t.Errorf("export as a user: %q, exit code %d", out, code)
	}
	if out, code := cli(t, c.brokerEndpoint(), "export", "redis://mover:wrong@"+theirs, "--merge"); code != 1 || !strings.Contains(out, "WRONGPASS") {
		t.Errorf("export with a wrong password: %q, exit code %d", out, code)
	}

	dir := t.TempDir()
	for _, refused := range [][]string{{"export", dir}, {"snapshot", "save", dir}} {
		if out, code := cli(t, append([]string{c.brokerEndpoint()}, refused...)...); code != 1 || out != "brainer-cli: create "+dir+": is a directory" {
			t.Errorf("%q: %q, exit code %d", refused, out, code)
		}
	}
	file := filepath.Join(dir, "commands")
	if out, code := cli(t, c.brokerEndpoint(), "export", file); code != 0 {
		t.Fatalf("export to a file: %q, exit code %d", out, code)
	}
	redisCLI := installed(t, "redis-cli", "redis-tools")
	other := redistest.Start(t)
	_, port, _ := strings.Cut(other, ":")
	for _, script := range []string{`"$1" -p "$2" --pipe < "$3"`, `"$4" "$5" export - | "$1" -p "$2" --pipe`} {
		redistest.Dial(t, other).Do("FLUSHALL")
		out, err := exec.Command("sh", "-c", script, "sh", redisCLI, port, file, binary("brainer-cli"), c.brokerEndpoint()).CombinedOutput()
		if err != nil || !strings.Contains(string(out), "errors: 0,") {
			t.Fatalf("%s: %v\n%s", script, err, out)
		}
		wantContents(t, script, contents(t, other), want)
	}
}

// What cannot end well is refused before anything is removed.
func TestNothingIsReplacedByItselfOrByWhatIsNotKnownToBeWhole(t *testing.T) {
	t.Parallel()
	c := startCluster(t, 1)
	c.do("SET", "k", "v")
	self := "redis://" + c.addr
	for _, refused := range [][]string{
		{"import", self, "--replace"}, {"import", self, "--replace", "--by", "psync"}, {"export", self, "--replace"},
		{"import", "-", "--replace"}, {"snapshot", "load", "-", "--replace"}, {"import", self + "/3", "--merge"}, {"snapshot", "save", "-"},
	} {
		if out, code := cli(t, append([]string{c.brokerEndpoint()}, refused...)...); code == 0 || strings.Contains(out, "\n") {
			t.Errorf("%q: %q, exit code %d", refused, out, code)
		}
		if got := c.do("GET", "k"); got != "v" {
			t.Fatalf("%q: the key has become %v", refused, got)
		}
	}
}
