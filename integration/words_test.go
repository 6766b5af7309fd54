package integration

import (
	"bufio"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"brainer/internal/op"
	"brainer/resp"
)

// words is Debian's word list, or where there is none as many made-up words.
func words(t testing.TB) []string {
	t.Helper()
	var all []string
	if f, err := os.Open("/usr/share/dict/words"); err == nil {
		defer f.Close()
		for s := bufio.NewScanner(f); s.Scan(); {
			all = append(all, s.Text())
		}
	}
	if len(all) >= 100_000 {
		return all
	}
	t.Log("no word list of 100,000 words (apt-get install wamerican): made-up words instead")
	rnd := rand.New(rand.NewPCG(1, 2))
	syllables := []string{"ba", "ke", "li", "mo", "nu", "pa", "re", "si", "to", "vu", "é", "'s"}
	seen := map[string]bool{}
	for all = nil; len(all) < 104_334; {
		var w strings.Builder
		for range 3 + rnd.IntN(5) {
			w.WriteString(syllables[rnd.IntN(len(syllables))])
		}
		if !seen[w.String()] {
			seen[w.String()] = true
			all = append(all, w.String())
		}
	}
	return all
}

// pipe is one redis-cli --pipe that is fed piece by piece.
type pipe struct {
	p     *process
	stdin *os.File
}

func startPipe(t testing.TB, c *cluster) *pipe {
	t.Helper()
	path := installed(t, "redis-cli", "redis-tools")
	host, port, _ := strings.Cut(c.addr, ":")
	cmd := exec.Command(path, "-h", host, "-p", port, "--pipe")
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	cmd.Stdin = r
	p := startCommand(t, "redis-cli", cmd)
	r.Close()
	t.Cleanup(func() { w.Close() })
	return &pipe{p, w}
}

// write sends SET commands.
func (p *pipe) write(b []byte) {
	p.p.t.Helper()
	if err := p.stdin.SetWriteDeadline(time.Now().Add(patience)); err != nil {
		p.p.t.Fatal(err)
	}
	if _, err := p.stdin.Write(b); err != nil {
		p.p.t.Fatalf("redis-cli takes no more: %v", err)
	}
}

// finish ends the input and returns what redis-cli counted.
func (p *pipe) finish() (errors, replies int) {
	p.p.t.Helper()
	p.stdin.Close()
	code := p.p.exit()
	m := regexp.MustCompile(`errors: (\d+), replies: (\d+)`).FindStringSubmatch(p.p.output())
	if m == nil || code != 0 {
		p.p.t.Fatalf("redis-cli --pipe: exit code %d, %q", code, p.p.output())
	}
	errors, _ = strconv.Atoi(m[1])
	replies, _ = strconv.Atoi(m[2])
	return errors, replies
}

