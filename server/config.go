package server

import (
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"

	"brainer/internal/command"
	"brainer/internal/process"
	"brainer/resp"
)

// Param is one parameter of CONFIG GET and SET. Both functions may be called by many goroutines.
type Param struct {
	Name string
	Get  func() string
	Set  func(value string) error // its error is shown to the client; nil: it cannot be set
}

type params struct {
	byName map[string]Param
	names  []string // sorted
	mu     *sync.Mutex
}

func configHandlers() map[string]handler {
	return map[string]handler{
		"config|get":       {run: configGet},
		"config|set":       {run: configSet},
		"config|resetstat": {run: configResetStat},
		"config|rewrite":   {run: configRewrite},
		"config|help":      {run: help(configHelp)},
	}
}

func (s *Server) newParams(more []Param) params {
	st := &s.settings
	all := []Param{
		s.maxClientsParam(),
		number("timeout", &st.idleTimeoutS, 0, 1<<31-1),
		number("tcp-keepalive", &st.keepAliveS, 0, 1<<31-1),
		number("write-timeout-ms", &st.writeTimeoutMs, 1, 1<<40),
		number("partial-timeout-ms", &st.partialTimeoutMs, 1, 1<<40),
		memory("proto-max-bulk-len", &st.bulkMax, 1<<20),
		memory("client-query-buffer-limit", &st.queryBufferMax, 1<<20),
		{
			Name: "requirepass",
			Get:  func() string { return *st.password.Load() },
			Set:  func(v string) error { st.password.Store(&v); return nil },
		},
		yesNo("protected-mode", &st.protectedMode),
		{Name: "client-output-buffer-limit", Get: st.outputLimits, Set: st.setOutputLimits},
		fixed("databases", strconv.Itoa(command.Databases)),
		fixed("port", strconv.Itoa(s.opts.Port)),
		fixed("bind", s.opts.Bind),
		fixed("tls-port", strconv.Itoa(s.opts.TLSPort)),
		fixed("tls-cert-file", s.opts.TLS.CertFile),
		fixed("tls-key-file", s.opts.TLS.KeyFile),
		fixed("tls-ca-cert-file", s.opts.TLS.CACertFile),
		fixed("tls-auth-clients", s.opts.TLS.AuthClients),
		fixed("save", ""),
		fixed("appendonly", "no"),
		fixed("cluster-enabled", "no"),
		fixed("proto-inline-max-size", "65536"),
	}
	byName := map[string]Param{}
	all = append(all, memoryParams(s.backend)...)
	for _, p := range append(all, more...) { // the caller's win
		byName[p.Name] = p
	}
	names := make([]string, 0, len(byName))
	for name := range byName {
		names = append(names, name)
	}
	slices.Sort(names)
	return params{byName: byName, names: names, mu: &sync.Mutex{}}
}

func fixed(name, value string) Param { return Param{Name: name, Get: func() string { return value }} }

func yesNo(name string, at *atomic.Bool) Param {
	return Param{
		Name: name,
		Get: func() string {
			if at.Load() {
				return "yes"
			}
			return "no"
		},
		Set: func(v string) error {
			yes := strings.EqualFold(v, "yes")
			if !yes && !strings.EqualFold(v, "no") {
				return errYesNo
			}
			at.Store(yes)
			return nil
		},
	}
}

func number(name string, at *atomic.Int64, least, most int64) Param {
	return Param{
		Name: name,
		Get:  func() string { return strconv.FormatInt(at.Load(), 10) },
		Set: func(v string) error {
			n, err := strconv.ParseInt(v, 10, 64)
			if err != nil {
				return errNotInteger
			}
			if n < least || n > most {
				return errBetween(least, most)
			}
			at.Store(n)
			return nil
		},
	}
}

// maxClientsParam refuses more clients than there can be descriptors.
func (s *Server) maxClientsParam() Param {
	at := &s.settings.maxClients
	p := number("maxclients", at, 1, 1<<32-1)
	store := p.Set
	p.Set = func(v string) error {
		if n, err := strconv.Atoi(v); err == nil && n > 0 {
			if affordable := affordableClients(n, s.opts.ReservedFDs, slog.New(slog.DiscardHandler)); affordable < n {
				return errDescriptors(affordable)
			}
		}
		return store(v)
	}
	return p
}

func memory(name string, at *atomic.Int64, least int64) Param {
	return Param{
		Name: name,
		Get:  func() string { return strconv.FormatInt(at.Load(), 10) },
		Set: func(v string) error {
			n, err := process.ParseBytes(v)
			if err != nil {
				return errNotMemory
			}
			const most = 1<<63 - 1
			if n < least {
				return errBetween(least, most)
			}
			at.Store(n)
			return nil
		},
	}
}

