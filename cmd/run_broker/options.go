package main

import (
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/pflag"

	"brainer/broker"
	"brainer/broker/replication"
	"brainer/internal/command"
	"brainer/internal/daemon"
	"brainer/internal/eviction"
	"brainer/internal/op"
	"brainer/internal/saver"
	"brainer/server"
)

// options are the flags, as they were given.
type options struct {
	debug     bool
	logFormat string
	pprof     bool

	broker   string
	links    daemon.Links
	listen   string
	metrics  string
	web      string
	stateDir string
	embedded bool
	disk     daemon.Disk // of the embedded node

	snapshotDir   string
	snapshotEvery time.Duration
	snapshotKeep  int

	ack       string
	minInSync int
	idKeep    time.Duration

	requirePass     string
	protectedMode   yesNo
	tlsListen       string
	tls             server.TLSFiles
	maxClients      int
	timeout         time.Duration
	writeTimeout    time.Duration
	protoMaxBulkLen int64
	queryBufferMax  int64
	maxInflight     int64

	windowBytes  int64
	window       time.Duration
	suspectAfter time.Duration
	deadAfter    time.Duration
	holdOffMax   time.Duration
	hedgeReads   string
	nearCache    int64
	maxMemory    string
	memoryPolicy string
	hotReads     int64
	verifyEvery  time.Duration
	joinFloor    int64
	busyLimit    time.Duration
	ackTimeout   time.Duration
	drainTimeout time.Duration
	ioThreads    int
}

