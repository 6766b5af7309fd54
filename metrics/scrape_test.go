package metrics

import (
	"net/http/httptest"
	"os/exec"
	"slices"
	"strings"
	"testing"
	"time"

	"brainer/internal/op"
)

// busy is a broker's state in which every metric has a series: one node live, one joining, one gone.
func busy() op.Status {
	return op.Status{
		State: "active", Leader: true, Epoch: 3, ViewNo: 9, Index: 1200, Safe: 1190, MinInSync: 1,
		WindowEntries: 1000, WindowBytes: 1 << 20, WindowSeconds: 12.5,
		PendingWrites: 10, PendingReads: 4, InflightBytes: 4096,
		Resends: 2, ReadsRerouted: 5, ReadsHedged: 4, ReadsHedgedWon: 3, HedgeAfter: 0.002,
		Verify: op.Verify{Passes: 8, EqualMs: 1_700_000_000_000, TotalRanges: 90, TotalDiffered: 1}, DigestMismatches: 1, ResumesTotal: 6, SnapshotsTotal: 7,
		Memory:       op.Memory{EvictedBy: map[string]uint64{"allkeys-lru": 3}},
		NodesEvicted: map[string]uint64{"heartbeat": 2, "disconnected": 1},
		Nodes: []op.NodeStatus{
			{ID: "n1", State: "live", Up: true, InSync: true, Software: "v1.2.3", Protocol: 4, HeartbeatAge: 0.05, Applied: 1195, LagEntries: 5, LagSeconds: 0.001, InflightBytes: 900, Keys: 77, UsedMemory: 7000, IDs: 5, IDsAnswered: 6},
			{ID: "n2", State: "loading", Up: true, Join: &op.JoinStatus{Phase: "snapshot", Donor: "n1",
				KeysDone: 10, KeysTotal: 77, BytesDone: 1000, BytesTotal: 7700, EntriesBehind: 30, EtaSeconds: 1.5,
				BytesPerSecond: 3_000_000, PacedTo: 4_000_000, WritesPaced: true}},
			{ID: "n3", State: "down", HeartbeatAge: 60},
		},
	}
}

func busyBroker() *Broker {
	b := NewBroker([]string{"get", "set", "object|encoding"}, "heartbeat", "stalled")
	b.Commands.For("get").Observe(15, 1, 300*time.Microsecond)
	b.Commands.For("made-up-by-a-client").Observe(0, 1, time.Microsecond)
	for _, ack := range []op.Ack{op.AckAll, 2, 3} {
		b.Writes.For(ack).Observe(time.Millisecond, 1)
	}
	b.NodeAcks.For("n1").Observe(time.Millisecond, 1)
	b.Saving = func() op.Saving {
		return op.Saving{Configured: true, EverySeconds: 3600, LastMs: 1_700_000_000_500, TookMs: 1500, LastBytes: 10, LastKeys: 3, Saved: 4, Failures: 1}
	}
	b.Disk = busyDisk
	b.Refusals = func(visit func(string, uint64)) { visit("unknown_key", 7) }
	return b
}

func busyFrontEnd() FrontEnd {
	return FrontEnd{Connected: 3, Connections: 9, RejectedConnections: 2, ClosedForOutput: 1, InputBytes: 100,
		OutputBytes: 200, PubSubChannels: 4, PubSubPatterns: 5}
}

func busyDisk() *Disk {
	return &Disk{Stopped: true, LogBytes: 1, SnapshotBytes: 2, WaitingBytes: 3, Syncs: 4, SyncSeconds: 5, Errors: 6, Snapshots: 7, LoadDone: 8, LoadTotal: 9}
}

func busyNode() NodeStatus {
	return NodeStatus{ID: "n1", Session: "loading", Sessions: 2, Epoch: 3, Applied: 5, EntriesApplied: 6, Reads: 7,
		CommandPanics: 1, BusySeconds: 0.5, Keys: 8, UsedMemory: 9, IDs: 3, IDsAnswered: 4, Disk: busyDisk(), LoadKeysDone: 1, LoadKeysTotal: 2, LoadBytesDone: 3}
}

func scrapeBroker(t testing.TB, b *Broker, s op.Status) string {
	t.Helper()
	rec := httptest.NewRecorder()
	b.Handler(Build{"v1.2.3", "abc"}, func() op.Status { return s }, busyFrontEnd).ServeHTTP(rec, httptest.NewRequest("GET", "/metrics", nil))
	if rec.Code != 200 {
		t.Fatalf("%d: %s", rec.Code, rec.Body)
	}
	return rec.Body.String()
}

func scrapeNode(t *testing.T) string {
	t.Helper()
	rec := httptest.NewRecorder()
	NodeHandler(Build{"v1.2.3", "abc"}, busyNode).ServeHTTP(rec, httptest.NewRequest("GET", "/metrics", nil))
	if rec.Code != 200 {
		t.Fatalf("%d: %s", rec.Code, rec.Body)
	}
	return rec.Body.String()
}

