// Package eviction is the vocabulary of a memory limit: the policies that say which keys go when it is reached, and how
// the keys are shared out between the nodes that name candidates. Candidates are found in internal/keyspace, the order
// in which they go is broker/replication's.
package eviction

import (
	"fmt"
	"strings"
)

// Policy is one of Redis's maxmemory policies.
type Policy uint8

const (
	NoEviction Policy = iota
	AllKeysLRU
	AllKeysLFU
	AllKeysRandom
	VolatileLRU
	VolatileLFU
	VolatileRandom
	VolatileTTL
	policies
)

// The order is the one in which Redis's error lists them.
var listed = [policies]Policy{VolatileLRU, VolatileLFU, VolatileRandom, VolatileTTL, AllKeysLRU, AllKeysLFU, AllKeysRandom, NoEviction}

var names = [policies]string{"noeviction", "allkeys-lru", "allkeys-lfu", "allkeys-random",
	"volatile-lru", "volatile-lfu", "volatile-random", "volatile-ttl"}

// String is the policy's name in redis.conf.
func (p Policy) String() string {
	if p < policies {
		return names[p]
	}
	return fmt.Sprintf("policy %d", uint8(p))
}

// Valid says whether there is such a policy.
func (p Policy) Valid() bool { return p < policies }

// Names is the names of all policies.
func Names() []string {
	all := make([]string, len(listed))
	for i, p := range listed {
		all[i] = p.String()
	}
	return all
}

// ParsePolicy reads a name. Its error is CONFIG SET's.
func ParsePolicy(name string) (Policy, error) {
	for p, n := range names {
		if strings.EqualFold(name, n) {
			return Policy(p), nil
		}
	}
	return 0, fmt.Errorf("argument(s) must be one of the following: %s", strings.Join(Names(), ", "))
}

// Volatile says whether only keys with a deadline go.
func (p Policy) Volatile() bool { return p >= VolatileLRU && p <= VolatileTTL }

// LFU says whether keys go by how often they are accessed.
func (p Policy) LFU() bool { return p == AllKeysLFU || p == VolatileLFU }

// Random says whether any key may go.
func (p Policy) Random() bool { return p == AllKeysRandom || p == VolatileRandom }
