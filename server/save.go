package server

import (
	"context"
	"time"

	"brainer/internal/command"
	"brainer/internal/op"
	"brainer/resp"
)

// Saver keeps snapshots. Its errors are texts for clients.
type Saver interface {
	Save() (await func(context.Context) error, err error)
	Status() op.Saving
}

func saveHandlers() map[string]handler {
	return map[string]handler{
		"save":     {run: save, settled: true},
		"bgsave":   {run: bgsave},
		"lastsave": {run: lastsave},
	}
}

// bgsave begins a snapshot of what is there now. There is nothing else that it would have to wait for, so that SCHEDULE
// changes nothing.
func bgsave(c *client, args [][]byte, w *resp.Writer) {
	if len(args) > 2 || len(args) == 2 && !equalFold(args[1], "schedule") {
		w.Error(command.ErrSyntax)
		return
	}
	if c.beginSave(w) != nil {
		w.Simple("Background saving started")
	}
}

// save waits for the snapshot. Redis serves nobody meanwhile, we do.
func save(c *client, _ [][]byte, w *resp.Writer) {
	await := c.beginSave(w)
	if await == nil {
		return
	}
	for {
		ctx, cancel := context.WithTimeout(context.Background(), waitSliceMs*time.Millisecond)
		err := await(ctx)
		late := ctx.Err() != nil
		cancel()
		switch {
		case late && !c.srv.draining.Load() && !c.gone():
			continue
		case err != nil:
			w.Error(errSaveFailed)
		default:
			w.OK()
		}
		return
	}
}

// beginSave returns nil when it has written an error.
func (c *client) beginSave(w *resp.Writer) (await func(context.Context) error) {
	if c.srv.opts.Saver == nil {
		w.Error(errNoSaver)
		return nil
	}
	await, err := c.srv.opts.Saver.Save()
	if err != nil {
		w.Error(err.Error())
		return nil
	}
	return await
}

// lastsave is when the last snapshot was taken; like Redis it counts its start as one.
func lastsave(c *client, _ [][]byte, w *resp.Writer) { w.Int(c.srv.lastSave()) }

func (s *Server) lastSave() int64 {
	if ms := s.saving().LastMs; ms > 0 {
		return ms / 1000
	}
	return s.startedAt.Unix()
}

func (s *Server) saving() op.Saving {
	if s.opts.Saver == nil {
		return op.Saving{OK: true}
	}
	return s.opts.Saver.Status()
}

func (w *infoWriter) persistence() {
	s := w.c.srv.saving()
	status, took, current := "ok", int64(-1), int64(-1)
	if !s.OK {
		status = "err"
	}
	if s.EndedMs > 0 {
		took = s.TookMs / 1000
	}
	if s.Running {
		current = (time.Now().UnixMilli() - s.BeganMs) / 1000
	}
	w.line("loading", oneIf(w.status.State == "loading"))
	w.line("async_loading", 0)
	w.line("current_save_keys_processed", s.KeysDone*oneIf(s.Running))
	w.line("current_save_keys_total", s.KeysTotal*oneIf(s.Running))
	w.line("rdb_changes_since_last_save", changesSince(w.status, s))
	w.line("rdb_bgsave_in_progress", oneIf(s.Running))
	w.line("rdb_last_save_time", w.c.srv.lastSave())
	w.line("rdb_last_bgsave_status", status)
	w.line("rdb_last_bgsave_time_sec", took)
	w.line("rdb_current_bgsave_time_sec", current)
	w.line("rdb_saves", s.Saved)
	w.line("aof_enabled", 0)
	w.line("aof_rewrite_in_progress", 0)
	w.line("aof_last_bgrewrite_status", "ok")
	w.line("aof_last_write_status", "ok")
}

// changesSince counts the entries that were ordered since the last snapshot, or since the beginning.
func changesSince(st op.Status, s op.Saving) uint64 {
	if s.LastIndex > st.Index { // of another history
		return st.Index
	}
	return st.Index - s.LastIndex
}
