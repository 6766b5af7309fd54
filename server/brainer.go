package server

import (
	"encoding/json"
	"fmt"
	"math"
	"strconv"
	"strings"

	"brainer/internal/command"
	"brainer/internal/op"
	"brainer/resp"
)

func brainerHandlers() map[string]handler {
	return map[string]handler{
		"brainer|ack":      {run: brainerAck},
		"brainer|with":     {run: brainerWith, inMulti: immediate},
		"brainer|nodes":    {run: brainerNodes},
		"brainer|status":   {run: brainerStatus},
		"brainer|recover":  {run: brainerRecover},
		"brainer|forget":   {run: brainerForget},
		"brainer|verify":   {run: brainerVerify},
		"brainer|hotkeys":  {run: brainerHotkeys},
		"brainer|snapshot": {run: brainerSnapshot, settled: true},
		"brainer|help":     {run: help(brainerHelp)},
	}
}

// ParseAck reads an acknowledgement rule: all, primary, or a number of nodes.
func ParseAck(text string) (op.Ack, error) {
	switch strings.ToLower(text) {
	case "all":
		return op.AckAll, nil
	case "primary":
		return op.AckPrimary, nil
	}
	n, err := strconv.Atoi(text)
	if err != nil || n < 1 || n > math.MaxInt16 {
		return 0, fmt.Errorf("%q is no acknowledgement rule: all, primary or a number of nodes from 1 to %d", text, math.MaxInt16)
	}
	return op.Ack(n), nil
}

// FormatAck is what ParseAck reads.
func FormatAck(a op.Ack) string {
	switch a {
	case op.AckDefault:
		return "default"
	case op.AckAll:
		return "all"
	case op.AckPrimary:
		return "primary"
	}
	return strconv.Itoa(int(a))
}

// brainerAck sets the connection's rule, or shows it.
func brainerAck(c *client, args [][]byte, w *resp.Writer) {
	if len(args) == 2 {
		rule := c.ack
		if rule == op.AckDefault {
			rule = c.srv.backend.Status().Ack
		}
		w.BulkString(FormatAck(rule))
		return
	}
	rule, err := ParseAck(string(args[2]))
	if len(args) != 3 || err != nil {
		w.Error(errAckRule)
		return
	}
	c.ack = rule
	w.OK()
}

// with is what stands between BRAINER WITH and the command.
type with struct {
	ack    op.Ack
	client []byte // of ID; empty: none
	number uint64
	rest   [][]byte
}

// parseWith reads args of BRAINER WITH; text is of the error if there is one.
func parseWith(args [][]byte) (p with, text string) {
	rest := args[2:]
	hasAck := false
	for len(rest) > 0 {
		switch {
		case equalFold(rest[0], "ack"):
			if hasAck {
				return p, errWithTwice
			}
			if len(rest) < 2 {
				return p, errAckRule
			}
			rule, err := ParseAck(string(rest[1]))
			if err != nil {
				return p, errAckRule
			}
			hasAck, p.ack, rest = true, rule, rest[2:]
		case equalFold(rest[0], "id"):
			if p.client != nil {
				return p, errWithTwice
			}
			if len(rest) < 3 || len(rest[1]) == 0 || len(rest[1]) > op.ClientBytesMax {
				return p, errWithIDRange
			}
			number, err := strconv.ParseUint(string(rest[2]), 10, 64)
			if err != nil {
				return p, errWithIDRange
			}
			p.client, p.number, rest = rest[1], number, rest[3:]
		case equalFold(rest[0], "brainer") && len(rest) > 1 && equalFold(rest[1], "with"):
			return p, errWithNested
		default:
			p.rest = rest
			return p, ""
		}
	}
	return p, errWithMissing
}

// isWithExec says whether args are BRAINER WITH ... EXEC, the only command in it that MULTI allows.
func isWithExec(args [][]byte) bool {
	if !equalFold(args[0], "brainer") || len(args) < 3 || !equalFold(args[1], "with") {
		return false
	}
	p, text := parseWith(args)
	return text == "" && equalFold(p.rest[0], "exec")
}

// brainerRecover is an operator's word on which copy is the truth when none is in sync.
func brainerRecover(c *client, args [][]byte, w *resp.Writer) {
	operator, ok := c.srv.backend.(Operator)
	switch {
	case !ok:
		w.Error(errNoOperator)
	case len(args) == 3 && equalFold(args[2], "empty"):
		writeOutcome(w, operator.RecoverEmpty())
	case len(args) == 4 && equalFold(args[2], "from"):
		writeOutcome(w, operator.RecoverFrom(string(args[3])))
	default:
		w.Error(errRecoverUsage)
	}
}

