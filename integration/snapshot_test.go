package integration

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"brainer/internal/op"
	"brainer/internal/redistest"
	"brainer/internal/snapfile"
	"brainer/resp"
)

func TestSnapshotIsSavedAndLoaded(t *testing.T) {
	t.Parallel()
	c := startCluster(t, 2)
	fill(t, c.addr)
	want := contents(t, c.addr)
	for _, endpoint := range []string{c.brokerEndpoint(), "redis://" + c.addr} {
		file := filepath.Join(t.TempDir(), "snap")
		out, code := cli(t, endpoint, "snapshot", "save", file)
		if code != 0 || !strings.Contains(out, "saved ") {
			t.Fatalf("save: %q, exit code %d", out, code)
		}
		// Into the same one, over and over; into Redis, by our own hand and by theirs.
		if out, code = cli(t, endpoint, "snapshot", "load", file); code != 1 || !strings.Contains(out, "there are keys already") {
			t.Errorf("load where keys are: %q, exit code %d", out, code)
		}
		c.do("SET", "another", "key")
		if out, code = cli(t, endpoint, "snapshot", "load", file, "--merge"); code != 0 {
			t.Fatalf("load --merge: %q, exit code %d", out, code)
		}
		if c.do("DEL", "another") != int64(1) {
			t.Error("--merge removed a key that the file has not")
		}
		wantContents(t, "merged", contents(t, c.addr), want)
		c.do("SET", "another", "key")
		if out, code = cli(t, endpoint, "snapshot", "load", file, "--replace"); code != 0 {
			t.Fatalf("load --replace: %q, exit code %d", out, code)
		}
		wantContents(t, "replaced", contents(t, c.addr), want)

		theirs := redistest.Start(t)
		if out, code = cli(t, "redis://"+theirs, "snapshot", "load", file); code != 0 {
			t.Fatalf("load into Redis: %q, exit code %d", out, code)
		}
		wantContents(t, "in Redis", contents(t, theirs), want)

		zstd, redisCLI := installed(t, "zstd", "zstd"), installed(t, "redis-cli", "redis-tools")
		theirs = redistest.Start(t)
		host, port, _ := strings.Cut(theirs, ":")
		pipe, err := exec.Command("sh", "-c", `"$1" -dc "$2" | "$3" -h "$4" -p "$5" --pipe`, "sh", zstd, file, redisCLI, host, port).CombinedOutput()
		if err != nil || !strings.Contains(string(pipe), "errors: 0,") {
			t.Fatalf("redis-cli --pipe: %v\n%s", err, pipe)
		}
		wantContents(t, "through redis-cli --pipe", contents(t, theirs), want)
	}
}

// A snapshot is of one moment: two keys that are always changed together are equal in it.
func TestSnapshotIsOfOneMoment(t *testing.T) {
	t.Parallel()
	c := startCluster(t, 2)
	fill(t, c.addr)
	ctx, stop := context.WithCancel(context.Background())
	var writers sync.WaitGroup
	for range 4 {
		r := c.newClient()
		writers.Add(1)
		go func() {
			defer writers.Done()
			for ctx.Err() == nil {
				p := r.TxPipeline()
				p.Incr(context.Background(), "left")
				p.HIncrBy(context.Background(), "right", "n", 1)
				if _, err := p.Exec(context.Background()); err != nil {
					t.Error(err)
					return
				}
			}
		}()
	}
	file := filepath.Join(t.TempDir(), "snap")
	last := ""
	for range 5 {
		if out, code := cli(t, c.brokerEndpoint(), "snapshot", "save", file); code != 0 {
			t.Fatalf("save: %q, exit code %d", out, code)
		}
		left, right := leftAndRight(t, file)
		if left != right || left == "" || left == last {
			t.Errorf("left is %q, right %q; before it %q", left, right, last)
		}
		last = left
	}
	stop()
	writers.Wait()
}

func leftAndRight(t *testing.T, file string) (left, right string) {
	t.Helper()
	f, err := os.Open(file)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	r, err := snapfile.NewReader(f)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	commands := resp.NewReader(r)
	for commands.Fill() == nil {
		for {
			cmd, ok, err := commands.Next()
			if err != nil {
				t.Fatal(err)
			}
			if !ok {
				break
			}
			switch key := string(cmd.Args[1]); key {
			case "left":
				left = string(cmd.Args[2])
			case "right":
				right = string(cmd.Args[3])
			}
		}
	}
	return left, right
}

