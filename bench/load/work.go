//go:build linux

package load

import (
	"fmt"
	"math/rand"
	"strconv"

	"brainer/resp"
)

// Work is what the connections do.
type Work struct {
	Conns      int
	Pipeline   int     // commands that one connection sends together; it then awaits all their replies
	Keys       int     // k000000000000000 and on, 16 bytes each
	Zipf       float64 // exponent of the keys' popularity, more than 1; 0: all keys alike
	ValueBytes int
	Reads      int // per cent of the commands that are GET; the others are SET

	// Barrier is sent behind every pipeline, BarrierReply must be its answer: WAIT 2 0 and ":2\r\n".
	// With it a command counts as done when the barrier's reply is there.
	Barrier      []string
	BarrierReply string

	Prelude []string // one command that every connection sends first
	Threads int      // of the generator; 0: one
}

const (
	keyDigits = 15
	keyBytes  = 1 + keyDigits
)

// KeyName is the key with number n.
func KeyName(n int) string { return fmt.Sprintf("k%0*d", keyDigits, n) }

// templates are the commands' bytes with zeros for the key's digits.
type templates struct {
	get, set, barrier []byte
	getKey, setKey    int // where the key ends
}

func newTemplates(w Work) templates {
	key := []byte(KeyName(0))
	value := make([]byte, w.ValueBytes)
	// Bytes that do not compress and are no digits, the same in every run.
	random := rand.New(rand.NewSource(1))
	for i := range value {
		value[i] = byte('A' + random.Intn(26))
	}
	t := templates{
		get: resp.AppendCommand(nil, []byte("GET"), key),
		set: resp.AppendCommand(nil, []byte("SET"), key, value),
	}
	t.getKey = len(t.get) - 2
	t.setKey = len("*3\r\n$3\r\nSET\r\n$16\r\n") + keyBytes
	if len(w.Barrier) > 0 {
		t.barrier = encode(w.Barrier)
	}
	return t
}

func encode(command []string) []byte {
	args := make([][]byte, len(command))
	for i, a := range command {
		args[i] = []byte(a)
	}
	return resp.AppendCommand(nil, args...)
}

func (t *templates) appendGet(b []byte, key uint32) []byte {
	end := len(b) + t.getKey
	b = append(b, t.get...)
	return putDigits(b, end, key)
}

func (t *templates) appendSet(b []byte, key uint32) []byte {
	end := len(b) + t.setKey
	b = append(b, t.set...)
	return putDigits(b, end, key)
}

// putDigits writes key in front of end, over zeros.
func putDigits(b []byte, end int, key uint32) []byte {
	for ; key > 0; key /= 10 {
		end--
		b[end] = byte('0' + key%10)
	}
	return b
}

// draws are keys drawn beforehand, so that drawing costs the run nothing; a connection begins
// anywhere in them and goes round.
func draws(w Work) []uint32 {
	const n = 1 << 19
	random := rand.New(rand.NewSource(2))
	keys := make([]uint32, n)
	if w.Zipf == 0 {
		for i := range keys {
			keys[i] = uint32(random.Intn(w.Keys))
		}
		return keys
	}
	zipf := rand.NewZipf(random, w.Zipf, 1, uint64(w.Keys-1))
	for i := range keys {
		keys[i] = uint32(zipf.Uint64())
	}
	return keys
}

// String is the work in a few words, for the report.
func (w Work) String() string {
	s := strconv.Itoa(w.Reads) + " % GET"
	switch w.Reads {
	case 100:
		s = "GET"
	case 0:
		s = "SET"
	}
	s += fmt.Sprintf(", %d connections, pipelines of %d, %d keys of %d bytes, values of %d bytes", w.Conns, w.Pipeline, w.Keys, keyBytes, w.ValueBytes)
	if w.Zipf > 0 {
		s += fmt.Sprintf(", zipf %g", w.Zipf)
	}
	if len(w.Prelude) > 0 {
		s += fmt.Sprintf(", first %q", w.Prelude)
	}
	if len(w.Barrier) > 0 {
		s += fmt.Sprintf(", then %q", w.Barrier)
	}
	return s
}