// brainerForget drops a node that is not coming back from the list and the metrics.
func brainerForget(c *client, args [][]byte, w *resp.Writer) {
	operator, ok := c.srv.backend.(Operator)
	if !ok {
		w.Error(errNoOperator)
		return
	}
	writeOutcome(w, operator.Forget(string(args[2])))
}

// brainerVerify begins to compare the copies and answers the number of that comparison.
func brainerVerify(c *client, _ [][]byte, w *resp.Writer) {
	operator, ok := c.srv.backend.(Operator)
	if !ok {
		w.Error(errNoOperator)
		return
	}
	number, text := operator.Verify()
	if text != "" {
		w.Error(text)
		return
	}
	w.Int(int64(number))
}

// brainerHotkeys lists the hottest keys of the last second, ten unless COUNT says otherwise.
func brainerHotkeys(c *client, args [][]byte, w *resp.Writer) {
	most := 10
	switch {
	case len(args) == 2:
	case len(args) != 4 || !equalFold(args[2], "count"):
		w.Error(command.ErrSyntax)
		return
	default:
		n, err := strconv.Atoi(string(args[3]))
		if err != nil || n < 1 {
			w.Error(errCountPositive)
			return
		}
		most = n
	}
	hot := c.srv.backend.Status().Hot
	hot = hot[:min(most, len(hot))]
	w.Array(len(hot))
	for i := range hot {
		k := &hot[i]
		w.Map(5)
		w.BulkString("db")
		w.Int(int64(k.DB))
		w.BulkString("key")
		w.Bulk(k.Key)
		w.BulkString("reads")
		w.Int(k.Reads)
		w.BulkString("writes")
		w.Int(k.Writes)
		w.BulkString("spread")
		w.Int(oneIf(k.Spread))
	}
}

func writeOutcome(w *resp.Writer, text string) {
	if text != "" {
		w.Error(text)
		return
	}
	w.OK()
}

// brainerWith runs one command under another rule, or under an id.
func brainerWith(c *client, args [][]byte, _ *resp.Writer) {
	p, text := parseWith(args)
	if text != "" {
		c.reject(c.row, text)
		return
	}
	if row := c.srv.table.Find(p.rest); p.client != nil && row != nil && row.Name != "exec" &&
		(row.Flags&command.Write == 0 || row.Flags&command.Server != 0) {
		c.reject(row, errWithIDWrite)
		return
	}
	c.withAck, c.lasting = p.ack, false
	from := len(c.turn.scratch)
	c.turn.scratch = append(c.turn.scratch, p.client...)
	c.withClient, c.withNumber = c.turn.scratch[from:len(c.turn.scratch):len(c.turn.scratch)], p.number
	from = len(c.turn.scratch)
	c.turn.scratch = resp.AppendCommand(c.turn.scratch, p.rest...)
	c.command(p.rest, c.turn.scratch[from:len(c.turn.scratch):len(c.turn.scratch)])
}

// brainerNodes is an array with a map for each node.
func brainerNodes(c *client, _ [][]byte, w *resp.Writer) {
	st := c.srv.backend.Status()
	w.Array(len(st.Nodes))
	for i := range st.Nodes {
		n := &st.Nodes[i]
		pairs := 15
		if n.Join != nil {
			pairs++
		}
		w.Map(pairs)
		text := func(name, value string) { w.BulkString(name); w.BulkString(value) }
		number := func(name string, value int64) { w.BulkString(name); w.Int(value) }
		text("id", n.ID)
		text("endpoint", n.Endpoint)
		text("state", n.State)
		number("up", oneIf(n.Up))
		number("in_sync", oneIf(n.InSync))
		text("reason", n.Reason)
		number("embedded", oneIf(n.Embedded))
		number("applied", int64(n.Applied))
		number("lag_entries", int64(n.LagEntries))
		text("lag_seconds", seconds(n.LagSeconds))
		text("heartbeat_age_seconds", seconds(n.HeartbeatAge))
		number("keys", n.Keys)
		number("used_memory", n.UsedMemory)
		text("version", n.Software)
		number("protocol", int64(n.Protocol))
		if j := n.Join; j != nil {
			w.BulkString("join")
			w.Map(12)
			text("phase", j.Phase)
			text("donor", j.Donor)
			number("snapshot_index", int64(j.SnapshotIndex))
			number("keys_done", j.KeysDone)
			number("keys_total", j.KeysTotal)
			number("bytes_done", j.BytesDone)
			number("bytes_total", j.BytesTotal)
			number("entries_behind", j.EntriesBehind)
			text("eta_seconds", seconds(j.EtaSeconds))
			number("bytes_per_second", j.BytesPerSecond)
			number("paced_to_bytes_per_second", j.PacedTo)
			number("writes_paced", oneIf(j.WritesPaced))
		}
	}
}

