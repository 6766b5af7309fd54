package integration

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"brainer/internal/op"
	"brainer/internal/redistest"
)

func TestSnapshotsAreKeptByTheBroker(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "made")
	c := startAlone(t, "--snapshot-dir", dir, "--snapshot-keep", "2")
	theirs := redistest.Dial(t, redistest.Start(t))
	ours := redistest.Dial(t, c.addr)
	for _, line := range []string{"BGSAVE nonsense", "BGSAVE SCHEDULE x", "SAVE x", "LASTSAVE x"} {
		if got, want := string(ours.Do(strings.Fields(line)...)), string(theirs.Do(strings.Fields(line)...)); got != want {
			t.Errorf("%s: %q, Redis says %q", line, got, want)
		}
	}
	for name := range infoFields(string(redistest.Parse(ours.Do("INFO", "persistence")).Text)) {
		if infoFields(redistest.Parse(theirs.Do("INFO", "persistence")).Text)[name] == "" {
			t.Errorf("INFO has %s, Redis has not", name)
		}
	}
	started := ours.Do("LASTSAVE")
	fill(t, c.addr)
	if reply := string(ours.Do("SAVE")); reply != "+OK\r\n" {
		t.Fatalf("SAVE: %q", reply)
	}
	if files := snapshots(t, dir); len(files) != 1 {
		t.Errorf("files: %q", files)
	}
	saved := map[string]string{"rdb_last_bgsave_status": "ok", "rdb_saves": "1", "rdb_bgsave_in_progress": "0"}
	info := infoFields(redistest.Parse(ours.Do("INFO", "persistence")).Text)
	for name, want := range saved {
		if info[name] != want {
			t.Errorf("after SAVE %s is %q, want %q", name, info[name], want)
		}
	}
	if n := info["rdb_changes_since_last_save"]; n != "0" && n != "1" { // a key that has expired may be reclaimed meanwhile
		t.Errorf("after SAVE %s changes since", n)
	}
	if string(ours.Do("LASTSAVE")) < string(started) {
		t.Errorf("LASTSAVE: %s, at the start %s", ours.Do("LASTSAVE"), started)
	}
	theirs.Do("SET", "k", "v")
	for _, line := range []string{"BGSAVE", "BGSAVE SCHEDULE"} {
		if got, want := string(ours.Do(strings.Fields(line)...)), "+Background saving started\r\n"; got != want {
			t.Errorf("%s: %q", line, got)
		}
		await(t, "it has been saved", func() (bool, string) {
			info := redistest.Parse(ours.Do("INFO", "persistence")).Text
			return infoFields(info)["rdb_bgsave_in_progress"] == "0", info
		})
	}
	files := snapshots(t, dir)
	if len(files) != 2 {
		t.Fatalf("files: %q", files)
	}
	redisAddr := redistest.Start(t)
	if out, code := cli(t, "redis://"+redisAddr, "snapshot", "load", files[1]); code != 0 {
		t.Fatalf("load: %q", out)
	}
	wantContents(t, "the newest", contents(t, redisAddr), contents(t, c.addr))

	// The next life knows of it; by the clock now.
	last := string(ours.Do("LASTSAVE"))
	c.broker.terminate()
	<-c.broker.exited
	c.startBroker("--snapshot-dir", dir, "--snapshot-keep", "2", "--snapshot-every", "1s")
	c.awaitActive()
	ours = redistest.Dial(t, c.addr)
	if got := string(ours.Do("LASTSAVE")); got < last {
		t.Errorf("LASTSAVE: %q, before the restart %q", got, last)
	}
	ours.Do("SET", "k", "v")
	await(t, "new snapshots by the clock", func() (bool, string) {
		now := snapshots(t, dir)
		return len(now) > 0 && now[0] > files[1], strings.Join(now, " ")
	})
	if _, text := c.page("/metrics"); !strings.Contains(text, "brainer_snapshot_every_seconds 1\n") || strings.Contains(text, "brainer_snapshots_saved_total 0\n") {
		t.Errorf("metrics: %s", text)
	}

	// A directory that goes: told, and mended by itself.
	if err := os.RemoveAll(dir); err != nil {
		t.Fatal(err)
	}
	if reply := string(ours.Do("SAVE")); !strings.HasPrefix(reply, "-ERR the snapshot could not be saved") && !strings.HasPrefix(reply, "-ERR Background save already in progress") {
		t.Errorf("SAVE into nothing: %q", reply)
	}
	await(t, "the failure shows", func() (bool, string) {
		info := redistest.Parse(ours.Do("INFO", "persistence")).Text
		return infoFields(info)["rdb_last_bgsave_status"] == "err", info
	})
}