// outputLimit is one class of client-output-buffer-limit.
type outputLimit struct {
	class             string
	hard, soft, softS *atomic.Int64
}

func (st *settings) outputClasses() []outputLimit {
	return []outputLimit{
		{"normal", &st.normalHard, &st.normalSoft, &st.normalSoftS},
		{"slave", &st.replicaHard, &st.replicaSoft, &st.replicSoftS},
		{"pubsub", &st.pubsubHard, &st.pubsubSoft, &st.pubsubSoftS},
	}
}

func (st *settings) outputLimits() string {
	var parts []string
	for _, l := range st.outputClasses() {
		parts = append(parts, fmt.Sprintf("%s %d %d %d", l.class, l.hard.Load(), l.soft.Load(), l.softS.Load()))
	}
	return strings.Join(parts, " ")
}

func (st *settings) setOutputLimits(value string) error {
	words := strings.Fields(value)
	if len(words) == 0 || len(words)%4 != 0 {
		return errLimitArity
	}
	type change struct {
		limit             outputLimit
		hard, soft, softS int64
	}
	var changes []change
	for i := 0; i < len(words); i += 4 {
		class := strings.ToLower(words[i])
		if class == "replica" {
			class = "slave"
		}
		classes := st.outputClasses()
		at := slices.IndexFunc(classes, func(l outputLimit) bool { return l.class == class })
		if at < 0 {
			return errLimitClass
		}
		hard, err1 := process.ParseBytes(words[i+1])
		soft, err2 := process.ParseBytes(words[i+2])
		softS, err3 := strconv.ParseInt(words[i+3], 10, 64)
		if err1 != nil || err2 != nil || err3 != nil || softS < 0 {
			return errLimitValue
		}
		changes = append(changes, change{classes[at], hard, soft, softS})
	}
	for _, c := range changes {
		c.limit.hard.Store(c.hard)
		c.limit.soft.Store(c.soft)
		c.limit.softS.Store(c.softS)
	}
	return nil
}

func configGet(c *client, args [][]byte, w *resp.Writer) {
	p := c.srv.params
	found := map[string]string{} // how the client wrote it, or the name -> value
	for _, arg := range args[2:] {
		pattern := strings.ToLower(string(arg))
		if param, ok := p.byName[pattern]; ok {
			found[string(arg)] = param.Get()
			continue
		}
		for _, name := range p.names {
			if command.Match([]byte(pattern), []byte(name)) {
				found[name] = p.byName[name].Get()
			}
		}
	}
	w.Map(len(found))
	for _, name := range slices.Sorted(maps.Keys(found)) {
		w.BulkString(name)
		w.BulkString(found[name])
	}
}

// configSet sets all of its pairs, or none.
func configSet(c *client, args [][]byte, w *resp.Writer) {
	pairs := args[2:]
	if len(pairs)%2 != 0 {
		w.Error(command.ErrArity("config|set"))
		return
	}
	p := c.srv.params
	seen := map[string]bool{}
	for i := 0; i < len(pairs); i += 2 {
		name := strings.ToLower(string(pairs[i]))
		param, ok := p.byName[name]
		switch {
		case !ok:
			w.Error(errConfigUnknown(string(pairs[i])))
			return
		case param.Set == nil && param.Get() != string(pairs[i+1]):
			w.Error(errConfigSet(name, string(errImmutable)))
			return
		case seen[name]:
			w.Error(errConfigSet(name, string(errDuplicate)))
			return
		}
		seen[name] = true
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	var undo []func()
	for i := 0; i < len(pairs); i += 2 {
		name := strings.ToLower(string(pairs[i]))
		param := p.byName[name]
		if param.Set == nil {
			continue // it is what it is asked to be
		}
		old := param.Get()
		if err := param.Set(string(pairs[i+1])); err != nil {
			for _, f := range undo {
				f()
			}
			w.Error(errConfigSet(name, err.Error()))
			return
		}
		undo = append(undo, func() { _ = param.Set(old) }) // it was valid before
	}
	c.applyLimits()
	w.OK()
}

func configResetStat(c *client, _ [][]byte, w *resp.Writer) {
	status := c.srv.backend.Status()
	c.srv.stats.reset(countsOf(&status))
	w.OK()
}

// configRewrite: what CONFIG SET has set lasts as long as the process, whose flags are not ours to write.
func configRewrite(_ *client, _ [][]byte, w *resp.Writer) { w.Error(errNoConfigFile) }