func oneIf(b bool) int64 {
	if b {
		return 1
	}
	return 0
}

func seconds(s float64) string { return strconv.FormatFloat(s, 'f', 3, 64) }

// brainerStatus is op.Status as lines, or with JSON as it is.
func brainerStatus(c *client, args [][]byte, w *resp.Writer) {
	st := c.srv.backend.Status()
	switch {
	case len(args) == 2:
		w.Verbatim("txt", string(appendStatus(nil, st)))
	case len(args) == 3 && equalFold(args[2], "json"):
		text, err := json.Marshal(st)
		if err != nil {
			w.Error("ERR " + err.Error())
			return
		}
		w.Bulk(text)
	default:
		w.Error(command.ErrSyntax)
	}
}

// appendStatus writes st as INFO writes its sections.
func appendStatus(b []byte, st op.Status) []byte {
	line := func(format string, args ...any) { b = fmt.Appendf(b, format+"\r\n", args...) }
	line("brainer_state:%s", st.State)
	line("brainer_detail:%s", st.Detail)
	line("brainer_leader:%d", oneIf(st.Leader))
	line("brainer_epoch:%d", st.Epoch)
	line("brainer_view:%d", st.ViewNo)
	line("brainer_index:%d", st.Index)
	line("brainer_safe_index:%d", st.Safe)
	line("brainer_ack:%s", FormatAck(st.Ack))
	line("brainer_min_in_sync:%d", st.MinInSync)
	line("brainer_in_sync:%d", inSync(st))
	line("brainer_window_entries:%d", st.WindowEntries)
	line("brainer_window_bytes:%d", st.WindowBytes)
	line("brainer_window_seconds:%s", seconds(st.WindowSeconds))
	line("brainer_pending_writes:%d", st.PendingWrites)
	line("brainer_pending_reads:%d", st.PendingReads)
	line("brainer_inflight_bytes:%d", st.InflightBytes)
	line("brainer_resends:%d", st.Resends)
	line("brainer_reads_rerouted:%d", st.ReadsRerouted)
	line("brainer_memory:limit=%d,used=%d,policy=%s,waiting=%d,evicted=%d,refused=%d", st.Memory.SmallestBytes, st.Memory.UsedBytes,
		st.Memory.Policy, st.Memory.Waiting, st.Memory.Evicted, st.Memory.Refused)
	line("brainer_near_cache:hits=%d,misses=%d,bytes=%d,max=%d", st.NearHits, st.NearMisses, st.NearBytes, st.NearBytesMax)
	line("brainer_reads_hedged:%d", st.ReadsHedged)
	line("brainer_reads_hedged_won:%d", st.ReadsHedgedWon)
	line("brainer_digest_mismatches:%d", st.DigestMismatches)
	v := &st.Verify
	line("brainer_verify:number=%d,running=%d,keys=%d,ranges=%d,skipped=%d,differed=%d", v.Number, oneIf(v.Running), v.Keys, v.Ranges, v.Skipped, v.Differed)
	line("brainer_verify_passes:%d", v.Passes)
	line("brainer_verify_last_equal:%d", v.EqualMs/1000)
	line("brainer_resumes:%d", st.ResumesTotal)
	line("brainer_snapshots:%d", st.SnapshotsTotal)
	line("brainer_nodes:%d", len(st.Nodes))
	for i := range st.Nodes {
		n := &st.Nodes[i]
		line("node%d:id=%s,endpoint=%s,state=%s,up=%d,in_sync=%d,applied=%d,lag_entries=%d,lag_seconds=%s,keys=%d,version=%s,protocol=%d",
			i, n.ID, n.Endpoint, n.State, oneIf(n.Up), oneIf(n.InSync), n.Applied, n.LagEntries, seconds(n.LagSeconds), n.Keys, n.Software, n.Protocol)
	}
	return b
}

func inSync(st op.Status) (n int) {
	for i := range st.Nodes {
		n += int(oneIf(st.Nodes[i].InSync))
	}
	return n
}
