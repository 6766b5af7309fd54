// Command run_node holds one full copy of the data. It dials the broker, catches up and serves.
package main

import (
	"context"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"os"
	"runtime"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"brainer/internal/command"
	"brainer/internal/config"
	"brainer/internal/curve"
	"brainer/internal/daemon"
	"brainer/internal/link/zmq"
	"brainer/internal/link/zmtp"
	"brainer/internal/process"
	"brainer/metrics"
	"brainer/node"
	"brainer/node/replica"
)

// Set by the build.
var version, revision string

func main() {
	version, revision = daemon.Version(version, revision)
	if err := newCommand().Execute(); err != nil {
		fmt.Fprintln(os.Stderr, "run_node:", err)
		os.Exit(1)
	}
}

// options are the flags, as they were given.
type options struct {
	debug     bool
	logFormat string
	endpoint  string
	broker    string
	links     daemon.Links
	id        string
	disk      daemon.Disk
	metrics   string
	maxMemory string
	web       string
	ioThreads int
}

func (o *options) flags(f *pflag.FlagSet) {
	f.BoolVar(&o.debug, "debug", false, "log every step")
	f.StringVar(&o.logFormat, "log-format", "text", "text or json")
	f.StringVar(&o.endpoint, "node-endpoint", "", "this node's own ZeroMQ `endpoint`, where brainer-cli reads its copy: ipc, tcp or inproc")
	f.StringVar(&o.broker, "broker", "ipc:///tmp/broker.sock", "the broker's ZeroMQ `endpoint`")
	o.links.BoundFlags(f)
	o.links.DialFlags(f)
	f.StringVar(&o.id, "id", "", "the node's `name`, the same after a restart; default: host name and endpoint")
	f.StringVar(&o.maxMemory, "maxmemory", "0", "`bytes` (1gb, 75% of what the container may take) of this process at which keys are evicted or writes refused, as the broker's policy says; the smallest limit of all nodes counts; 0: none")
	o.disk.Flags(f)
	f.StringVar(&o.metrics, "metrics", "", "`address` of /metrics, /healthz and /readyz; empty: none")
	f.StringVar(&o.web, "web.config.file", "", daemon.WebConfigUsage)
	f.IntVar(&o.ioThreads, "io-threads", 1, "ZeroMQ I/O threads")
}

func newCommand() *cobra.Command {
	var o options
	cmd := &cobra.Command{
		Use:           "run_node",
		Short:         "Hold one full copy of the data",
		Long:          "run_node holds one full copy of the data. It dials the broker, catches up with the others while they\ngo on serving, and then answers the reads of its share of the keys.",
		Args:          cobra.NoArgs,
		Version:       version,
		SilenceUsage:  true,
		SilenceErrors: true,
		RunE:          func(*cobra.Command, []string) error { return run(&o) },
	}
	cmd.SetVersionTemplate(daemon.VersionLine("run_node", version, revision))
	o.flags(cmd.Flags())
	config.Bind(cmd)
	return cmd
}

// run wires the node, in start order, and takes it down in the reverse one.
func run(o *options) error {
	if o.endpoint == "" {
		return fmt.Errorf("--node-endpoint is missing: for example ipc:///tmp/node1.sock")
	}
	if os.Getenv("GOMAXPROCS") == "" {
		runtime.GOMAXPROCS(2) // one goroutine does the work
	}
	log, err := daemon.Logger(os.Stderr, o.logFormat, o.debug)
	if err != nil {
		return err
	}
	keys, err := o.links.Config(log)
	if err != nil {
		return err
	}
	err = o.links.CheckDialled("--broker", o.broker, keys)
	if err == nil {
		err = o.links.CheckBound("--node-endpoint", o.endpoint, keys)
	}
	if err != nil {
		return err
	}
	if keys != nil {
		keys.Admit = func(from curve.Caller, _ []byte) bool { return from.Client }
	}
	ctx, stopSignals := daemon.Signals(log)
	defer stopSignals()
	libzmq, err := zmq.New(zmq.Options{IOThreads: o.ioThreads, Linger: daemon.Linger(), Curve: keys})
	if err != nil {
		return err
	}
	transport := zmtp.Over(libzmq, zmtp.Options{Linger: daemon.Linger()})
	defer transport.Close()

	limit, err := daemon.MemoryLimit(o.maxMemory)
	if err != nil {
		return err
	}
	cfg := replica.DefaultConfig()
	cfg.LimitBytes = limit
	cfg.NodeID, cfg.Endpoint, cfg.Table = o.nodeID(), o.endpoint, command.NewTable()
	cfg.Incarnation, cfg.Rand, cfg.Software = rand.Uint64(), rand.Uint64, version
	nodeCfg := node.Config{Replica: cfg, Broker: o.broker, Transport: transport, Log: log, OnLimit: process.LimitHeap}
	if err := o.disk.Configure(&nodeCfg, log); err != nil {
		return err
	}
	n, err := node.New(nodeCfg)
	if err != nil {
		return err
	}
	defer n.Close()
	metricsAddr, stopMetrics, err := o.serveMetrics(n, log)
	if err != nil {
		return err
	}
	defer stopMetrics()
	log.Info("node starts", "version", version, "node", cfg.NodeID, "endpoint", n.Endpoint(), "broker", o.broker, "metrics", metricsAddr)
	go daemon.ShowLoading(ctx, log, n.Loading)
	err = n.Run(ctx)
	log.Info("node stopped")
	return err
}

func (o *options) nodeID() string {
	if o.id != "" {
		return o.id
	}
	host, err := os.Hostname()
	if err != nil {
		host = "localhost"
	}
	return host + ":" + o.endpoint
}

func (o *options) serveMetrics(n *node.Node, log *slog.Logger) (addr string, stop func(), err error) {
	if o.metrics == "" {
		return "", func() {}, nil
	}
	handler := metrics.NodeHandler(metrics.Build{Version: version, Revision: revision}, n.Metrics)
	page, err := metrics.Listen(o.metrics, handler, n.Ready)
	if err != nil {
		return "", nil, err
	}
	if err := page.Secure(o.web, log); err != nil {
		page.Close()
		return "", nil, err
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() {
		defer close(done)
		if err := page.Serve(ctx); err != nil {
			log.Error("metrics", "err", err)
		}
	}()
	return page.Addr(), func() { cancel(); <-done }, nil
}