func TestPromtoolHasNoComplaint(t *testing.T) {
	for name, scrape := range map[string]string{"broker": scrapeBroker(t, busyBroker(), busy()), "node": scrapeNode(t)} {
		t.Run(name, func(t *testing.T) {
			cmd := exec.Command("promtool", "check", "metrics")
			cmd.Stdin = strings.NewReader(scrape)
			if out, err := cmd.CombinedOutput(); err != nil || len(out) > 0 {
				t.Errorf("promtool check metrics (make deps-test installs it): %v\n%s", err, out)
			}
		})
	}
}

// What is exported and what the catalogue lists are the same names, with the same types.
func TestCatalogueIsWhatIsExported(t *testing.T) {
	broker, node := Catalogue()
	for _, c := range []struct {
		scrape string
		all    []Metric
	}{{scrapeBroker(t, busyBroker(), busy()), broker}, {scrapeNode(t), node}} {
		var want, got []string
		for _, m := range c.all {
			want = append(want, m.Name+" "+m.Type)
		}
		for line := range strings.Lines(c.scrape) {
			if rest, ok := strings.CutPrefix(strings.TrimSpace(line), "# TYPE "); ok && !strings.HasPrefix(rest, "go_") && !strings.HasPrefix(rest, "process_") {
				got = append(got, rest)
			}
		}
		slices.Sort(want)
		slices.Sort(got)
		if !slices.Equal(got, want) {
			t.Errorf("exported %q\ncatalogue %q", got, want)
		}
	}
}

func TestScrapeShowsTheStatus(t *testing.T) {
	scrape := scrapeBroker(t, busyBroker(), busy())
	for _, line := range []string{
		`brainer_broker_state{state="active"} 1`,
		`brainer_broker_state{state="down"} 0`,
		`brainer_nodes_in_sync 1`,
		`brainer_safe_index 1190`,
		`brainer_nodes_evicted_total{reason="heartbeat"} 2`,
		`brainer_nodes_evicted_total{reason="stalled"} 0`,
		`brainer_node_up{node="n1"} 1`,
		`brainer_node_up{node="n3"} 0`,
		`brainer_node_state{node="n2",state="loading"} 1`,
		`brainer_node_state{node="n2",state="live"} 0`,
		`brainer_node_heartbeat_age_seconds{node="n1"} 0.05`,
		`brainer_node_lag_entries{node="n1"} 5`,
		`brainer_replay_phase{node="n1"} 0`,
		`brainer_replay_phase{node="n2"} 2`,
		`brainer_replay_keys_total{node="n2"} 77`,
		`brainer_replay_eta_seconds{node="n2"} 1.5`,
		`brainer_commands_total{command="get",result="ok"} 15`,
		`brainer_commands_total{command="get",result="error"} 1`,
		`brainer_command_duration_seconds_bucket{command="get",le="0.00025"} 0`,
		`brainer_command_duration_seconds_bucket{command="get",le="0.0005"} 16`,
		`brainer_command_duration_seconds_count{command="get"} 16`,
		`brainer_command_duration_seconds_sum{command="get"} 0.0048`,
		`brainer_write_duration_seconds_bucket{ack="all",le="0.001"} 1`,
		`brainer_write_duration_seconds_count{ack="number"} 2`,
		`brainer_node_ack_duration_seconds_count{node="n1"} 1`,
		`brainer_connected_clients 3`,
		`brainer_snapshot_every_seconds 3600`,
		`brainer_snapshot_last_success_timestamp_seconds 1.7000000005e+09`,
		`brainer_snapshot_last_duration_seconds 1.5`,
		`brainer_snapshot_failures_total 1`,
		`brainer_rejected_connections_total 2`,
		`brainer_build_info{goversion="go1.`,
	} {
		if !strings.Contains(scrape, "\n"+line) {
			t.Errorf("missing: %s", line)
		}
	}
	for _, absent := range []string{
		"made-up-by-a-client",                // R25: clients do not make series
		`command="set"`,                      // nobody called it
		`brainer_replay_keys_done{node="n1"`, // it does not join
	} {
		if strings.Contains(scrape, absent) {
			t.Errorf("not expected: %s", absent)
		}
	}
}

func TestUnknownEtaIsAbsent(t *testing.T) {
	s := busy()
	s.Nodes[1].Join.EtaSeconds = -1
	if strings.Contains(scrapeBroker(t, busyBroker(), s), "\nbrainer_replay_eta_seconds") {
		t.Error("brainer_replay_eta_seconds although it cannot be told")
	}
}

func TestForgottenNodeHasNoSeries(t *testing.T) {
	b, s := busyBroker(), busy()
	b.NodeAcks.For("n3").Observe(time.Second, 1)
	if !strings.Contains(scrapeBroker(t, b, s), `node="n3"`) {
		t.Fatal("n3 has no series before it is forgotten")
	}
	s.Nodes = s.Nodes[:2]
	if strings.Contains(scrapeBroker(t, b, s), `node="n3"`) {
		t.Error("n3 has series although it is forgotten")
	}
}
