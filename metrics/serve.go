package metrics

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/http/pprof"
	"strings"
	"syscall"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"
	"github.com/prometheus/exporter-toolkit/web"
)

// drainFor is how long requests that are being answered may take once the server stops.
const drainFor = 2 * time.Second

// Server answers /metrics, /healthz (the process is alive) and /readyz.
type Server struct {
	listener net.Listener
	mux      *http.ServeMux
	http     http.Server

	webConfig string // "": plain HTTP for everybody
	log       *slog.Logger
}

// Listen takes addr (host:port) for Serve. ready returns why clients cannot be served now, or nil;
// it is called from any goroutine. An error is one line and names the flag.
func Listen(addr string, metrics http.Handler, ready func() error) (*Server, error) {
	l, err := net.Listen("tcp", addr)
	switch {
	case errors.Is(err, syscall.EADDRINUSE):
		return nil, fmt.Errorf("--metrics %s: another process has this address; choose a free one or --metrics '' for none", addr)
	case err != nil:
		return nil, fmt.Errorf("--metrics %s: %w", addr, err)
	}
	mux := http.NewServeMux()
	mux.Handle("GET /metrics", metrics)
	mux.HandleFunc("GET /healthz", func(w http.ResponseWriter, _ *http.Request) { fmt.Fprintln(w, "ok") })
	mux.HandleFunc("GET /readyz", func(w http.ResponseWriter, _ *http.Request) {
		if err := ready(); err != nil {
			http.Error(w, err.Error(), http.StatusServiceUnavailable)
			return
		}
		fmt.Fprintln(w, "ready")
	})
	return &Server{listener: l, mux: mux, http: http.Server{
		Handler:           mux,
		ReadHeaderTimeout: 5 * time.Second,
		ReadTimeout:       10 * time.Second,
		WriteTimeout:      30 * time.Second,
		IdleTimeout:       2 * time.Minute,
		MaxHeaderBytes:    16 << 10,
	}}, nil
}

// Profiles adds Go's profiles at /debug/pprof/. It is called before Serve, and lifts the bound on
// how long an answer takes: a profile takes as long as it is asked for.
func (s *Server) Profiles() {
	s.http.WriteTimeout = 0
	s.mux.HandleFunc("GET /debug/pprof/", pprof.Index)
	s.mux.HandleFunc("GET /debug/pprof/profile", pprof.Profile)
	s.mux.HandleFunc("GET /debug/pprof/trace", pprof.Trace)
	s.mux.HandleFunc("GET /debug/pprof/symbol", pprof.Symbol)
}

// Secure has all pages behind TLS, client certificates or basic authentication as file says, in the
// form that Prometheus and its exporters share
// (https://prometheus.io/docs/prometheus/latest/configuration/https/). It is called before Serve. The
// file is read again for each connection, so certificates and passwords can be replaced.
func (s *Server) Secure(file string, log *slog.Logger) error {
	if file == "" {
		return nil
	}
	if err := web.Validate(file); err != nil {
		return fmt.Errorf("--web.config.file %s: %s", file, strings.Join(strings.Fields(err.Error()), " "))
	}
	s.webConfig, s.log = file, log.With("part", "metrics")
	s.http.ErrorLog = slog.NewLogLogger(s.log.Handler(), slog.LevelDebug) // a stranger's handshakes fill no log
	return nil
}

// Close gives the address free when Serve is not called after all.
func (s *Server) Close() { s.listener.Close() }

// Addr is where it listens (the port that the system chose for host:0).
func (s *Server) Addr() string { return s.listener.Addr().String() }

// Serve answers until ctx ends, then lets what is being answered finish. It returns nil after ctx
// ended; the listener is closed in any case.
func (s *Server) Serve(ctx context.Context) error {
	stopped := make(chan struct{})
	stop := context.AfterFunc(ctx, func() {
		defer close(stopped)
		drain, cancel := context.WithTimeout(context.WithoutCancel(ctx), drainFor)
		defer cancel()
		if s.http.Shutdown(drain) != nil {
			s.http.Close()
		}
	})
	err := s.answer()
	if stop() { // ctx has not ended: the server failed
		return fmt.Errorf("--metrics %s: %w", s.Addr(), err)
	}
	<-stopped
	return nil
}

func (s *Server) answer() error {
	if s.webConfig == "" {
		return s.http.Serve(s.listener)
	}
	return web.Serve(s.listener, &s.http, &web.FlagConfig{WebConfigFile: &s.webConfig}, s.log)
}

// handler is /metrics over the collectors, the Go runtime and the process.
func handler(cs ...prometheus.Collector) http.Handler {
	reg := prometheus.NewRegistry()
	reg.MustRegister(cs...)
	reg.MustRegister(collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	return promhttp.HandlerFor(reg, promhttp.HandlerOpts{MaxRequestsInFlight: 8})
}
