package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"net"
	"net/http"
	"os"
	"strings"
	"time"

	"brainer/broker"
	"brainer/broker/replication"
	"brainer/internal/command"
	"brainer/internal/curve"
	"brainer/internal/daemon"
	"brainer/internal/link"
	"brainer/internal/link/inproc"
	"brainer/internal/link/zmq"
	"brainer/internal/link/zmtp"
	"brainer/internal/op"
	"brainer/internal/process"
	"brainer/metrics"
	"brainer/node"
	"brainer/node/replica"
	"brainer/server"
)

// run wires the broker, in start order, and takes it down in the reverse one.
func run(o *options) error {
	log, err := daemon.Logger(os.Stderr, o.logFormat, o.debug)
	if err != nil {
		return err
	}
	core, err := o.core()
	if err != nil {
		return err
	}
	if core.Memory.LimitBytes > 0 {
		process.LimitHeapTo(o.heapBytes(&core))
	}
	keys, err := o.keys(log)
	if err != nil {
		return err
	}
	core.BrokerRun, core.Rand = rand.Uint64(), rand.Uint64
	ctx, stopSignals := daemon.Signals(log)
	defer stopSignals()

	if o.stateDir == "" {
		o.stateDir = defaultStateDir()
	}

	store, err := broker.OpenFileStore(o.stateDir)
	if err != nil {
		return err
	}
	defer store.Close()
	libzmq, err := zmq.New(zmq.Options{IOThreads: o.ioThreads, Linger: daemon.Linger(), Curve: keys})
	if err != nil {
		return err
	}
	transport := inproc.Over(zmtp.Over(libzmq, zmtp.Options{Linger: daemon.Linger()}), embeddedEndpoint)
	defer transport.Close()
	doors, err := o.openDoors(log)
	if err != nil {
		return err
	}
	defer doors.close()

	table := command.NewTable()
	meter := metrics.NewBroker(names(table), replication.Reasons()...)
	meter.Refusals = refusals(keys)
	observer := newObserver(meter, table)
	b, err := broker.New(broker.Config{Core: core, Endpoint: o.broker, Transport: transport, Store: store, Log: log,
		Observer: observer, Inflight: o.maxInflight})
	if err != nil {
		return err
	}
	defer b.Close()
	snapshots, err := o.saver(b, log)
	if err != nil {
		return err
	}
	host, port := splitAddress(doors.plainAddr())
	_, tlsPort := splitAddress(doors.tlsAddr())
	meter.Saving = snapshots.Status
	front := server.New(b, server.Options{Table: table, Log: log, Observer: observer, Version: version, Saver: snapshots,
		Password: o.requirePass, Protected: bool(o.protectedMode), TLS: o.tls, TLSPort: tlsPort, MaxClients: o.maxClients, IdleTimeout: o.timeout, WriteTimeout: o.writeTimeout,
		BulkMax: o.protoMaxBulkLen, QueryBufferMax: o.queryBufferMax, Params: params(b), Bind: host, Port: port})
	b.SetServe(func(c net.Conn) { _ = front.ServeConn(c) })
	loop, err := front.NewLoop(b.Kick)
	if err != nil {
		return err
	}
	defer loop.Close()
	b.SetBeside(loop)

	var background tasks
	metricsAddr := ""
	embedded, err := newEmbedded(o, transport, table, log)
	if err != nil {
		return err
	}
	if embedded != nil {
		meter.Disk = embedded.Disk
	}
	if o.metrics != "" {
		page, err := o.metricsPage(meter.Handler(metrics.Build{Version: version, Revision: revision}, b.Status, frontEnd(front)), ready(b), log)
		if err != nil {
			return err
		}
		metricsAddr = page.Addr()
		background.start("metrics", page.Serve)
	}
	brokerFailed := background.start("broker", b.Run)
	background.start("snapshots", snapshots.Run)
	embeddedDone, embeddedFailed := maybeEmbedded(embedded, log)
	doors.open(front, log)
	log.Info("broker starts", "version", version, "listen", doors.plainAddr(), "tls_listen", doors.tlsAddr(), "broker", b.Endpoint(),
		"metrics", metricsAddr, "state_dir", o.stateDir, "embedded", o.embedded, "ack", o.ack)

	select {
	case err = <-brokerFailed:
		go loop.Alone(ctx) // who worked for it has gone, and its clients are still to be told
	case err = <-embeddedFailed:
	case <-ctx.Done():
	}
	// Down: answer what is in flight, let the embedded node go, then the rest.
	drain, cancel := context.WithTimeout(context.Background(), o.drainTimeout)
	defer cancel()
	if e := front.Shutdown(drain); e != nil && err == nil {
		log.Warn("some clients were cut off", "err", e)
	}
	embeddedDone()
	background.stop()
	log.Info("broker stopped")
	return err
}

// keys is who may use the --broker endpoint, nil where it needs no keys.
func (o *options) keys(log *slog.Logger) (*curve.Config, error) {
	keys, err := o.links.Config(log)
	if err != nil {
		return nil, err
	}
	if err := o.links.CheckBound("--broker", o.broker, keys); err != nil {
		return nil, err
	}
	if keys != nil {
		keys.Admit = broker.Admit
	}
	return keys, nil
}

