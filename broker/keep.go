package broker

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"brainer/broker/replication"
)

const keptAskedEvery = 50 * time.Millisecond

// KeepSnapshots has the nodes with a disk replace their logs by snapshots of what they hold now. That is the
// state at index or later. Await waits until all have done so; it is nil when there is no such node.
func (b *Broker) KeepSnapshots() (index uint64, await func(context.Context) error, err error) {
	var number uint64
	var ids []string
	if !b.ask(func(c *replication.Core) {
		_, index, _, _ = c.Indexes()
		number, ids = c.Keep(b.cfg.NowUs())
	}) {
		return 0, nil, errors.New("TRYAGAIN the broker is busy")
	}
	if len(ids) == 0 {
		return 0, nil, nil
	}
	return index, func(ctx context.Context) error {
		defer b.tell(func(c *replication.Core) { c.EndKeep(b.cfg.NowUs(), number) })
		ticker := time.NewTicker(keptAskedEvery)
		defer ticker.Stop()
		for {
			var waiting, lost []string
			switch known := b.ask(func(c *replication.Core) { waiting, lost = c.Keeping(b.cfg.NowUs(), number, ids) }); {
			case len(lost) > 0:
				return fmt.Errorf("ERR no snapshot came to the disk of %s", strings.Join(lost, ", "))
			case known && len(waiting) == 0:
				return nil
			}
			select {
			case <-ticker.C:
			case <-ctx.Done():
				return ctx.Err()
			case <-b.ended:
				return errors.New("ERR the server is going down")
			}
		}
	}, nil
}