func TestBadSnapshotChangesNothing(t *testing.T) {
	t.Parallel()
	c := startAlone(t)
	c.do("SET", "k", "v")
	dir := t.TempDir()
	good := filepath.Join(dir, "good")
	if out, code := cli(t, c.brokerEndpoint(), "snapshot", "save", good); code != 0 {
		t.Fatalf("save: %q", out)
	}
	whole, err := os.ReadFile(good)
	if err != nil {
		t.Fatal(err)
	}
	newer := bytes.Replace(whole, []byte(`"brainer_snapshot":1`), []byte(`"brainer_snapshot":2`), 1)
	flipped := bytes.Clone(whole)
	flipped[len(flipped)-60] ^= 4
	for name, b := range map[string][]byte{"cut off": whole[:len(whole)-10], "is damaged": newer, "damaged": flipped,
		"not a snapshot of Brainer: it is an RDB file": []byte("REDIS0010...."), "not a snapshot of Brainer": []byte("hello"), "no such file": nil} {
		file := filepath.Join(dir, strings.ReplaceAll(name, " ", "_"))
		if b != nil {
			if err := os.WriteFile(file, b, 0o600); err != nil {
				t.Fatal(err)
			}
		}
		out, code := cli(t, c.brokerEndpoint(), "snapshot", "load", file, "--replace")
		if code != 1 || !strings.Contains(out, name) || strings.Contains(strings.TrimSpace(out), "\n") {
			t.Errorf("%s: %q, exit code %d", name, out, code)
		}
	}
	if got := c.do("GET", "k"); got != "v" {
		t.Errorf("k is %v now", got)
	}
	for _, args := range [][]string{{"snapshot"}, {"snapshot", "save"}, {"snapshot", "load"}, {"snapshot", "load", good, "--merge", "--replace"}} {
		if out, code := cli(t, append([]string{c.brokerEndpoint()}, args...)...); code != 2 || strings.Contains(strings.TrimSpace(out), "\n") {
			t.Errorf("%q: %q, exit code %d", args, out, code)
		}
	}
	if out, code := cli(t, c.brokerEndpoint(), "snapshot", "save", filepath.Join(dir, "none", "file")); code != 1 || !strings.Contains(out, "no such file") {
		t.Errorf("save nowhere: %q, exit code %d", out, code)
	}
}

// The node that gives a snapshot dies: it is begun again, from another one, and what is there already stays until then.
func TestSnapshotOutlivesItsDonor(t *testing.T) {
	t.Parallel()
	c := startCluster(t, 2)
	fill(t, c.addr)
	want := contents(t, c.addr)
	r := redistest.Dial(t, c.addr)
	if first := r.Do("BRAINER", "SNAPSHOT", "BEGIN"); first[0] != '*' {
		t.Fatalf("BEGIN: %.100q", first)
	}
	donor := c.broker.awaitLog(`msg="snapshot is read" node=(\S+)`)[1]
	c.nodes[donor].kill()
	c.awaitStatus("the donor is out", func(s op.Status) bool { return len(inSync(s)) == 1 })
	var reply []byte
	for reply = r.Do("BRAINER", "SNAPSHOT", "NEXT"); reply[0] == '*'; reply = r.Do("BRAINER", "SNAPSHOT", "NEXT") {
	}
	if !strings.HasPrefix(string(reply), "-ERR the snapshot was given up: the node that gave it is gone") &&
		!strings.HasPrefix(string(reply), "-ERR no snapshot is being read") { // it had all been sent
		t.Errorf("NEXT: %q", reply)
	}
	file := filepath.Join(t.TempDir(), "snap")
	if out, code := cli(t, c.brokerEndpoint(), "snapshot", "save", file); code != 0 {
		t.Fatalf("save: %q", out)
	}
	if out, code := cli(t, c.brokerEndpoint(), "snapshot", "load", file, "--replace"); code != 0 {
		t.Fatalf("load: %q", out)
	}
	wantContents(t, "after the donor's death", contents(t, c.addr), want)
}

// A field and a string that are longer than what a ZeroMQ client may have under way: they are read, loaded, and come to a joiner and to its disk.
func TestLongFieldsTravel(t *testing.T) {
	t.Parallel()
	from, to := startAlone(t), startAlone(t)
	field, value := strings.Repeat("f", 20<<20), strings.Repeat("s", 9<<20)
	for i := range 2000 { // pieces before and behind it
		from.do("SET", fmt.Sprint("key:", i), strings.Repeat("x", 1000))
	}
	from.do("HSET", "hash", "long", field, "short", "x")
	from.do("SET", "string", value)
	file := filepath.Join(t.TempDir(), "snap")
	if out, code := cli(t, from.brokerEndpoint(), "snapshot", "save", file); code != 0 {
		t.Fatalf("save: %q", out)
	}
	if out, code := cli(t, to.brokerEndpoint(), "snapshot", "load", file); code != 0 {
		t.Fatalf("load: %q", out)
	}
	check := func(what string, c *cluster) {
		t.Helper()
		if c.do("DBSIZE") != int64(2002) || c.do("HGET", "hash", "long") != field || c.do("HGET", "hash", "short") != "x" || c.do("GET", "string") != value {
			t.Errorf("%s: not all is there", what)
		}
	}
	check("loaded", to)
	to.startDiskNode("n1", "everysec")
	to.awaitInSync(2)
	if out, code := cli(t, to.brokerEndpoint(), "verify"); code != 0 {
		t.Errorf("verify: %q", out)
	}
	to.do("BGSAVE")
	to.nodes["n1"].kill()
	to.nodes["n1"].exit()
	to.awaitStatus("it is gone", func(s op.Status) bool { return !nodeOf(s, "n1").Up })
	to.startDiskNode("n1", "everysec")
	to.awaitInSync(2)
	if out, code := cli(t, to.brokerEndpoint(), "verify"); code != 0 {
		t.Errorf("verify after a restart: %q", out)
	}
	check("at the end", to)
}
