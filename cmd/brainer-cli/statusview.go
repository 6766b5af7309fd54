package main

import (
	"fmt"
	"io"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/schollz/progressbar/v3"

	"brainer/internal/op"
)

func formatStatus(s op.Status) string {
	var b strings.Builder
	if s.StartedAtMs > 0 { // a node's own status has no broker in it
		formatBroker(&b, s)
	}
	w := tabwriter.NewWriter(&b, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "NODE\tSTATE\tIN SYNC\tAPPLIED\tLAG\tKEYS\tMEMORY\tHEARD\tVERSION\tENDPOINT")
	for i := range s.Nodes {
		formatNode(w, &s.Nodes[i])
	}
	w.Flush()
	for i := range s.Nodes {
		if j := s.Nodes[i].Join; j != nil {
			b.WriteString(s.Nodes[i].ID + ": " + formatJoin(j) + "\n")
		}
	}
	return b.String()
}

func formatBroker(b *strings.Builder, s op.Status) {
	role := "follower"
	if s.Leader {
		role = "leader"
	}
	up := time.Duration(s.NowMs-s.StartedAtMs) * time.Millisecond
	fmt.Fprintf(b, "broker: %s", s.State)
	if s.Detail != "" {
		fmt.Fprintf(b, " (%s)", s.Detail)
	}
	fmt.Fprintf(b, ", %s, epoch %d, view %d, up %v\n", role, s.Epoch, s.ViewNo, up.Round(time.Second))
	fmt.Fprintf(b, "index:  %d ordered, %d safe; ack %s; in sync %d of %d, at least %d to write\n",
		s.Index, s.Safe, ackText(s.Ack), inSync(s), len(s.Nodes), s.MinInSync)
	fmt.Fprintf(b, "window: %d entries, %s, %.0f s\n", s.WindowEntries, bytesText(s.WindowBytes), s.WindowSeconds)
	fmt.Fprintf(b, "under way: %d writes, %d reads, %s\n\n", s.PendingWrites, s.PendingReads, bytesText(s.InflightBytes))
}

func formatNode(w io.Writer, n *op.NodeStatus) {
	lag := fmt.Sprint(n.LagEntries)
	if n.LagSeconds >= 0.1 {
		lag += fmt.Sprintf(" (%.1f s)", n.LagSeconds)
	}
	sync := "yes"
	if !n.InSync {
		sync = "no"
		if n.Reason != "" {
			sync += " (" + n.Reason + ")"
		}
	}
	endpoint := n.Endpoint
	if n.Embedded {
		endpoint = "in the broker"
	}
	fmt.Fprintf(w, "%s\t%s\t%s\t%d\t%s\t%d\t%s\t%s\t%s\t%s\n",
		n.ID, n.State, sync, n.Applied, lag, n.Keys, bytesText(n.UsedMemory), heardText(n), versionText(n), endpoint)
}

// versionText is what a node says it runs; a version before this one does not say.
func versionText(n *op.NodeStatus) string {
	switch {
	case n.Software != "":
		return n.Software
	case n.Protocol > 0:
		return fmt.Sprintf("protocol %d", n.Protocol)
	}
	return "-"
}

func heardText(n *op.NodeStatus) string {
	if !n.Up && n.HeartbeatAge <= 0 {
		return "-"
	}
	return fmt.Sprintf("%.1f s ago", n.HeartbeatAge)
}

// formatJoin is one line: the phase, its bar, and what it counts.
func formatJoin(j *op.JoinStatus) string {
	var b strings.Builder
	b.WriteString(j.Phase)
	if j.Donor != "" {
		fmt.Fprintf(&b, " from %s", j.Donor)
	}
	if j.SnapshotIndex > 0 {
		fmt.Fprintf(&b, " at %d", j.SnapshotIndex)
	}
	switch {
	case j.KeysTotal > 0:
		fmt.Fprintf(&b, " %s %d of %s", bar(j.KeysDone, j.KeysTotal), j.KeysDone, count(j.KeysTotal, "key"))
	case j.BytesTotal > 0:
		b.WriteString(" " + bar(j.BytesDone, j.BytesTotal))
	}
	if j.BytesDone > 0 {
		fmt.Fprintf(&b, ", %s", bytesText(j.BytesDone))
	}
	fmt.Fprintf(&b, ", %d entries behind", j.EntriesBehind)
	if j.BytesPerSecond > 0 {
		fmt.Fprintf(&b, ", %s/s", bytesText(j.BytesPerSecond))
	}
	if j.PacedTo > 0 {
		fmt.Fprintf(&b, " (paced to %s/s for the clients' sake)", bytesText(j.PacedTo))
	}
	if j.WritesPaced {
		b.WriteString(", writes wait for it")
	}
	if j.EtaSeconds >= 0 {
		fmt.Fprintf(&b, ", %v left", time.Duration(j.EtaSeconds*float64(time.Second)).Round(time.Second))
	}
	return b.String()
}

// bar draws a moment of a progress bar.
func bar(done, total int64) string {
	p := progressbar.NewOptions64(total,
		progressbar.OptionSetWriter(io.Discard),
		progressbar.OptionSetWidth(24),
		progressbar.OptionSetTheme(progressbar.ThemeASCII),
		progressbar.OptionSetElapsedTime(false),
		progressbar.OptionSetPredictTime(false),
	)
	_ = p.Set64(min(max(done, 0), total)) // fails only beyond its total
	return strings.TrimSpace(p.String())
}

func ackText(a op.Ack) string {
	switch a {
	case op.AckAll:
		return "all"
	case op.AckPrimary:
		return "primary"
	}
	return fmt.Sprint(a)
}

func inSync(s op.Status) (n int) {
	for i := range s.Nodes {
		if s.Nodes[i].InSync {
			n++
		}
	}
	return n
}

func bytesText(n int64) string {
	if n < 1024 {
		return fmt.Sprintf("%d B", n)
	}
	f, unit := float64(n)/1024, 0
	for f >= 1024 && unit < 3 {
		f, unit = f/1024, unit+1
	}
	return fmt.Sprintf("%.1f %ciB", f, "KMGT"[unit])
}
