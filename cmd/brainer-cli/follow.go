package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"brainer/broker/client"
	"brainer/internal/psync"
	"brainer/internal/rdb"
	"brainer/internal/transfer"
)

const (
	followAgainMin = 200 * time.Millisecond // between two attempts
	followAgainMax = 5 * time.Second
	followIdle     = 100 * time.Millisecond // for the stream, before the source is asked how far it is
)

// follower brings a Redis's data in as its replica would: all of it as of one moment, then each change.
type follower struct {
	cli   *cli
	conn  *client.Client
	flags *importFlags
	from  *source

	state   importState
	begun   bool // the target has been prepared
	lag     *lag
	batches *batches
	before  int64 // keys that an earlier run has imported
}

// importByPsync imports and, if that is wanted, follows.
func (c *cli) importByPsync(ctx context.Context, conn *client.Client, f *importFlags, from *source) error {
	begun := time.Now()
	w := &follower{cli: c, conn: conn, flags: f, from: from, state: importState{Offset: -1}}
	if f.follow {
		w.lag = newLag(from)
		defer w.lag.close()
	}
	err := f.refuseKeys(ctx, conn) // before the source forks
	if err == nil {
		err = w.run(ctx)
	}
	in := &intake{keys: w.state.Keys, before: w.before, left: w.state.Left}
	if ctx.Err() != nil && w.state.Offset >= 0 && f.follow {
		return failure{fmt.Errorf("stopped at offset %d, %s behind; the same command goes on from there", w.state.Offset, formatBytes(w.lag.bytes))}
	}
	switch {
	case err == nil:
	case ctx.Err() != nil && !w.begun:
		return failure{errors.New("interrupted; nothing was changed")}
	case ctx.Err() != nil:
		return c.importFailed(errors.New("interrupted"), true, in)
	default:
		return c.importFailed(from.failed(err), w.begun, in)
	}
	if err := endImport(ctx, conn); err != nil {
		return err
	}
	if w.batches != nil {
		fmt.Fprintf(c.out, "followed %d commands up to offset %d\n", w.batches.done.Applied, w.state.Offset)
		if text := w.batches.done.leftOut(); text != "" && !f.skipUnsupported {
			err = failure{errors.New(text)}
		} else if text != "" {
			fmt.Fprintln(c.out, text)
		}
	}
	switch e := c.imported(f, in, from.name, begun); {
	case err == nil:
		return e
	case e == nil:
		return err
	default:
		return failure{fmt.Errorf("%w; %w", e, err)}
	}
}

