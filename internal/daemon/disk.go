package daemon

import (
	"errors"
	"fmt"
	"log/slog"

	"github.com/spf13/pflag"

	"brainer/node"
	"brainer/node/storage"
)

// Disk are the flags that say what a node keeps beside its memory.
type Disk struct {
	storage, dir, fsync, onError string
	repair                       bool
}

// Flags are of a daemon that runs a node.
func (d *Disk) Flags(f *pflag.FlagSet) {
	f.StringVar(&d.storage, "storage", "memory", "where the node's copy survives the process: memory (nowhere) or disk")
	f.StringVar(&d.dir, "data-dir", "", "`directory` of --storage disk, of one node only")
	f.StringVar(&d.fsync, "fsync", "everysec", "when --storage disk syncs: always (before a write is acknowledged), everysec, or a number of `writes`")
	f.StringVar(&d.onError, "on-disk-error", "stop-disk", "what a full or failing disk stops: stop-disk (the cache goes on without it) or stop-node")
	f.BoolVar(&d.repair, "repair", false, "put what is damaged in --data-dir aside, and start with what came before it")
}

// Configure opens the storage for a node.
func (d *Disk) Configure(c *node.Config, log *slog.Logger) error {
	switch d.storage {
	case "memory":
		if d.dir != "" || d.repair {
			return errors.New("--data-dir and --repair are of --storage disk")
		}
		return nil
	case "disk":
	default:
		return fmt.Errorf("--storage %q: memory or disk", d.storage)
	}
	if d.dir == "" {
		return errors.New("--storage disk needs --data-dir, a directory of its own")
	}
	var err error
	if c.Fsync, err = node.ParseFsync(d.fsync); err != nil {
		return fmt.Errorf("--fsync %q: %w", d.fsync, err)
	}
	switch d.onError {
	case "stop-disk":
	case "stop-node":
		c.EndWithDisk = true
	default:
		return fmt.Errorf("--on-disk-error %q: stop-disk or stop-node", d.onError)
	}
	dir, err := storage.Dir(d.dir)
	if err == nil {
		c.Storage, err = storage.OpenDisk(dir, storage.Options{Log: log, Repair: d.repair})
	}
	if err != nil {
		return fmt.Errorf("--data-dir: %w", err)
	}
	return nil
}
