package daemon

import (
	"context"
	"io"
	"log/slog"
	"os"
	"time"

	"github.com/schollz/progressbar/v3"
	"golang.org/x/term"
)

const (
	loadingLooked = 100 * time.Millisecond
	loadingLogged = 5 * time.Second
)

// ShowLoading shows how far a node's loading has come, in bytes, until it is done or ctx ends: as a bar on a terminal, as
// lines of the log otherwise. load says total 0 while nothing is being loaded.
func ShowLoading(ctx context.Context, log *slog.Logger, load func() (done, total int64)) {
	if term.IsTerminal(int(os.Stderr.Fd())) {
		showLoading(ctx, load, loadingLooked, bar(os.Stderr))
		return
	}
	showLoading(ctx, load, loadingLogged, func(done, total int64) {
		if done < total {
			log.Info("loading", "percent", done*100/total, "bytes", done, "of", total)
		}
	})
}

func showLoading(ctx context.Context, load func() (done, total int64), every time.Duration, show func(done, total int64)) {
	ticker := time.NewTicker(every)
	defer ticker.Stop()
	last := int64(0)
	for {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
		switch done, total := load(); {
		case total > 0:
			last = total
			show(done, total)
		case last > 0:
			show(last, last)
			return
		}
	}
}

// bar draws on w.
func bar(w io.Writer) func(done, total int64) {
	var b *progressbar.ProgressBar
	return func(done, total int64) {
		if b == nil {
			b = progressbar.NewOptions64(total, progressbar.OptionSetWriter(w), progressbar.OptionShowBytes(true),
				progressbar.OptionSetDescription("loading"), progressbar.OptionSetPredictTime(true), progressbar.OptionClearOnFinish())
		}
		_ = b.Set64(done) // the terminal may have gone
	}
}