// metricsPage opens the --metrics address.
func (o *options) metricsPage(handler http.Handler, ready func() error, log *slog.Logger) (*metrics.Server, error) {
	page, err := metrics.Listen(o.metrics, handler, ready)
	if err != nil {
		return nil, err
	}
	if err := page.Secure(o.web, log); err != nil {
		page.Close()
		return nil, err
	}
	if o.pprof {
		page.Profiles()
	}
	return page, nil
}

// tasks are the goroutines that run until they are stopped.
type tasks struct{ stops []func() }

func (t *tasks) start(name string, run func(context.Context) error) (failed <-chan error) {
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	finished := make(chan struct{})
	go func() {
		defer close(finished)
		if err := run(ctx); err != nil {
			done <- fmt.Errorf("%s: %w", name, err)
		}
	}()
	t.stops = append(t.stops, func() { cancel(); <-finished })
	return done
}

// stop ends them, the last one first.
func (t *tasks) stop() {
	for i := len(t.stops) - 1; i >= 0; i-- {
		t.stops[i]()
	}
	t.stops = nil
}

// embeddedEndpoint is where the node in this process dials. The broker's owner goroutine works for it, too, and looks
// after clients and other nodes when it had its share.
const (
	embeddedEndpoint = "inproc://brainer"
	embeddedShare    = 5 * time.Millisecond
)

// newEmbedded makes the node in this process; nil when there is to be none.
func newEmbedded(o *options, transport link.Transport, table *command.Table, log *slog.Logger) (*node.Node, error) {
	if !o.embedded {
		return nil, nil
	}
	log = log.With("node", "embedded")
	cfg := replica.DefaultConfig()
	cfg.NodeID, cfg.Embedded, cfg.Table = "embedded", true, table
	cfg.Incarnation, cfg.Rand, cfg.Software = rand.Uint64(), rand.Uint64, version
	c := node.Config{Replica: cfg, Broker: embeddedEndpoint, Transport: transport, Log: log, Share: embeddedShare}
	if err := o.disk.Configure(&c, log); err != nil {
		return nil, err
	}
	return node.New(c)
}

// maybeEmbedded starts the node in this process; the function it returns lets it say goodbye when
// others hold the data, and else just ends it.
func maybeEmbedded(n *node.Node, log *slog.Logger) (stop func(), failed <-chan error) {
	if n == nil {
		return func() {}, nil
	}
	alone := &tasks{}
	alone.start("loading", func(ctx context.Context) error {
		daemon.ShowLoading(ctx, log, n.Loading)
		return nil
	})
	failed = alone.start("embedded node", n.Run)
	return alone.stop, failed
}

func ready(b *broker.Broker) func() error {
	return func() error {
		s := b.Status()
		if s.State == "active" {
			return nil
		}
		return errors.New(strings.TrimSpace(s.State + " " + s.Detail))
	}
}

func frontEnd(s *server.Server) func() metrics.FrontEnd {
	return func() metrics.FrontEnd {
		c := s.Counters()
		return metrics.FrontEnd{Connected: s.Connected(), Connections: c.Connections, RejectedConnections: c.RejectedConnections,
			ClosedForOutput: c.ClosedForOutput, InputBytes: c.InputBytes, OutputBytes: c.OutputBytes, Panics: c.Panics,
			AuthFailures: c.AuthFailures, AuthLimited: c.AuthLimited, TLSFailures: c.TLSFailures,
			PubSubChannels: c.PubSubChannels, PubSubPatterns: c.PubSubPatterns}
	}
}

// refusals are what the ZeroMQ endpoint turned away, by reason; nil without keys.
func refusals(keys *curve.Config) func(visit func(reason string, n uint64)) {
	if keys == nil {
		return nil
	}
	return func(visit func(string, uint64)) {
		for _, why := range curve.Reasons() {
			visit(why.String(), keys.Refusals.Count(why))
		}
	}
}

func names(t *command.Table) []string {
	var ns []string
	for _, c := range t.All() {
		ns = append(ns, c.Name)
	}
	return ns
}

// observer passes what the front end and the broker measure on to the metrics.
type observer struct {
	commands map[*command.Command]*metrics.Command
	unknown  *metrics.Command
	meter    *metrics.Broker
	nodes    map[string]*metrics.Histogram // the broker's owner goroutine only
}

func newObserver(m *metrics.Broker, t *command.Table) *observer {
	o := &observer{commands: map[*command.Command]*metrics.Command{}, unknown: m.Commands.For(metrics.UnknownCommand),
		meter: m, nodes: map[string]*metrics.Histogram{}}
	for _, c := range t.All() {
		o.commands[c] = m.Commands.For(c.Name)
		for _, sub := range c.Sub {
			o.commands[sub] = o.commands[c]
		}
	}
	return o
}

func (o *observer) Observe(c *command.Command, answered, failed int, seconds float64) {
	m := o.commands[c]
	if m == nil {
		m = o.unknown
	}
	m.Observe(answered-failed, failed, time.Duration(seconds*1e9))
}

func (o *observer) WriteAcked(ack op.Ack, seconds float64) {
	o.meter.Writes.For(ack).Observe(time.Duration(seconds*1e9), 1)
}

func (o *observer) NodeAcked(node string, seconds float64) {
	h := o.nodes[node]
	if h == nil {
		h = o.meter.NodeAcks.For(node)
		o.nodes[node] = h
	}
	h.Observe(time.Duration(seconds*1e9), 1)
}
