package integration

import (
	"context"
	"flag"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"brainer/internal/op"
)

var restartKeys = flag.Int("restart", 20_000, "keys of TestEverythingIsKilledAndComesBack; 1000000 in make restart")

func (c *cluster) dataDir(id string) string { return filepath.Join(c.dir, "data-"+id) }

func (c *cluster) startDiskNode(id, fsync string, more ...string) *process {
	c.t.Helper()
	return c.startNode(id, append([]string{"--storage", "disk", "--data-dir", c.dataDir(id), "--fsync", fsync}, more...)...)
}

// fillDisks writes numbered keys in pipelines.
func fillDisks(t *testing.T, c *cluster, keys int) {
	t.Helper()
	for from := 0; from < keys; from += 1000 {
		pipe := c.control.Pipeline()
		for i := from; i < min(from+1000, keys); i++ {
			pipe.Set(t.Context(), fmt.Sprint("key:", i), strings.Repeat(fmt.Sprint(i), 8), 0)
		}
		_, err := pipe.Exec(t.Context())
		must(t, err)
	}
}

// counters are clients that count one key up each, and know the last value that was acknowledged.
type counters struct {
	acked []atomic.Int64
	asked []atomic.Int64
	wg    sync.WaitGroup
	end   context.CancelFunc
}

func startCounters(c *cluster, n int) *counters {
	ctx, cancel := context.WithCancel(c.t.Context())
	k := &counters{acked: make([]atomic.Int64, n), asked: make([]atomic.Int64, n), end: cancel}
	for i := range n {
		k.wg.Add(1)
		go func() {
			defer k.wg.Done()
			r := c.newClient(func(o *redis.Options) { o.PoolSize, o.ReadTimeout = 1, time.Second })
			for ctx.Err() == nil {
				k.asked[i].Add(1)
				v, err := r.Incr(ctx, fmt.Sprint("counter:", i)).Result()
				if err != nil {
					return // everything is down
				}
				k.acked[i].Store(v)
			}
		}()
	}
	return k
}

func (k *counters) sum() (n int64) {
	for i := range k.acked {
		n += k.acked[i].Load()
	}
	return n
}

// Everything is killed at once under load. Under fsync always all that was acknowledged is there again, on every copy.
func TestEverythingIsKilledAndComesBack(t *testing.T) {
	t.Parallel()
	c := newCluster(t)
	c.startBroker("--embedded=false")
	ids := []string{"n1", "n2", "n3"}
	startAll := func() {
		for _, id := range ids {
			c.startDiskNode(id, "always")
		}
	}
	startAll()
	c.awaitInSync(len(ids))
	fillDisks(t, c, *restartKeys)
	k := startCounters(c, 8)
	await(t, "the counters count", func() (bool, string) { return k.sum() > 100, fmt.Sprint(k.sum()) })
	processes := []*process{c.broker}
	for _, id := range ids {
		processes = append(processes, c.nodes[id])
	}
	for _, p := range processes {
		p.kill()
	}
	for _, p := range processes {
		p.exit()
	}
	k.end()
	k.wg.Wait()

	began := time.Now()
	c.startBroker()
	startAll()
	c.awaitInSync(len(ids))
	t.Logf("%d keys and %d counted up; in sync again after %s", *restartKeys, k.sum(), time.Since(began).Round(time.Millisecond))
	if n := c.do("DBSIZE"); n != int64(*restartKeys+len(k.acked)) {
		t.Errorf("%v keys", n)
	}
	for i := range k.acked {
		got, err := c.control.Get(t.Context(), fmt.Sprint("counter:", i)).Int64()
		if must(t, err); got < k.acked[i].Load() || got > k.asked[i].Load() {
			t.Errorf("counter %d is %d; %d was acknowledged, %d asked for", i, got, k.acked[i].Load(), k.asked[i].Load())
		}
	}
	for i := 0; i < *restartKeys; i += 97 {
		if got := c.do("GET", fmt.Sprint("key:", i)); got != strings.Repeat(fmt.Sprint(i), 8) {
			t.Fatalf("key %d is %v", i, got)
		}
	}
	if out, code := cli(t, c.brokerEndpoint(), "verify"); code != 0 || !strings.Contains(out, "3 nodes") {
		t.Errorf("verify: %d, %s", code, out)
	}
	if s := c.awaitLevel(); s.SnapshotsTotal != 0 {
		t.Errorf("%d snapshots were taken", s.SnapshotsTotal)
	}
}