// emptyLog is that of a log on disk which has nothing but its head.
var emptyLog = regexp.MustCompile(`\nbrainer_disk_log_bytes \d\d\n`)

// BGSAVE, SAVE: nodes with a disk replace their logs by a snapshot, with a directory in the broker and without.
func TestSaveReachesTheDisksOfNodes(t *testing.T) {
	t.Parallel()
	c := newCluster(t)
	c.startBroker("--embedded=false")
	ours := redistest.Dial(t, c.addr)
	for _, id := range []string{"n1", "n2"} {
		c.startDiskNode(id, "everysec", "--metrics", "127.0.0.1:0")
	}
	c.startNode("n3")
	c.awaitInSync(3)
	fillDisks(t, c, 1000)
	for round, want := range []string{"brainer_disk_snapshots_total 1\n", "brainer_disk_snapshots_total 2\n"} {
		c.do("SET", "round", round)
		if reply := string(ours.Do("SAVE")); reply != "+OK\r\n" {
			t.Fatalf("SAVE: %q", reply)
		}
		for _, id := range []string{"n1", "n2"} {
			if page := c.nodePage(id); !strings.Contains(page, want) || !emptyLog.MatchString(page) {
				t.Errorf("%s has no snapshot in place of its log, wanted %s:\n%s", id, want, page)
			}
		}
		info := infoFields(redistest.Parse(ours.Do("INFO", "persistence")).Text)
		if info["rdb_last_bgsave_status"] != "ok" || info["rdb_changes_since_last_save"] != "0" || info["rdb_saves"] != fmt.Sprint(round+1) {
			t.Errorf("%v", info)
		}
	}
	last := c.do("LASTSAVE").(int64)
	if now := time.Now().Unix(); last > now || last < now-60 {
		t.Errorf("LASTSAVE: %d, and it is %d", last, now)
	}
	c.nodes["n3"].terminate()
	c.nodes["n3"].exit()
	for _, id := range []string{"n1", "n2"} {
		c.nodes[id].kill()
		c.nodes[id].exit()
	}
	c.awaitStatus("the nodes are gone", func(s op.Status) bool { return !nodeOf(s, "n1").Up && !nodeOf(s, "n2").Up })
	for _, id := range []string{"n1", "n2"} {
		c.startDiskNode(id, "everysec", "--metrics", "127.0.0.1:0")
	}
	c.awaitInSync(2)
	if n := c.do("DBSIZE"); n != int64(1001) {
		t.Errorf("%v keys after the restart", n)
	}

	// Both at once.
	c.broker.terminate()
	c.broker.exit()
	dir := filepath.Join(c.dir, "snapshots")
	c.startBroker("--embedded=false", "--snapshot-dir", dir)
	c.awaitInSync(2)
	ours = redistest.Dial(t, c.addr)
	if reply := string(ours.Do("SAVE")); reply != "+OK\r\n" || len(snapshots(t, dir)) != 1 || !strings.Contains(c.nodePage("n2"), "brainer_disk_snapshots_total 1\n") {
		t.Errorf("SAVE: %q, %q", reply, snapshots(t, dir))
	}
}

func TestWithoutADirectoryForSnapshots(t *testing.T) {
	t.Parallel()
	c := startAlone(t)
	for _, name := range []string{"SAVE", "BGSAVE"} {
		err := c.control.Do(context.Background(), name).Err()
		if err == nil || err == redis.Nil || !strings.Contains(err.Error(), "--snapshot-dir") {
			t.Errorf("%s: %v", name, err)
		}
	}
	if n, ok := c.do("LASTSAVE").(int64); !ok || n < 1_700_000_000 {
		t.Errorf("LASTSAVE: %v", n)
	}
	for _, args := range [][]string{{"--snapshot-every", "1h"}, {"--snapshot-dir", "/x", "--snapshot-keep", "0"}, {"--snapshot-dir", "/x", "--snapshot-every", "1ms"}, {"--snapshot-dir", "/proc/x"}} {
		args = append(args, "--listen", "127.0.0.1:0", "--metrics", "", "--broker", "ipc://"+c.dir+"/x", "--state-dir", c.dir+"/other")
		if out, code := run(t, binary("run_broker"), args...); code == 0 || !strings.Contains(out, "--snapshot-") {
			t.Errorf("%q: %q, exit code %d", args, out, code)
		}
	}
}

func snapshots(t testing.TB, dir string) (files []string) {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(dir, "brainer-*.snap"))
	if err != nil {
		t.Fatal(err)
	}
	return files
}

func infoFields(info string) map[string]string {
	fields := map[string]string{}
	for line := range strings.Lines(info) {
		if name, value, ok := strings.Cut(strings.TrimSpace(line), ":"); ok {
			fields[name] = value
		}
	}
	return fields
}
