package integration

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"brainer/broker/client"
	"brainer/internal/op"
)

// cluster is a broker and its nodes in a directory of their own.
type cluster struct {
	t        testing.TB
	programs string // directory of the binaries
	dir      string // short: an ipc path has room for 107 bytes
	flags    []string
	broker   *process
	nodes    map[string]*process
	within   map[string][]string // what starts a process inside something else, by name
	addr     string              // of the broker, for Redis clients
	metrics  string
	endpoint string        // of the broker, for nodes; "": a socket file
	control  *redis.Client // for what the test itself asks
}

// newCluster makes the directory; nothing runs yet.
func newCluster(t testing.TB) *cluster {
	t.Helper()
	// In memory where that can be had: a disk that is busy with something else takes seconds for an
	// fsync, and a change of the in-sync set waits for one.
	dir, err := os.MkdirTemp("/dev/shm", "brainer-")
	if err != nil {
		dir, err = os.MkdirTemp("/tmp", "brainer-")
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	return &cluster{t: t, programs: binaries, dir: dir, nodes: map[string]*process{}}
}

// startCluster starts a broker without an embedded node, and so many nodes, and awaits that all are in sync.
func startCluster(t testing.TB, nodes int, flags ...string) *cluster {
	t.Helper()
	c := newCluster(t)
	c.startBroker(append([]string{"--embedded=false"}, flags...)...)
	for i := range nodes {
		c.startNode(nodeName(i + 1))
	}
	c.awaitInSync(nodes)
	return c
}

// startAlone starts a broker with its embedded node.
func startAlone(t testing.TB, flags ...string) *cluster {
	t.Helper()
	c := newCluster(t)
	c.startBroker(flags...)
	c.awaitActive()
	return c
}

func nodeName(i int) string { return fmt.Sprintf("n%d", i) }

func (c *cluster) brokerEndpoint() string {
	return cmp.Or(c.endpoint, "ipc://"+filepath.Join(c.dir, "b"))
}
func (c *cluster) nodeEndpoint(id string) string { return "ipc://" + filepath.Join(c.dir, id) }
func (c *cluster) stateDir() string              { return filepath.Join(c.dir, "state") }

// startBroker starts run_broker with these flags; a later call without any starts it again as it was.
func (c *cluster) startBroker(flags ...string) {
	c.t.Helper()
	if flags != nil {
		c.flags = flags
	}
	if c.addr == "" {
		c.addr, c.metrics = "127.0.0.1:0", "127.0.0.1:0"
	}
	args := append([]string{"--listen", c.addr, "--metrics", c.metrics, "--broker", c.brokerEndpoint(), "--state-dir", c.stateDir()}, c.flags...)
	c.broker = c.start("broker", filepath.Join(c.programs, "run_broker"), args)
	m := c.broker.awaitLog(`msg="broker starts".* listen=(\S+) .*metrics=(\S+)`)
	if c.addr != m[1] || c.metrics != m[2] { // a broker that comes back comes back here, where clients may be dialing
		c.addr, c.metrics = m[1], m[2]
	}
	if c.control == nil {
		c.control = c.newClient()
	}
}

// startNode starts run_node with this id.
func (c *cluster) startNode(id string, flags ...string) *process {
	c.t.Helper()
	args := append([]string{"--node-endpoint", c.nodeEndpoint(id), "--broker", c.brokerEndpoint(), "--id", id}, flags...)
	p := c.start(id, filepath.Join(c.programs, "run_node"), args)
	c.nodes[id] = p
	return p
}

func (c *cluster) start(name, path string, args []string) *process {
	c.t.Helper()
	line := append(append(slices.Clone(c.within[name]), path), args...)
	return start(c.t, name, line[0], line[1:]...)
}

// newClient is a go-redis client of the broker that never repeats a command by itself.
func (c *cluster) newClient(change ...func(*redis.Options)) *redis.Client {
	o := &redis.Options{Addr: c.addr, MaxRetries: -1, DialTimeout: patience, ReadTimeout: patience, WriteTimeout: patience,
		ContextTimeoutEnabled: true, DialerRetries: 1}
	for _, f := range change {
		f(o)
	}
	r := redis.NewClient(o)
	c.t.Cleanup(func() { _ = r.Close() })
	return r
}

// do sends one command on the test's own connection and wants it to succeed.
func (c *cluster) do(args ...any) any {
	c.t.Helper()
	v, err := c.control.Do(context.Background(), args...).Result()
	if err != nil && err != redis.Nil {
		c.t.Fatalf("%v: %v", args, err)
	}
	return v
}

// status is BRAINER STATUS JSON.
func (c *cluster) status() (s op.Status, err error) {
	text, err := c.control.Do(context.Background(), "BRAINER", "STATUS", "JSON").Text()
	if err != nil {
		return s, err
	}
	return s, json.Unmarshal([]byte(text), &s)
}

// awaitStatus waits until the status is as wanted.
func (c *cluster) awaitStatus(what string, wanted func(op.Status) bool) op.Status {
	c.t.Helper()
	var s op.Status
	await(c.t, what, func() (bool, string) {
		if !c.broker.alive() {
			c.t.Fatalf("the broker has ended: %v", c.broker.err)
		}
		var err error
		if s, err = c.status(); err != nil {
			return false, err.Error()
		}
		return wanted(s), summary(s)
	})
	return s
}

func (c *cluster) awaitActive() op.Status {
	c.t.Helper()
	return c.awaitStatus("the broker is active", func(s op.Status) bool { return s.State == "active" })
}

// awaitInSync waits for so many nodes in the in-sync set.
func (c *cluster) awaitInSync(n int) op.Status {
	c.t.Helper()
	return c.awaitStatus(fmt.Sprintf("%d nodes in sync", n), func(s op.Status) bool {
		return s.State == "active" && len(inSync(s)) == n
	})
}

// awaitNodes waits until these, and no others, are in sync.
func (c *cluster) awaitNodes(ids ...string) op.Status {
	c.t.Helper()
	slices.Sort(ids)
	return c.awaitStatus(fmt.Sprintf("in sync: %v", ids), func(s op.Status) bool {
		return s.State == "active" && slices.Equal(inSync(s), ids)
	})
}

// awaitLevel waits until the in-sync nodes have applied everything.
func (c *cluster) awaitLevel() op.Status {
	c.t.Helper()
	return c.awaitStatus("all nodes level", func(s op.Status) bool {
		for _, n := range s.Nodes {
			if n.InSync && n.Applied < s.Index {
				return false
			}
		}
		return s.State == "active" && s.Safe == s.Index
	})
}

func inSync(s op.Status) (ids []string) {
	for _, n := range s.Nodes {
		if n.InSync {
			ids = append(ids, n.ID)
		}
	}
	slices.Sort(ids)
	return ids
}

func nodeOf(s op.Status, id string) op.NodeStatus {
	for _, n := range s.Nodes {
		if n.ID == id {
			return n
		}
	}
	return op.NodeStatus{}
}

func summary(s op.Status) string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s %s index=%d safe=%d", s.State, s.Detail, s.Index, s.Safe)
	for _, n := range s.Nodes {
		fmt.Fprintf(&b, " [%s %s in_sync=%v applied=%d %s]", n.ID, n.State, n.InSync, n.Applied, n.Reason)
	}
	return b.String()
}