// Copies that are not synced before they acknowledge: the broker waits for all that may hold more.
func TestTheBrokerWaitsForTheCopyThatMayHoldMost(t *testing.T) {
	t.Parallel()
	c := newCluster(t)
	c.startBroker("--embedded=false")
	for _, id := range []string{"n1", "n2"} {
		c.startDiskNode(id, "everysec")
	}
	c.awaitInSync(2)
	fillDisks(t, c, 2000)
	processes := []*process{c.broker, c.nodes["n1"], c.nodes["n2"]}
	for _, p := range processes {
		p.kill()
	}
	for _, p := range processes {
		p.exit()
	}
	c.startBroker()
	c.startDiskNode("n1", "everysec")
	c.broker.awaitLog("n1 is back from its disk .*n2 may hold more")
	c.awaitStatus("it waits", func(s op.Status) bool { return s.State == "down" && strings.Contains(s.Detail, "n2 may hold more") })
	if err := c.control.Set(t.Context(), "k", "v", 0).Err(); err == nil || !strings.HasPrefix(err.Error(), "CLUSTERDOWN") {
		t.Errorf("SET: %v", err)
	}
	c.startDiskNode("n2", "everysec")
	c.awaitInSync(2)
	if n := c.do("DBSIZE"); n.(int64) > 2000 {
		t.Errorf("%v keys", n)
	}
}

// A cluster that is ended in order comes back with the node that left last, deadlines included.
func TestAClusterThatWasEndedInOrderComesBack(t *testing.T) {
	t.Parallel()
	c := newCluster(t)
	c.startBroker("--embedded=false")
	c.startDiskNode("n1", "100")
	c.startDiskNode("n2", "everysec")
	c.awaitInSync(2)
	fillDisks(t, c, 1000)
	c.do("SET", "soon", "v", "PX", "100000")
	until := c.do("PEXPIRETIME", "soon")
	c.nodes["n1"].terminate()
	c.nodes["n1"].exit()
	c.do("SET", "later", "v")
	c.nodes["n2"].terminate()
	c.nodes["n2"].exit()
	c.broker.terminate()
	c.broker.exit()
	c.startBroker()
	c.startDiskNode("n2", "everysec")
	c.awaitInSync(1)
	if n, d := c.do("DBSIZE"), c.do("PEXPIRETIME", "soon"); n != int64(1002) || d != until {
		t.Errorf("%v keys, a deadline of %v that was %v", n, d, until)
	}
	c.startDiskNode("n1", "100")
	if s := c.awaitInSync(2); s.SnapshotsTotal != 0 {
		t.Errorf("n1 took a snapshot for one entry")
	}
}

// The broker's own node, alone: killed and ended.
func TestABrokerAloneKeepsItsCopyOnDisk(t *testing.T) {
	t.Parallel()
	c := newCluster(t)
	c.startBroker("--storage", "disk", "--data-dir", c.dataDir("embedded"), "--fsync", "always")
	c.awaitActive()
	fillDisks(t, c, 500)
	c.broker.kill()
	c.broker.exit()
	c.startBroker()
	c.awaitActive()
	if n := c.do("DBSIZE"); n != int64(500) {
		t.Errorf("killed: %v keys", n)
	}
	c.do("SET", "one more", "v")
	c.broker.terminate()
	c.broker.exit()
	c.startBroker()
	c.awaitActive()
	if n := c.do("DBSIZE"); n != int64(501) {
		t.Errorf("ended: %v keys", n)
	}
}

