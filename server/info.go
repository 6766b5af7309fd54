package server

import (
	"fmt"
	"os"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"brainer/internal/command"
	"brainer/internal/op"
	"brainer/internal/process"
	"brainer/resp"
)

// redisVersion is whose behaviour clients may expect.
const redisVersion = "7.0.15"

// infoSection is one section of INFO; a section that is not in the default is shown on demand.
type infoSection struct {
	name      string
	byDefault bool
	write     func(*infoWriter)
}

func infoSections() []infoSection {
	return []infoSection{
		{"server", true, (*infoWriter).server},
		{"clients", true, (*infoWriter).clients},
		{"memory", true, (*infoWriter).memory},
		{"persistence", true, (*infoWriter).persistence},
		{"stats", true, (*infoWriter).stats},
		{"replication", true, (*infoWriter).replication},
		{"cpu", true, (*infoWriter).cpu},
		{"modules", true, (*infoWriter).modules},
		{"commandstats", false, (*infoWriter).commandStats},
		{"errorstats", true, (*infoWriter).errorStats},
		{"cluster", true, (*infoWriter).cluster},
		{"keyspace", true, (*infoWriter).keyspace},
		{"brainer", true, (*infoWriter).brainer},
	}
}

// infoWriter collects sections; what several of them need is fetched once.
type infoWriter struct {
	c        *client
	b        []byte
	status   op.Status
	data     map[string]string // what the node says of the keyspace
	dataRead bool
}

func info(c *client, args [][]byte, w *resp.Writer) {
	wanted := map[string]bool{}
	for _, arg := range args[1:] {
		wanted[strings.ToLower(string(arg))] = true
	}
	defaults := len(args) == 1 || wanted["default"]
	everything := wanted["all"] || wanted["everything"]
	iw := infoWriter{c: c, status: c.srv.backend.Status()}
	for _, section := range infoSections() {
		if everything || wanted[section.name] || defaults && section.byDefault {
			if len(iw.b) > 0 {
				iw.b = append(iw.b, '\r', '\n')
			}
			iw.b = fmt.Appendf(iw.b, "# %s\r\n", title(section.name))
			section.write(&iw)
		}
	}
	w.Verbatim("txt", string(iw.b))
}

func title(name string) string {
	if name == "cpu" {
		return "CPU"
	}
	return strings.ToUpper(name[:1]) + name[1:]
}

func (w *infoWriter) line(name string, value any) { w.b = fmt.Appendf(w.b, "%s:%v\r\n", name, value) }

// ask fetches the keyspace's own numbers from a node.
func (w *infoWriter) ask() map[string]string {
	if w.dataRead {
		return w.data
	}
	w.dataRead, w.data = true, map[string]string{}
	o := w.c.newOp(op.Read, keyspaceBody)
	o.Keyless, o.Proto = true, 2
	reply, _, err := resp.ParseReply(w.c.ask(o))
	if err != nil || reply.Kind != resp.BulkKind {
		return w.data // no node is ready: INFO shows the rest
	}
	for line := range strings.Lines(string(reply.Str)) {
		name, value, _ := strings.Cut(strings.TrimRight(line, "\r\n"), ":")
		w.data[name] = value
	}
	return w.data
}

// keyspaceBody is read only.
var keyspaceBody = resp.AppendCommand(nil, []byte("_keyspace"))

func (w *infoWriter) server() {
	s := w.c.srv
	now := time.Now()
	uptime := int64(now.Sub(s.startedAt).Seconds())
	var uts syscall.Utsname
	_ = syscall.Uname(&uts) // empty if it fails
	w.line("redis_version", redisVersion)
	w.line("redis_git_sha1", "00000000")
	w.line("redis_git_dirty", 0)
	w.line("redis_build_id", "0")
	w.line("redis_mode", "standalone")
	w.line("os", strings.Join([]string{cString(uts.Sysname[:]), cString(uts.Release[:]), cString(uts.Machine[:])}, " "))
	w.line("arch_bits", strconv.IntSize)
	w.line("monotonic_clock", "Go")
	w.line("multiplexing_api", "Go")
	w.line("gcc_version", "0.0.0")
	w.line("process_id", os.Getpid())
	w.line("process_supervised", "no")
	w.line("run_id", s.runID)
	w.line("tcp_port", s.opts.Port)
	w.line("server_time_usec", now.UnixMicro())
	w.line("uptime_in_seconds", uptime)
	w.line("uptime_in_days", uptime/86400)
	w.line("hz", 10)
	w.line("configured_hz", 10)
	w.line("lru_clock", now.Unix()&(1<<24-1))
	executable, _ := os.Executable() // empty if it fails
	w.line("executable", executable)
	w.line("config_file", s.opts.ConfigFile)
	w.line("io_threads_active", 0)
	w.line("brainer_version", s.opts.Version)
	w.line("go_version", runtime.Version())
}