// copyOf connects to a node's own endpoint, where it answers for its copy alone.
func (c *cluster) copyOf(id string) *client.Client {
	c.t.Helper()
	cl, err := client.Connect(c.nodeEndpoint(id), client.WithTimeout(patience))
	if err != nil {
		c.t.Fatalf("connect to node %s: %v", id, err)
	}
	c.t.Cleanup(func() { _ = cl.Close() })
	return cl
}

// contents reads everything in the node's database 0, key by key, in slices as SCAN gives them.
func (c *cluster) contents(id string) map[string]string {
	c.t.Helper()
	cl := c.copyOf(id)
	defer cl.Close()
	all := map[string]string{}
	for cursor := "0"; ; {
		reply, err := cl.Do("SCAN", cursor, "COUNT", "1000")
		if err != nil || len(reply.Elems) != 2 {
			c.t.Fatalf("SCAN on %s: %v %v", id, reply, err)
		}
		keys := make([]string, 0, len(reply.Elems[1].Elems))
		for _, k := range reply.Elems[1].Elems {
			keys = append(keys, string(k.Str))
		}
		if len(keys) > 0 {
			values, err := cl.Do(append([]string{"MGET"}, keys...)...)
			if err != nil {
				c.t.Fatalf("MGET on %s: %v", id, err)
			}
			for i, k := range keys {
				if !values.Elems[i].IsNull() {
					all[k] = string(values.Elems[i].Str)
				}
			}
		}
		if cursor = string(reply.Elems[0].Str); cursor == "0" {
			return all
		}
	}
}

