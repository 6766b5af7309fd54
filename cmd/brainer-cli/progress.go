package main

import (
	"fmt"
	"io"
	"time"

	"github.com/schollz/progressbar/v3"
	"github.com/spf13/cobra"

	"brainer/broker/client"
)

const progressEvery = 5 * time.Second

// patience is how long something long waits for one reply, unless --timeout says otherwise: to give up is to begin again.
const patience = time.Minute

func (c *cli) bePatient(cmd *cobra.Command) {
	if f := cmd.Flags().Lookup("timeout"); f == nil || f.Value.String() == client.TimeoutDefault.String() {
		c.timeout = patience
	}
}

// progress shows how far something long has come: a bar on a terminal, a line now and then elsewhere.
type progress struct {
	to    io.Writer
	what  string
	keys  bool // what is counted: keys instead of bytes
	bar   *progressbar.ProgressBar
	since time.Time // the last line
}

func (c *cli) progress(what string) *progress { return c.progressOf(what, false) }

func (c *cli) progressOf(what string, keys bool) *progress {
	p := &progress{to: c.err, what: what, keys: keys, since: time.Now()}
	if c.pretty() {
		p.bar = progressbar.NewOptions64(-1, progressbar.OptionSetWriter(c.err), progressbar.OptionSetDescription(what),
			progressbar.OptionShowBytes(!keys), progressbar.OptionShowCount(), progressbar.OptionThrottle(100*time.Millisecond), progressbar.OptionClearOnFinish())
	}
	return p
}

// at tells how much is done, of how much (0: unknown), and what else there is to say.
func (p *progress) at(done, total int64, more string) {
	switch {
	case p.bar != nil:
		if total > 0 && total != p.bar.GetMax64() {
			p.bar.ChangeMax64(max(total, done))
		}
		p.bar.Describe(p.what + " " + more)
		_ = p.bar.Set64(done)
	case time.Since(p.since) >= progressEvery:
		p.since = time.Now()
		of := ""
		if total > 0 {
			of = " of " + p.amount(total)
		}
		fmt.Fprintf(p.to, "brainer-cli: %s: %s%s %s\n", p.what, p.amount(done), of, more)
	}
}

func (p *progress) end() {
	if p.bar != nil {
		_ = p.bar.Clear()
	}
}

func (p *progress) amount(n int64) string {
	if p.keys {
		return count(n, "key")
	}
	return formatBytes(n)
}

// count is "1 key", "2 keys".
func count[N int | int64 | uint64](n N, thing string) string {
	if n != 1 {
		thing += "s"
	}
	return fmt.Sprint(n, " ", thing)
}

func formatBytes(n int64) string {
	switch {
	case n < 10_000:
		return fmt.Sprintf("%d bytes", n)
	case n < 10_000_000:
		return fmt.Sprintf("%.1f kB", float64(n)/1e3)
	case n < 10_000_000_000:
		return fmt.Sprintf("%.1f MB", float64(n)/1e6)
	}
	return fmt.Sprintf("%.1f GB", float64(n)/1e9)
}