// TestTheWordListSurvivesAKilledNodeAndTwoJoins loads a word list through redis-cli while a node is
// killed and another joins; a third joins after. Every copy must then be complete, and Prometheus must
// be able to tell what happened.
func TestTheWordListSurvivesAKilledNodeAndTwoJoins(t *testing.T) {
	t.Parallel()
	const slices = 10
	// A small log window, so that who joins needs a snapshot; and who stands still while it joins goes on joining.
	c := startCluster(t, 3, "--window-bytes", "1048576", "--dead-after", "2m", "--ack-timeout", "3m")
	prom := startPrometheus(t, c.metrics)
	prom.awaitValue("brainer_nodes_in_sync", 3)

	list := words(t)
	want := make(map[string]string, len(list))
	for i, w := range list {
		want[w] = fmt.Sprintf("%d %s %s", i, w, strings.Repeat("x", 40))
	}
	beside := startWorkload(t, c, 3, 1)
	cli := startPipe(t, c)
	loaded := 0
	load := func(n int, during func()) {
		var b []byte
		for _, w := range list[loaded : loaded+n] {
			b = resp.AppendCommand(b, []byte("SET"), []byte(w), []byte(want[w]))
		}
		loaded += n
		half := len(b) / 2
		cli.write(b[:half])
		if during != nil {
			during()
		}
		cli.write(b[half:])
	}
	awaitLoaded := func() {
		t.Helper()
		await(t, fmt.Sprintf("%d words loaded", loaded), func() (bool, string) {
			n := c.do("EXISTS", list[loaded-1])
			return n == int64(1), fmt.Sprint(n)
		})
	}

	for i := range slices {
		n := len(list) / slices
		if i == slices-1 {
			n = len(list) - loaded
		}
		switch i {
		case 4:
			load(n, c.nodes["n2"].kill)
			awaitLoaded()
			c.awaitNodes("n1", "n3")
			prom.awaitValue("brainer_nodes_in_sync", 2)
		case 6:
			load(n, func() { c.startNode("n4") })
			awaitLoaded()
		case 8:
			load(n, nil)
			c.awaitNodes("n1", "n3", "n4")
		default:
			load(n, nil)
			awaitLoaded()
		}
	}
	errors, replies := cli.finish()
	if errors != 0 || replies != len(list) {
		t.Errorf("redis-cli --pipe: %d errors, %d replies; want none and %d", errors, replies, len(list))
	}
	joinInSight(t, c, prom, "n5")
	c.awaitNodes("n1", "n3", "n4", "n5")
	beside.stop()
	beside.noErrors()
	for k, v := range beside.want {
		want[k] = v
	}
	c.awaitLevel()

	c.sameOnAll(want, "n1", "n3", "n4", "n5")
	if n := c.do("DBSIZE"); n != int64(len(want)) {
		t.Errorf("DBSIZE %v, want %d", n, len(want))
	}

	// The story, as Prometheus has it.
	prom.awaitValue(`brainer_node_up{node="n2"}`, 0)
	prom.awaitValue(`sum(brainer_node_up)`, 4)
	prom.awaitTrue(`brainer_nodes_evicted_total{reason=~"unreachable|no heartbeat"} >= 1`)
	prom.awaitValue(`min_over_time(brainer_nodes_in_sync[5m])`, 2)
	prom.awaitValue(`brainer_nodes_in_sync`, 4)
	prom.awaitTrue(`max_over_time(brainer_replay_phase{node="n5"}[5m]) >= 2`)
	prom.awaitTrue(`max_over_time(brainer_replay_keys_total{node="n5"}[5m]) > 100000`)
	prom.awaitTrue(`brainer_snapshots_total >= 2`)
	prom.awaitValue(`brainer_digest_mismatches_total`, 0)
	prom.awaitValue(`count(count_values("applied", brainer_node_applied_index{node!="n2"}))`, 1)
	prom.awaitTrue(`min(brainer_node_applied_index{node!="n2"}) == max(brainer_safe_index) and max(brainer_safe_index) == max(brainer_index)`)
	prom.awaitTrue(fmt.Sprintf(`brainer_commands_total{command="set",result="ok"} >= %d`, len(list)))
	prom.awaitValue(`brainer_commands_total{command="set",result="error"}`, 0)
	prom.awaitTrue(`brainer_write_duration_seconds_count{ack="all"} > 0 and brainer_write_duration_seconds_sum > 0`)
	prom.awaitTrue(`brainer_node_ack_duration_seconds_count{node="n4"} > 0`)
}

// joinInSight starts a node and stops it while it joins, until a scrape has seen that. The broker's --dead-after must be longer.
func joinInSight(t testing.TB, c *cluster, prom *prometheus, id string) {
	t.Helper()
	for range 20 {
		p := c.startNode(id)
		joining := func() (bool, op.NodeStatus) {
			s, err := c.status()
			must(t, err)
			n := nodeOf(s, id)
			return n.Join != nil && n.Join.Phase == "snapshot" && n.Join.KeysTotal > 0, n
		}
		for deadline := time.Now().Add(patience); time.Now().Before(deadline); { // without a rest between the looks
			if caught, n := joining(); caught {
				p.pause()
				break
			} else if n.InSync {
				break
			}
		}
		if caught, _ := joining(); caught { // it stays so
			prom.awaitTrue(fmt.Sprintf(`brainer_replay_phase{node=%q} >= 2 and brainer_replay_keys_total{node=%q} > 0`, id, id))
			p.resume()
			return
		}
		p.kill() // too fast to be stopped: once more, empty
		c.awaitStatus(id+" is out", func(s op.Status) bool { return !nodeOf(s, id).InSync })
	}
	t.Fatalf("%s joined 20 times and could not be stopped meanwhile", id)
}