func (o *options) flags(f *pflag.FlagSet) {
	d := replication.DefaultConfig()
	ms := func(n int64) time.Duration { return time.Duration(n) * time.Millisecond }
	f.BoolVar(&o.debug, "debug", false, "log every step")
	f.StringVar(&o.logFormat, "log-format", "text", "text or json")
	f.BoolVar(&o.pprof, "pprof", false, "serve Go profiles at /debug/pprof of the metrics address")
	f.StringVar(&o.broker, "broker", "ipc:///tmp/broker.sock", "ZeroMQ `endpoint` for nodes and ZeroMQ clients: ipc, tcp or inproc")
	o.links.BoundFlags(f)
	f.StringVar(&o.listen, "listen", "127.0.0.1:6379", "`address` for Redis clients; empty: none")
	f.StringVar(&o.tlsListen, "tls-listen", "", "`address` for Redis clients that speak TLS; empty: none")
	f.StringVar(&o.tls.CertFile, "tls-cert-file", "", "PEM `file` of the server's certificate and those that lead to its authority; read again when it is replaced")
	f.StringVar(&o.tls.KeyFile, "tls-key-file", "", "PEM `file` of the certificate's key")
	f.StringVar(&o.tls.CACertFile, "tls-ca-cert-file", "", "PEM `file` of the authorities that client certificates must come from")
	f.StringVar(&o.tls.AuthClients, "tls-auth-clients", "yes", "whether TLS clients must show a certificate: yes, no or optional")
	o.protectedMode = true
	f.Var(&o.protectedMode, "protected-mode", "without --requirepass serve Redis clients of this machine only: yes or no")
	f.StringVar(&o.metrics, "metrics", "127.0.0.1:9621", "`address` of /metrics, /healthz and /readyz; empty: none")
	f.StringVar(&o.web, "web.config.file", "", daemon.WebConfigUsage)
	f.StringVar(&o.stateDir, "state-dir", "", "`directory` of the record of the in-sync set; default: $STATE_DIRECTORY, or /var/lib/brainer for root, or ~/.local/state/brainer")
	f.StringVar(&o.snapshotDir, "snapshot-dir", "", "`directory` in which snapshots are saved, by BGSAVE, SAVE and --snapshot-every; empty: BGSAVE and SAVE are for nodes with --storage disk alone")
	f.DurationVar(&o.snapshotEvery, "snapshot-every", 0, "save a snapshot once in so long; 0: only when BGSAVE or SAVE asks for it")
	f.IntVar(&o.snapshotKeep, "snapshot-keep", 7, "how many saved snapshots are kept; the oldest is removed when a new one is on disk")
	f.BoolVar(&o.embedded, "embedded", true, "run a node in this process")
	o.disk.Flags(f)
	f.StringVar(&o.ack, "ack", "all", "when a write is acknowledged: applied by `all` in-sync nodes, by the key's primary, or by a number of nodes")
	f.IntVar(&o.minInSync, "min-in-sync", d.MinInSync, "refuse writes with fewer in-sync nodes")
	f.DurationVar(&o.idKeep, "id-keep", ms(d.IDKeepMs), "how long the outcome of a write that came with BRAINER WITH ID is kept after it was last asked for")
	f.StringVar(&o.requirePass, "requirepass", "", "the password that clients give with AUTH")
	f.IntVar(&o.maxClients, "maxclients", 10000, "connections at most; lowered when descriptors are short")
	f.DurationVar(&o.timeout, "timeout", 0, "close a client that has been idle that long; 0: never")
	f.DurationVar(&o.writeTimeout, "write-timeout", 30*time.Second, "close a client that has not read its replies for that long")
	f.Int64Var(&o.protoMaxBulkLen, "proto-max-bulk-len", 512<<20, "`bytes` of one argument at most")
	f.Int64Var(&o.queryBufferMax, "client-query-buffer-limit", 1<<30, "`bytes` of one command at most")
	f.Int64Var(&o.maxInflight, "max-inflight", 64<<20, "`bytes` of requests under way at most; beyond it clients wait")
	f.Int64Var(&o.windowBytes, "window-bytes", byLimit, "`bytes` of the log window, from which a node that was away catches up; -1: 256 MB, or a quarter of --maxmemory where that is less, but 16 MB at least")
	f.DurationVar(&o.window, "window", ms(d.WindowMs), "how long entries stay in the log window; 0: no limit")
	f.DurationVar(&o.suspectAfter, "suspect-after", ms(d.SuspectMs), "a node silent for so long gets no reads")
	f.StringVar(&o.maxMemory, "maxmemory", "0", "`bytes` (1gb, 75% of what the container may take) of each node's data at which keys are evicted or writes refused; a node's own limit counts if it is smaller; 0: none")
	f.StringVar(&o.memoryPolicy, "maxmemory-policy", eviction.Default.Policy.String(), "what happens at the limit: "+strings.Join(eviction.Names(), ", "))
	f.Int64Var(&o.nearCache, "near-cache", byLimit, "`bytes` of replies to reads that the broker keeps, to answer them again without a node until their keys change; 0: none; -1: 64 MB, or a 16th of --maxmemory where that is less, but 1 MB at least")
	f.Int64Var(&o.hotReads, "hot-reads", d.HotReads, "reads a second from which on those of a key go to all in-sync nodes in turn, unless the near cache answers them; 0: never")
	f.StringVar(&o.hedgeReads, "hedge-reads", "off", "`pN`: a read that takes longer than N % of the recent ones is asked of a second node, too (one in 20 at most); off: none is")
	f.DurationVar(&o.verifyEvery, "verify-every", ms(d.VerifyEveryMs), "compare what the nodes hold, range by range, once in so long; 0: only when brainer-cli verify asks for it")
	f.Int64Var(&o.joinFloor, "join-floor", d.JoinFloorBytes, "`bytes` a second that joining nodes are sent together in any case; more while clients wait no longer than before")
	f.DurationVar(&o.deadAfter, "dead-after", ms(d.DeadMs), "a node silent or stalled for so long leaves the in-sync set")
	f.DurationVar(&o.holdOffMax, "hold-off-max", ms(d.HoldOffMaxMs), "a node that leaves the in-sync set again and again is kept out for 1s, 2s, 4s ... but no longer than this; 0: not at all")
	f.DurationVar(&o.busyLimit, "busy-limit", ms(d.BusyLimitMs), "how long one command may run before its node counts as stalled")
	f.DurationVar(&o.ackTimeout, "ack-timeout", ms(d.WriteTimeoutMs), "a write without outcome for so long is answered -UNCERTAIN, a read without answer -CLUSTERDOWN")
	f.DurationVar(&o.drainTimeout, "drain-timeout", 5*time.Second, "how long SIGTERM lets what is in flight be answered")
	f.IntVar(&o.ioThreads, "io-threads", 1, "ZeroMQ I/O threads")
}

