package broker_test

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"

	"brainer/internal/link/mem"
	"brainer/node"
	"brainer/node/storage"
	"brainer/node/storage/simfs"
)

// onDisk has a node keep its copy on a simulated disk.
func onDisk(t *testing.T, sim *simfs.Disk, fsync node.Fsync) func(*node.Config) {
	return func(c *node.Config) {
		d, err := storage.OpenDisk(sim.Mount(), storage.Options{Log: c.Log})
		if err != nil {
			t.Fatal(err)
		}
		c.Storage, c.Fsync = d, fsync
	}
}

func TestANodeWithADiskResumesWhereItWas(t *testing.T) {
	net := mem.New()
	b, _ := startBroker(t, net, &memStore{})
	sim := simfs.New(rand.New(rand.NewPCG(1, 1)))
	_, _ = startNode(t, net, "n1")
	await(t, "the first node", func() bool { return inSync(b) == 1 })
	for _, fsync := range []node.Fsync{{Always: true}, {Every: 3}, {}} {
		_, stop := startNodeWith(t, net, "n2", onDisk(t, sim, fsync))
		await(t, "the second node", func() bool { return inSync(b) == 2 })
		for i := range 100 {
			if got := do(t, b, "SET", fmt.Sprint("k", i), fsync.String()+strings.Repeat("x", i)); got != "+OK\r\n" {
				t.Fatal(got)
			}
			if i == 50 {
				index, kept, err := b.KeepSnapshots()
				if err != nil || kept == nil || index != b.Status().Index {
					t.Fatalf("no snapshot is begun: %d, %v", index, err)
				}
				if err := kept(t.Context()); err != nil {
					t.Error(err)
				}
			}
		}
		snapshots := b.Status().SnapshotsTotal
		stop()
		do(t, b, "SET", "meanwhile", "1")
		sim.Crash()
		_, stop = startNodeWith(t, net, "n2", onDisk(t, sim, fsync))
		await(t, "the second node again", func() bool { return inSync(b) == 2 })
		if s := b.Status(); s.SnapshotsTotal != snapshots || s.DigestMismatches > 0 {
			t.Errorf("%v: %d snapshots, then %d; %d mismatches", fsync, snapshots, s.SnapshotsTotal, s.DigestMismatches)
		}
		stop()
		sim.Crash()
	}
}