// run goes on until the source has been followed as far as it was wanted, through links that break.
func (w *follower) run(ctx context.Context) error {
	for pause := followAgainMin; ; pause = min(2*pause, followAgainMax) {
		before := w.state.Offset
		err := w.session(ctx)
		var lost *psyncLost
		if ctx.Err() != nil || !errors.As(err, &lost) && !(w.state.Offset >= 0 && mayPass(err)) {
			return err
		}
		if w.state.Offset != before {
			pause = followAgainMin
		}
		fmt.Fprintf(w.cli.err, "brainer-cli: %v; trying again\n", w.from.failed(err))
		select {
		case <-time.After(pause):
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// psyncLost: the link to the source broke; another may do.
type psyncLost struct{ error }

func (p *psyncLost) Unwrap() error { return p.error }

// session is what is done with one link.
func (w *follower) session(ctx context.Context) error {
	o := w.from.options
	link, err := psync.Dial(ctx, psync.Options{Addr: o.Addr, User: o.Username, Password: o.Password, TLS: o.TLSConfig})
	if err != nil {
		if w.begun && !errors.As(err, new(psync.ErrRefused)) {
			return &psyncLost{err}
		}
		return err
	}
	defer link.Close()
	goesOn, err := w.goOn(ctx, link)
	if err == nil && !goesOn {
		err = w.load(ctx, link)
	}
	if err != nil || !w.flags.follow {
		return err
	}
	if w.batches == nil {
		w.batches = newBatches(w.conn)
	}
	defer w.batches.close()
	state, err := w.batches.takeOver(ctx)
	if err != nil {
		return err
	}
	if state.Offset != w.state.Offset {
		return &psyncLost{errors.New("the target is further than it seemed")} // the next session begins there
	}
	w.batches.begin(&w.state)
	return w.follow(ctx, link)
}

// goOn takes up an import that was interrupted, if there is one.
func (w *follower) goOn(ctx context.Context, link *psync.Link) (bool, error) {
	state, err := loadImportState(ctx, w.conn)
	if err != nil && !w.flags.restart {
		return false, err
	}
	switch {
	case state == nil || state.Offset < 0 || w.flags.restart || !w.flags.follow:
		return false, nil
	case state.Source != w.from.name:
		return false, nil // beginImport says so
	}
	ok, err := link.Continue(state.Run, state.Offset)
	if err != nil {
		return false, w.lost(err)
	}
	if !ok {
		return false, failure{errors.New("the source has no more what has changed since (its repl-backlog-size is too small, or it was restarted): begin anew with --restart, and --replace or --merge")}
	}
	if !w.begun {
		fmt.Fprintf(w.cli.err, "brainer-cli: going on from offset %d\n", state.Offset)
		w.before = state.Keys
	}
	state.Run = link.Run
	w.state, w.begun = *state, true
	return true, nil
}

// lost tells what another attempt may mend from what it may not.
func (w *follower) lost(err error) error {
	if errors.As(err, new(psync.ErrRefused)) {
		return err
	}
	return &psyncLost{err}
}

// load takes all keys as of one moment.
func (w *follower) load(ctx context.Context, link *psync.Link) error {
	fmt.Fprintf(w.cli.err, "brainer-cli: %s is asked for all keys as of one moment (it may wait for repl-diskless-sync-delay first, 5 s by default)\n", w.from.name)
	file, err := link.Full()
	if err != nil {
		return w.lost(err)
	}
	state, err := w.flags.beginImport(ctx, w.conn, w.from.name, link.Run, false)
	if err != nil {
		return err
	}
	w.begun = true
	in, err := newIntake(ctx, w.conn, w.flags.dbs, w.flags.match)
	if err != nil {
		return err
	}
	bar := w.cli.progress("importing")
	err = func() error {
		defer in.close()
		defer bar.end()
		var ours error
		err := rdb.Read(file, rdb.Visitor{
			Piece: func(p *transfer.Piece) error { ours = in.take(ctx, p); return ours },
			Other: func(db int, key []byte, name string) error { in.leaveOut(db, key, name); return nil },
			Read:  func(bytes int64) { bar.at(bytes, 0, count(in.keys, "key")) },
		})
		if err == nil {
			_, err = io.Copy(io.Discard, file) // a mark may end it
		}
		if err != nil && ours == nil && !errors.As(err, new(rdb.ErrVersion)) && !errors.As(err, new(rdb.ErrType)) {
			return &psyncLost{err}
		}
		if err != nil {
			return err
		}
		return in.flush(ctx)
	}()
	w.state.Keys, w.state.Left = in.keys, in.left
	if err != nil {
		return err
	}
	w.state = importState{Source: state.Source, Run: link.Run, Offset: link.Offset, Merge: state.Merge, Keys: in.keys, Left: in.left}
	if w.flags.follow {
		fmt.Fprintf(w.cli.err, "brainer-cli: here as of offset %d: %s; following\n", link.Offset, count(in.keys, "key"))
	}
	if _, err := w.conn.DoContext(ctx, "SELECT", "0"); err != nil {
		return err
	}
	return saveImportState(ctx, w.conn, w.state)
}

// follow applies the stream, until all that the source has is here, if that is wanted, or for ever.
func (w *follower) follow(ctx context.Context, link *psync.Link) error {
	bar := w.cli.progressOf("following", true)
	defer bar.end()
	for ctx.Err() == nil {
		idle, err := w.take(ctx, link)
		if err != nil {
			return err
		}
		link.Ack(w.state.Offset)
		if known := w.lag.look(ctx, w.state.Offset, idle && w.flags.untilCaughtUp); known && w.flags.untilCaughtUp && w.lag.bytes == 0 {
			return nil
		}
		bar.what = fmt.Sprintf("following, %s behind, %v:", formatBytes(w.lag.bytes), time.Since(w.lag.levelAt).Round(100*time.Millisecond))
		bar.at(w.batches.done.Applied, 0, "")
	}
	return ctx.Err()
}

// take applies what has arrived of the stream, or waits for a moment.
func (w *follower) take(ctx context.Context, link *psync.Link) (idle bool, err error) {
	arrived, err := link.Fill(followIdle)
	if err != nil {
		return false, &psyncLost{err}
	}
	for arrived {
		cmd, ok, err := link.Next()
		if err != nil {
			return false, &psyncLost{err}
		}
		if !ok {
			break
		}
		if err := w.batches.add(cmd); err != nil {
			return false, err
		}
		if w.batches.full() {
			if err := w.apply(ctx, link); err != nil {
				return false, err
			}
		}
	}
	if arrived && w.batches.whole() {
		return false, w.apply(ctx, link)
	}
	return !arrived, nil
}

// apply writes the batch, and up to where that is.
func (w *follower) apply(ctx context.Context, link *psync.Link) error {
	next := w.state
	next.Offset, next.DB, next.Stream = link.Offset, max(w.batches.db, 0), w.batches.done
	err := w.batches.apply(ctx, &next)
	for pause := followAgainMin; err != nil; pause = min(2*pause, followAgainMax) {
		if !mayPass(err) || ctx.Err() != nil {
			return err
		}
		fmt.Fprintf(w.cli.err, "brainer-cli: %v; trying again\n", err)
		select {
		case <-time.After(pause):
		case <-ctx.Done():
			return ctx.Err()
		}
		var state *importState
		switch state, err = w.batches.takeOver(ctx); {
		case err != nil:
		case state.Offset == next.Offset: // it has been applied, and its answer was lost
			w.batches.applied(nil)
		case state.Offset == w.state.Offset:
			err = w.batches.apply(ctx, &next)
		default:
			return errTakenOver
		}
	}
	w.state = next
	return nil
}