// defaultStateDir is where the distribution's conventions put state: systemd's directory when it
// made one, the system's for root, the user's otherwise.
func defaultStateDir() string {
	if d := os.Getenv("STATE_DIRECTORY"); d != "" {
		return d
	}
	if os.Geteuid() == 0 {
		return "/var/lib/brainer"
	}
	if d := os.Getenv("XDG_STATE_HOME"); d != "" {
		return filepath.Join(d, "brainer")
	}
	if home, err := os.UserHomeDir(); err == nil {
		return filepath.Join(home, ".local", "state", "brainer")
	}
	return filepath.Join(os.TempDir(), "brainer-state")
}

// byLimit is what a flag says when the broker's own memory is to follow the limit of its nodes.
const byLimit = -1

// besides is what the broker takes for one purpose: what the flag says, or as much as usual, with a limit its share but a
// least amount.
func besides(flag, usual, share, least int64) int64 {
	switch {
	case flag != byLimit:
		return flag
	case share > 0:
		return min(usual, max(share, least))
	}
	return usual
}

// heapBytes is what the broker's own heap needs under load: window and near cache, requests under way and as much for
// replies, and room for what Go's collector has not come to yet.
func (o *options) heapBytes(c *replication.Config) int64 {
	return (c.WindowBytesMax+c.NearBytes)*3/2 + 2*o.maxInflight
}

// core turns the flags into the core's settings.
func (o *options) core() (replication.Config, error) {
	c := replication.DefaultConfig()
	ack, err := server.ParseAck(o.ack)
	if err != nil {
		return c, fmt.Errorf("--ack: %w", err)
	}
	c.Ack = ack
	if o.minInSync < 1 {
		return c, fmt.Errorf("--min-in-sync %d: at least 1", o.minInSync)
	}
	c.MinInSync = o.minInSync
	if c.Memory.LimitBytes, err = daemon.MemoryLimit(o.maxMemory); err != nil {
		return c, err
	}
	c.WindowBytesMax = besides(o.windowBytes, c.WindowBytesMax, c.Memory.LimitBytes/4, 16<<20)
	c.NearBytes = besides(o.nearCache, c.NearBytes, c.Memory.LimitBytes/16, 1<<20)
	c.WindowMs = o.window.Milliseconds()
	c.SuspectMs, c.DeadMs = o.suspectAfter.Milliseconds(), o.deadAfter.Milliseconds()
	if c.VerifyEveryMs = o.verifyEvery.Milliseconds(); c.VerifyEveryMs < 0 || o.verifyEvery > 0 && c.VerifyEveryMs < 1000 {
		return c, fmt.Errorf("--verify-every %s: at least 1s, or 0", o.verifyEvery)
	}
	c.HoldOffMaxMs, c.JoinFloorBytes = o.holdOffMax.Milliseconds(), o.joinFloor
	c.BusyLimitMs, c.WriteTimeoutMs, c.ReadTimeoutMs = o.busyLimit.Milliseconds(), o.ackTimeout.Milliseconds(), o.ackTimeout.Milliseconds()
	switch {
	case c.WindowBytesMax < 1<<20:
		return c, fmt.Errorf("--window-bytes %d: at least %d", c.WindowBytesMax, 1<<20)
	case c.JoinFloorBytes < 64<<10:
		return c, fmt.Errorf("--join-floor %d: at least %d", c.JoinFloorBytes, 64<<10)
	case c.SuspectMs < 2*c.HeartbeatMs:
		return c, fmt.Errorf("--suspect-after %s: at least %dms, twice the heartbeat", o.suspectAfter, 2*c.HeartbeatMs)
	case c.DeadMs < c.SuspectMs:
		return c, fmt.Errorf("--dead-after %s: not before --suspect-after %s", o.deadAfter, o.suspectAfter)
	case c.WriteTimeoutMs <= c.DeadMs:
		return c, fmt.Errorf("--ack-timeout %s: longer than --dead-after %s", o.ackTimeout, o.deadAfter)
	}
	if c.HedgePercentile, err = parseHedge(o.hedgeReads); err != nil {
		return c, fmt.Errorf("--hedge-reads %s: %w", o.hedgeReads, err)
	}
	if c.IDKeepMs = o.idKeep.Milliseconds(); c.IDKeepMs <= c.WriteTimeoutMs {
		return c, fmt.Errorf("--id-keep %s: longer than --ack-timeout %s", o.idKeep, o.ackTimeout)
	}
	if c.NearBytes < 0 || c.NearBytes > 0 && c.NearBytes < 64<<10 {
		return c, fmt.Errorf("--near-cache %d: at least %d, or 0", c.NearBytes, 64<<10)
	}
	if c.HotReads = o.hotReads; c.HotReads < 0 {
		return c, fmt.Errorf("--hot-reads %d: at least 0", c.HotReads)
	}
	if c.Memory.Policy, err = eviction.ParsePolicy(o.memoryPolicy); err != nil {
		return c, fmt.Errorf("--maxmemory-policy %s: %w", o.memoryPolicy, err)
	}
	c.Embedded, c.Unlink = o.embedded, command.Unlink
	return c, nil
}