// sameOnAll reads every copy named and wants them to be want, in full.
func (c *cluster) sameOnAll(want map[string]string, ids ...string) {
	c.t.Helper()
	for _, id := range ids {
		got := c.contents(id)
		if difference := differ(want, got); difference != "" {
			c.t.Errorf("copy of %s: %s", id, difference)
		}
	}
}

// differ says how got is not want, "" when it is.
func differ(want, got map[string]string) string {
	missing, wrong, extra := 0, 0, 0
	example := ""
	for k, v := range want {
		g, ok := got[k]
		switch {
		case !ok:
			missing++
			example = fmt.Sprintf("%q is missing", k)
		case g != v:
			wrong++
			example = fmt.Sprintf("%q is %.80q, not %.80q", k, g, v)
		}
	}
	for k := range got {
		if _, ok := want[k]; !ok {
			extra++
			example = fmt.Sprintf("%q is there", k)
		}
	}
	if missing+wrong+extra == 0 {
		return ""
	}
	return fmt.Sprintf("%d of %d missing, %d wrong, %d too many; for example %s", missing, len(want), wrong, extra, example)
}

// nodeStatus is the node's own word, at its own endpoint.
func (c *cluster) nodeStatus(id string) (s op.Status) {
	c.t.Helper()
	cl := c.copyOf(id)
	defer cl.Close()
	reply, err := cl.Do("BRAINER", "STATUS", "JSON")
	if err == nil {
		err = json.Unmarshal(reply.Str, &s)
	}
	if err != nil {
		c.t.Fatalf("status of %s: %v", id, err)
	}
	return s
}

// page fetches from the metrics address.
func (c *cluster) page(path string) (code int, body string) {
	c.t.Helper()
	return c.fetch("http://" + c.metrics + path)
}

// nodePage is the metrics page of a node that was started with --metrics.
func (c *cluster) nodePage(id string) string {
	c.t.Helper()
	m := c.nodes[id].awaitLog(`msg="node starts".* metrics=(\S+)`)
	_, body := c.fetch("http://" + m[1] + "/metrics")
	return body
}

func (c *cluster) fetch(url string) (code int, body string) {
	c.t.Helper()
	hc := http.Client{Timeout: patience, Transport: &http.Transport{DisableKeepAlives: true}}
	r, err := hc.Get(url)
	if err != nil {
		c.t.Fatal(err)
	}
	defer r.Body.Close()
	b, err := io.ReadAll(r.Body)
	if err != nil {
		c.t.Fatal(err)
	}
	return r.StatusCode, string(b)
}

// ctx ends with the test, and in any case after two minutes.
func ctxOf(t testing.TB) context.Context {
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Minute)
	t.Cleanup(cancel)
	return ctx
}