func cString(chars []int8) string {
	b := make([]byte, 0, len(chars))
	for _, c := range chars {
		if c == 0 {
			break
		}
		b = append(b, byte(c))
	}
	return string(b)
}

func (w *infoWriter) clients() {
	s := w.c.srv
	longestOut, largestIn := 0, 0
	for _, c := range s.sortedClients() {
		longestOut = max(longestOut, c.out.queued())
		largestIn = max(largestIn, c.look().buffered)
	}
	w.line("connected_clients", s.Connected())
	w.line("cluster_connections", 0)
	w.line("maxclients", s.settings.maxClients.Load())
	w.line("client_recent_max_input_buffer", largestIn)
	w.line("client_recent_max_output_buffer", longestOut)
	w.line("blocked_clients", 0)
	w.line("tracking_clients", 0)
	w.line("clients_in_timeout_table", 0)
}

func (w *infoWriter) memory() {
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	rss := process.ResidentBytes()
	used := w.status.Memory.UsedBytes
	dataset, _ := strconv.ParseInt(w.ask()["used_memory"], 10, 64) // 0 while no node answers
	w.line("used_memory", used)
	w.line("used_memory_human", human(used))
	w.line("used_memory_rss", rss)
	w.line("used_memory_rss_human", human(rss))
	w.line("used_memory_dataset", dataset)
	w.line("allocator_allocated", m.HeapAlloc)
	w.line("allocator_active", m.HeapInuse)
	w.line("allocator_resident", m.HeapSys-m.HeapReleased)
	w.line("total_system_memory", systemBytes())
	w.line("total_system_memory_human", human(systemBytes()))
	w.line("maxmemory", w.status.Memory.SmallestBytes)
	w.line("maxmemory_human", human(w.status.Memory.SmallestBytes))
	w.line("maxmemory_policy", w.status.Memory.Policy)
	w.line("mem_allocator", "go")
	w.line("mem_replication_backlog", w.status.WindowBytes)
	w.line("lazyfree_pending_objects", 0)
}

// human is bytes as Redis shows them.
func human(n int64) string {
	units := []string{"B", "K", "M", "G", "T"}
	f, i := float64(n), 0
	for f >= 1024 && i < len(units)-1 {
		f /= 1024
		i++
	}
	if i == 0 {
		return strconv.FormatInt(n, 10) + "B"
	}
	return strconv.FormatFloat(f, 'f', 2, 64) + units[i]
}

func systemBytes() int64 {
	var si syscall.Sysinfo_t
	if err := syscall.Sysinfo(&si); err != nil {
		return 0
	}
	return int64(si.Totalram) * int64(si.Unit)
}

func (w *infoWriter) stats() {
	st := &w.c.srv.stats
	channels, patterns := w.c.srv.hub.size()
	w.line("total_connections_received", st.connections.Load())
	w.line("total_commands_processed", st.commands.Load())
	w.line("total_net_input_bytes", st.inputBytes.Load())
	w.line("total_net_output_bytes", st.outputBytes.Load())
	w.line("rejected_connections", st.rejectedConnections.Load())
	counts := countsOf(&w.status).since(st.base.Load())
	w.line("sync_full", counts.snapshots)
	w.line("sync_partial_ok", counts.resumes)
	w.line("sync_partial_err", 0)
	w.line("expired_keys", counts.expired)
	w.line("evicted_keys", counts.evicted)
	w.line("keyspace_hits", counts.hits)
	w.line("keyspace_misses", counts.misses)
	w.line("pubsub_channels", channels)
	w.line("pubsub_patterns", patterns)
	w.line("pubsubshard_channels", 0)
	w.line("total_error_replies", st.errors.Load())
	w.line("brainer_clients_closed_for_output", st.closedForOutput.Load())
	w.line("reply_buffer_shrinks", 0)
}