// saver is who keeps snapshots.
func (o *options) saver(b *broker.Broker, log *slog.Logger) (*saver.Saver, error) {
	switch {
	case o.snapshotDir == "" && o.snapshotEvery > 0:
		return nil, errors.New("--snapshot-every needs --snapshot-dir")
	case o.snapshotEvery < 0 || o.snapshotEvery > 0 && o.snapshotEvery < time.Second:
		return nil, fmt.Errorf("--snapshot-every %s: at least 1s, or 0", o.snapshotEvery)
	case o.snapshotKeep < 1:
		return nil, fmt.Errorf("--snapshot-keep %d: at least 1", o.snapshotKeep)
	}
	s, err := saver.New(saver.Config{Dir: o.snapshotDir, Every: o.snapshotEvery, Keep: o.snapshotKeep, Read: b.ReadSnapshot, Nodes: b.KeepSnapshots, Software: version, Log: log})
	if err != nil {
		return nil, fmt.Errorf("--snapshot-dir: %w", err)
	}
	return s, nil
}

// parseHedge reads off or a percentile: p95, p99.9.
func parseHedge(s string) (percentile float64, err error) {
	if s == "off" {
		return 0, nil
	}
	number, ok := strings.CutPrefix(s, "p")
	percentile, err = strconv.ParseFloat(number, 64)
	if !ok || err != nil || !(percentile >= 50 && percentile < 100) {
		return 0, errors.New("off, or a percentile from p50 to p99.99")
	}
	return percentile, nil
}

// defaults are what CONFIG SET changes while the broker runs; params says by which names.
type defaults interface {
	SetAck(op.Ack)
	SetMinInSync(int)
	Status() op.Status
}

func params(b defaults) []server.Param {
	return []server.Param{
		{Name: "ack", Get: func() string { return server.FormatAck(b.Status().Ack) }, Set: func(v string) error {
			a, err := server.ParseAck(v)
			if err == nil {
				b.SetAck(a)
			}
			return err
		}},
		{Name: "min-in-sync", Get: func() string { return fmt.Sprint(b.Status().MinInSync) }, Set: func(v string) error {
			var n int
			if _, err := fmt.Sscanf(strings.TrimSpace(v), "%d", &n); err != nil || n < 1 {
				return fmt.Errorf("%q is not a number of nodes", v)
			}
			b.SetMinInSync(n)
			return nil
		}},
	}
}
