package wire

import (
	"encoding/binary"
	"errors"
	"strconv"
)

// A snapshot is a stream of records. Each is a head of 16 bytes and a command in RESP that restores
// what the record is about, so that the commands alone, behind their SELECTs, load into any Redis:
//
//	kind u8 | db u8 | form u8 | encoding u8 | access u32 (s) | length u32 | whole u32 | command
//
// What the heads and the private kinds carry is for nodes: without it keys look freshly used, their
// encodings are those of freshly made ones, nothing is watched and no write that was applied is known.
//
// A long string comes in parts, SET and then APPENDs, its deadline behind the last; nothing comes in between. So neither
// donor, broker nor joiner is kept from other work by it. One that is sent to a joiner of the version before is whole.
const (
	RecordString = 1 // SET key value [PXAT ms]
	RecordHash   = 2 // HSET key field value ...
	RecordExpire = 3 // PEXPIREAT key ms: the deadline of the hash, or of the string in parts, before it
	RecordWatch  = 4 // WATCH key ...: private; db, token in the first argument
	RecordTime   = 5 // TIME last ms: private; the highest time of an entry or a read
	RecordID     = 6 // ID client number deadline-ms RESP-version bytes reply: private; an outcome
	RecordPart   = 7 // APPEND key part: more of the string before it, whose head says how long it is in the end
)

// RecordHead is how long a record's head is.
const RecordHead = 16

// ErrRecord: that is no record of a snapshot.
var ErrRecord = errors.New("wire: damaged snapshot record")

func privateRecord(kind byte) bool {
	return kind == RecordWatch || kind == RecordTime || kind == RecordID
}

// NextRecord takes the first record off b.
func NextRecord(b []byte) (head, command, rest []byte, err error) {
	if len(b) < RecordHead {
		return nil, nil, b, ErrRecord
	}
	n := int(binary.LittleEndian.Uint32(b[8:]))
	if n > len(b)-RecordHead {
		return nil, nil, b, ErrRecord
	}
	return b[:RecordHead], b[RecordHead : RecordHead+n], b[RecordHead+n:], nil
}

// AppendCommands appends the commands of records that any Redis understands. db is the database that the last command
// before was for, -1 at the beginning; n is how many commands were appended.
func AppendCommands(b, records []byte, db int) (_ []byte, dbNow, n int, err error) {
	for len(records) > 0 {
		head, command, rest, err := NextRecord(records)
		if err != nil {
			return b, db, n, err
		}
		records = rest
		if privateRecord(head[0]) {
			continue
		}
		if to := int(head[1]); to != db {
			number := strconv.Itoa(to)
			b = append(b, "*2\r\n$6\r\nSELECT\r\n$"...)
			b = strconv.AppendInt(b, int64(len(number)), 10)
			b = append(append(append(b, '\r', '\n'), number...), '\r', '\n')
			db = to
			n++
		}
		b = append(b, command...)
		n++
	}
	return b, db, n, nil
}