// replicasOf is the nodes besides the first: what a Redis primary calls its replicas (R12).
func replicasOf(st op.Status) []op.NodeStatus {
	var up []op.NodeStatus
	for _, n := range st.Nodes {
		if n.Up {
			up = append(up, n)
		}
	}
	// The first is one that is in sync, if any is.
	slices.SortStableFunc(up, func(a, b op.NodeStatus) int { return int(oneIf(b.InSync) - oneIf(a.InSync)) })
	return up[min(1, len(up)):]
}

// splitEndpoint makes host and port of an endpoint; an ipc path is all host.
func splitEndpoint(endpoint string) (host, port string) {
	_, rest, found := strings.Cut(endpoint, "://")
	if !found {
		rest = endpoint
	}
	if i := strings.LastIndexByte(rest, ':'); i >= 0 && !strings.Contains(rest[i:], "/") {
		return strings.Trim(rest[:i], "[]"), rest[i+1:]
	}
	return rest, "0"
}

func (w *infoWriter) replication() {
	replicas := replicasOf(w.status)
	w.line("role", "master")
	w.line("connected_slaves", len(replicas))
	for i, r := range replicas {
		host, port := splitEndpoint(r.Endpoint)
		state := "online"
		if !r.InSync {
			state = "wait_bgsave"
		}
		w.line(fmt.Sprintf("slave%d", i), fmt.Sprintf("ip=%s,port=%s,state=%s,offset=%d,lag=%d",
			host, port, state, r.Applied, int64(r.LagSeconds)))
	}
	w.line("master_failover_state", "no-failover")
	w.line("master_replid", w.c.srv.runID)
	w.line("master_replid2", strings.Repeat("0", 40))
	w.line("master_repl_offset", w.status.Index)
	w.line("second_repl_offset", -1)
	w.line("repl_backlog_active", 1)
	w.line("repl_backlog_size", w.status.WindowBytes)
	first := uint64(0)
	if n := uint64(w.status.WindowEntries); n > 0 && n <= w.status.Index {
		first = w.status.Index - n + 1
	}
	w.line("repl_backlog_first_byte_offset", first)
	w.line("repl_backlog_histlen", w.status.WindowEntries)
}

func (w *infoWriter) cpu() {
	for _, who := range []struct {
		name string
		who  int
	}{{"", syscall.RUSAGE_SELF}, {"_children", syscall.RUSAGE_CHILDREN}} {
		var use syscall.Rusage
		_ = syscall.Getrusage(who.who, &use) // zero if it fails
		w.line("used_cpu_sys"+who.name, fmt.Sprintf("%d.%06d", use.Stime.Sec, use.Stime.Usec))
		w.line("used_cpu_user"+who.name, fmt.Sprintf("%d.%06d", use.Utime.Sec, use.Utime.Usec))
	}
}

func (w *infoWriter) modules() {}

func (w *infoWriter) commandStats() {
	st := &w.c.srv.stats
	st.mu.RLock()
	defer st.mu.RUnlock()
	var rows []*command.Command
	for row := range st.perCmd {
		rows = append(rows, row)
	}
	slices.SortFunc(rows, func(a, b *command.Command) int { return strings.Compare(a.Name, b.Name) })
	for _, row := range rows {
		s := st.perCmd[row]
		calls, usec := s.calls.Load(), s.usec.Load()
		perCall := 0.0
		if calls > 0 {
			perCall = float64(usec) / float64(calls)
		}
		w.line("cmdstat_"+row.Name, fmt.Sprintf("calls=%d,usec=%d,usec_per_call=%.2f,rejected_calls=%d,failed_calls=%d",
			calls, usec, perCall, s.rejected.Load(), s.failed.Load()))
	}
}

func (w *infoWriter) errorStats() {
	st := &w.c.srv.stats
	st.mu.RLock()
	defer st.mu.RUnlock()
	var codes []string
	for code := range st.perError {
		codes = append(codes, code)
	}
	slices.Sort(codes)
	for _, code := range codes {
		w.line("errorstat_"+code, fmt.Sprintf("count=%d", st.perError[code].Load()))
	}
}

func (w *infoWriter) cluster() { w.line("cluster_enabled", 0) }

func (w *infoWriter) keyspace() {
	data := w.ask()
	for db := range command.Databases {
		name := "db" + strconv.Itoa(db)
		if value, ok := data[name]; ok {
			w.line(name, value)
		}
	}
}

func (w *infoWriter) brainer() { w.b = appendStatus(w.b, w.status) }
