package server

import (
	"log/slog"
	"sync/atomic"
	"syscall"
	"time"
)

// settings are what CONFIG SET can change while connections use it.
type settings struct {
	password      atomic.Pointer[string]
	protectedMode atomic.Bool

	maxClients, idleTimeoutS, keepAliveS  atomic.Int64
	writeTimeoutMs, partialTimeoutMs      atomic.Int64
	bulkMax, queryBufferMax               atomic.Int64
	pubsubHard, pubsubSoft, pubsubSoftS   atomic.Int64 // bytes, bytes, seconds; 0: no limit
	normalHard, normalSoft, normalSoftS   atomic.Int64 // kept for CONFIG GET; a turn bounds what they would
	replicaHard, replicaSoft, replicSoftS atomic.Int64 // "
}

const (
	defaultMaxClients = 10000
	reservedFDs       = 128
	reservedShare     = 8 // of the limit, if that is more
)

func (st *settings) init(opts Options, log *slog.Logger) {
	password := opts.Password
	st.password.Store(&password)
	st.protectedMode.Store(opts.Protected)
	st.maxClients.Store(int64(affordableClients(or(opts.MaxClients, defaultMaxClients), opts.ReservedFDs, log)))
	st.idleTimeoutS.Store(int64(opts.IdleTimeout / time.Second))
	st.keepAliveS.Store(int64(or(opts.KeepAlive, 300*time.Second) / time.Second))
	st.writeTimeoutMs.Store(or(opts.WriteTimeout, 30*time.Second).Milliseconds())
	st.partialTimeoutMs.Store(or(opts.PartialTimeout, 60*time.Second).Milliseconds())
	st.bulkMax.Store(or(opts.BulkMax, 512<<20))
	st.queryBufferMax.Store(or(opts.QueryBufferMax, 1<<30))
	st.pubsubHard.Store(32 << 20)
	st.pubsubSoft.Store(8 << 20)
	st.pubsubSoftS.Store(60)
	st.replicaHard.Store(256 << 20)
	st.replicaSoft.Store(64 << 20)
	st.replicSoftS.Store(60)
}

// reserve is how many descriptors are not for clients when so many files may be open. Connections to
// the ZeroMQ endpoint come out of it, and nobody counts them: libzmq accepts whoever connects, and
// cannot be told to close one. So it grows with the limit.
func reserve(limit uint64) int { return int(min(max(reservedFDs, limit/reservedShare), 1<<20)) }

// affordableClients lowers max to what the limit of open files leaves beside the reserve (0: as much as
// reserve says).
func affordableClients(max, reserved int, log *slog.Logger) int {
	var limit syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &limit); err != nil {
		log.Warn("the limit of open files is unknown, maxclients stays", "maxclients", max, "err", err)
		return max
	}
	reserved = or(reserved, reserve(limit.Cur))
	if uint64(max+reserved) <= limit.Cur {
		return max
	}
	lowered := 1
	if limit.Cur > uint64(reserved) {
		lowered = int(limit.Cur) - reserved
	}
	log.Warn("maxclients lowered to what the limit of open files allows; raise it with ulimit -n",
		"requested", max, "maxclients", lowered, "open_files", limit.Cur, "reserved", reserved)
	return lowered
}

// or returns value, or fallback where value is zero.
func or[T comparable](value, fallback T) T {
	var zero T
	if value == zero {
		return fallback
	}
	return value
}
