//go:build linux

package system

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"time"

	"brainer/internal/op"
)

// Brainer starts a broker and so many nodes that dial it over ipc; without nodes the broker has
// its embedded one. bin is the directory of the programs. With profiles they serve Go profiles,
// as far as they can. more are further arguments of the broker.
func Brainer(ctx context.Context, bin string, nodes int, profiles bool, more ...string) (*System, error) {
	s, err := create()
	if err != nil {
		return nil, err
	}
	s.bin, s.target = bin, "ipc://"+filepath.Join(s.dir, "broker.sock")
	if err := s.brainer(ctx, nodes, profiles, more); err != nil {
		s.Stop()
		return nil, err
	}
	return s, nil
}

// BrainerOnDisk starts a broker and one node that keeps its copy on disk.
func BrainerOnDisk(ctx context.Context, bin string) (*System, error) {
	s, err := create()
	if err != nil {
		return nil, err
	}
	s.bin, s.target, s.onDisk = bin, "ipc://"+filepath.Join(s.dir, "broker.sock"), true
	if err := s.brainer(ctx, 1, false, nil); err != nil {
		s.Stop()
		return nil, err
	}
	return s, nil
}

// SaveSnapshot has brainer-cli save one in the system's directory.
func (s *System) SaveSnapshot(ctx context.Context) error {
	file := filepath.Join(s.dir, "snapshot")
	out, err := exec.CommandContext(ctx, filepath.Join(s.bin, "brainer-cli"), s.target, "snapshot", "save", file).CombinedOutput()
	if err != nil {
		return fmt.Errorf("brainer-cli: %w: %s", err, out)
	}
	return os.Remove(file)
}

func (s *System) brainer(ctx context.Context, nodes int, profiles bool, more []string) (err error) {
	if s.Address, err = freeAddress(); err != nil {
		return err
	}
	args := []string{"--broker", s.target, "--listen", s.Address, "--state-dir", filepath.Join(s.dir, "state")}
	page := ""
	if profiles {
		if page, err = freeAddress(); err != nil {
			return err
		}
		args = append(args, "--pprof")
	}
	args = append(args, "--metrics", page, fmt.Sprintf("--embedded=%t", nodes == 0))
	args = append(args, more...)
	if err := s.start("broker", filepath.Join(s.bin, "run_broker"), args...); err != nil {
		return err
	}
	s.Processes[0].page = page
	for range nodes {
		if err := s.startNode(); err != nil {
			return err
		}
	}
	return s.await(ctx, "the nodes", func() error {
		st, err := s.status()
		if err != nil {
			return err
		}
		if st.State != "active" {
			return fmt.Errorf("the broker is %s", st.State)
		}
		if in := inSync(st); in < max(nodes, 1) {
			return fmt.Errorf("%d of %d nodes are in sync", in, max(nodes, 1))
		}
		return nil
	})
}

func (s *System) startNode() error {
	s.copies++
	args := []string{"--broker", s.target, "--node-endpoint", fmt.Sprintf("ipc://%s/node%d.sock", s.dir, s.copies), "--id", fmt.Sprintf("node%d", s.copies)}
	if s.onDisk {
		args = append(args, "--storage", "disk", "--data-dir", fmt.Sprintf("%s/data%d", s.dir, s.copies))
	}
	return s.start("node", filepath.Join(s.bin, "run_node"), args...)
}

func (s *System) status() (st op.Status, err error) {
	reply, err := call(s.Address, "BRAINER", "STATUS", "JSON")
	if err != nil {
		return st, err
	}
	return st, json.Unmarshal([]byte(reply.Text()), &st)
}

func inSync(st op.Status) (n int) {
	for _, node := range st.Nodes {
		if node.InSync {
			n++
		}
	}
	return n
}

// joinBrainer starts one more node and returns how long it took until it was in sync.
func (s *System) joinBrainer(ctx context.Context, keys int64) (j Join, err error) {
	before, err := s.status()
	if err != nil {
		return j, err
	}
	began := time.Now()
	if err := s.startNode(); err != nil {
		return j, err
	}
	id := fmt.Sprintf("node%d", s.copies)
	defer s.stopLast()
	joiner := s.Processes[len(s.Processes)-1]
	var snapshotFrom, snapshotTo time.Time
	err = s.awaitFor(ctx, joinLimit, "the join", func() error {
		st, err := s.status()
		if err != nil {
			return err
		}
		now := time.Now()
		for _, n := range st.Nodes {
			if n.ID != id {
				continue
			}
			if n.Join != nil && n.Join.Phase == "snapshot" {
				if snapshotFrom.IsZero() {
					snapshotFrom = now
				}
				snapshotTo = now
			}
			if n.InSync {
				j.Total = now.Sub(began)
				return nil
			}
		}
		return fmt.Errorf("%d nodes are in sync", inSync(st))
	})
	if err != nil {
		return j, err
	}
	j.Snapshot = snapshotTo.Sub(snapshotFrom)
	after, err := s.status()
	if err != nil {
		return j, err
	}
	j.BySnapshot = after.SnapshotsTotal > before.SnapshotsTotal
	// The count of keys comes with a heartbeat; one that stays wrong is for the caller to judge.
	_ = s.awaitFor(ctx, 3*time.Second, "the joiner's count of keys", func() error {
		st, err := s.status()
		if err != nil {
			return err
		}
		for _, n := range st.Nodes {
			if n.ID == id {
				j.Keys = n.Keys
			}
		}
		if j.Keys != keys {
			return fmt.Errorf("%d of %d", j.Keys, keys)
		}
		return nil
	})
	return j, j.resources(joiner, s.Processes[1])
}