func TestWrongUseOfADataDirectoryIsOneLine(t *testing.T) {
	t.Parallel()
	c := newCluster(t)
	c.startBroker("--embedded=false")
	c.startDiskNode("n1", "always")
	c.awaitInSync(1)
	fillDisks(t, c, 100)
	node := func(id, dir string, more ...string) (string, int) {
		args := append([]string{"--node-endpoint", c.nodeEndpoint("x"), "--broker", c.brokerEndpoint(), "--id", id, "--storage", "disk", "--data-dir", dir}, more...)
		return run(t, binary("run_node"), args...)
	}
	expect := func(what, want, out string, code int) {
		t.Helper()
		out = strings.TrimSpace(withoutLog(out))
		if code == 0 || !strings.Contains(out, want) || strings.Contains(out, "\n") {
			t.Errorf("%s: %d, %s", what, code, out)
		}
	}
	out, code := node("n1", c.dataDir("n1"))
	expect("two nodes on one directory", "in use by another node", out, code)
	c.nodes["n1"].terminate()
	c.nodes["n1"].exit()
	out, code = node("n2", c.dataDir("n1"))
	expect("another node's directory", `copy of node "n1", and this is "n2"`, out, code)
	out, code = node("n1", "/proc/nothing")
	expect("no directory", "--data-dir: /proc/nothing cannot be made", out, code)
	out, code = node("n1", c.dir)
	expect("a directory of something else", "holds nothing of a node's", out, code)
	out, code = node("n1", c.dataDir("n1"), "--fsync", "never")
	expect("--fsync", "--fsync", out, code)
}

// A disk that is full stops itself and nothing else, says so, and what is on it is not taken for the copy later.
func TestAFullDiskStopsTheDiskAndNotTheCache(t *testing.T) {
	t.Parallel()
	c := newCluster(t)
	small := filepath.Join(c.dir, "small")
	must(t, os.Mkdir(small, 0o700))
	if err := syscall.Mount("tmpfs", small, "tmpfs", 0, "size=2m"); err != nil {
		t.Skipf("no small file system can be mounted here: %v", err)
	}
	t.Cleanup(func() { _ = syscall.Unmount(small, syscall.MNT_DETACH) })
	c.startBroker("--embedded=false")
	disk := []string{"--storage", "disk", "--data-dir", filepath.Join(small, "data"), "--fsync", "always", "--metrics", "127.0.0.1:0"}
	n := c.startNode("n1", disk...)
	page := n.awaitLog(`msg="node starts".* metrics=(\S+)`)[1]
	c.awaitInSync(1)
	random := rand.New(rand.NewPCG(1, 1))
	noise := make([]byte, 100_000)
	for i := range 40 {
		for k := range noise {
			noise[k] = byte(random.Uint32())
		}
		c.do("SET", fmt.Sprint("noise:", i), noise)
	}
	n.awaitLog("the disk has stopped")
	c.awaitInSync(1)
	c.do("SET", "after", "v")
	if _, body := c.fetch("http://" + page + "/metrics"); !strings.Contains(body, "brainer_disk_stopped 1") {
		t.Errorf("/metrics does not say so")
	}
	if n := c.do("DBSIZE"); n != int64(41) {
		t.Errorf("%v keys", n)
	}
	n.kill()
	n.exit()
	n = c.startNode("n1", append(disk, "--on-disk-error", "stop-node")...)
	c.awaitStatus("the copy of before is not taken", func(s op.Status) bool { return s.State == "down" && nodeOf(s, "n1").Up })
	if out, code := cli(t, c.brokerEndpoint(), "recover", "--from", "n1"); code != 0 {
		t.Fatalf("recover: %s", out)
	}
	c.awaitInSync(1)
	for i := range 40 {
		if c.control.Set(t.Context(), fmt.Sprint("more:", i), noise, 0).Err() != nil {
			break
		}
	}
	if code := n.exit(); code == 0 || !strings.Contains(n.output(), "no space left") {
		t.Errorf("--on-disk-error stop-node: exit %d", code)
	}
}
