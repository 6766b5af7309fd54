//go:build linux

package system

import (
	"context"
	"fmt"
	"os/exec"
	"strings"
	"time"
)

// Redis starts a redis-server, and replicas of it: without persistence, full syncs without disk
// and without delay.
func Redis(ctx context.Context, replicas int) (*System, error) {
	s, err := create()
	if err != nil {
		return nil, err
	}
	if err := s.redis(ctx, replicas); err != nil {
		s.Stop()
		return nil, err
	}
	return s, nil
}

func (s *System) redis(ctx context.Context, replicas int) (err error) {
	if s.Address, err = s.startRedis("redis"); err != nil {
		return err
	}
	s.target = s.Address
	for range replicas {
		if _, err := s.startRedis("replica", "--replicaof", "127.0.0.1 "+port(s.Address)); err != nil {
			return err
		}
	}
	return s.await(ctx, "redis-server and its replicas", func() error {
		info, err := call(s.Address, "INFO", "replication")
		if err != nil {
			return err
		}
		if online := strings.Count(info.Text(), "state=online"); online < replicas {
			return fmt.Errorf("%d of %d replicas are online", online, replicas)
		}
		return nil
	})
}

func (s *System) startRedis(role string, args ...string) (address string, err error) {
	path, err := exec.LookPath("redis-server")
	if err != nil {
		return "", err
	}
	if address, err = freeAddress(); err != nil {
		return "", err
	}
	return address, s.start(role, path, append([]string{
		"--port", port(address), "--bind", "127.0.0.1", "--save", "", "--appendonly", "no",
		"--repl-diskless-sync", "yes", "--repl-diskless-sync-delay", "0", "--repl-diskless-load", "on-empty-db",
		"--client-output-buffer-limit", "replica 0 0 0", "--maxclients", "20000",
	}, args...)...)
}

// joinRedis starts one more replica and returns how long it took from its start until it had
// everything, and of that from the master's first byte.
func (s *System) joinRedis(ctx context.Context) (j Join, err error) {
	began := time.Now()
	address, err := s.startRedis("replica", "--replicaof", "127.0.0.1 "+port(s.target))
	if err != nil {
		return j, err
	}
	defer s.stopLast()
	joiner := s.Processes[len(s.Processes)-1]
	syncing := time.Time{}
	err = s.awaitFor(ctx, joinLimit, "the full sync", func() error {
		info, err := call(address, "INFO", "replication")
		if err != nil {
			return err
		}
		text := info.Text()
		if syncing.IsZero() && strings.Contains(text, "master_sync_in_progress:1") {
			syncing = time.Now()
		}
		if !strings.Contains(text, "master_link_status:up") {
			return fmt.Errorf("the link is not up")
		}
		return nil
	})
	if err != nil {
		return j, err
	}
	now := time.Now()
	j.Total, j.BySnapshot = now.Sub(began), true
	if !syncing.IsZero() {
		j.Snapshot = now.Sub(syncing)
	}
	keys, err := call(address, "DBSIZE")
	if err != nil {
		return j, err
	}
	j.Keys = keys.Int
	return j, j.resources(joiner, s.Processes[0])
}
