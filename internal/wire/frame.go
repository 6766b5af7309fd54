package wire

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"strings"
)

const (
	HeaderBytes = 52
	// Version is this package's, VersionBefore the one that it speaks besides, so that brokers and nodes
	// can be replaced one after the other.
	Version       = 5
	VersionBefore = 4
	magic         = 0x42b7 // bytes b7 42

	// FrameBytesMax bounds one frame on a link; longer messages travel in fragments.
	FrameBytesMax = 1 << 20
	// FragmentBytes is how long these are: what is copied once more is then still in the cache.
	FragmentBytes = 256 << 10
	// FragmentCredit is after how many fragments of a message their receiver tells the sender so.
	FragmentCredit = 4
	// MessageBytesMax bounds a message put together from fragments.
	MessageBytesMax = 3 << 30
)

// Type says what a frame's body is.
type Type uint8

const (
	THello    Type = iota + 1 // node: here I am
	TPrepare                  // broker: promise this epoch
	TPosition                 // node: promised; this is what I hold
	TFenced                   // node: I promised a higher epoch
	TReject                   // broker: not like this (body says why, and whether to try again)
	TTurn                     // broker: entries and reads, in order
	TDone                     // node: how far that came, and the replies
	TNack                     // node: that turn does not follow my position
	TBeat                     // both: heartbeat
	TLoad                     // broker: drop what you hold, a snapshot follows
	TChunk                    // donor, by way of the broker, to joiner: a part of a snapshot
	TCredit                   // joiner, by way of the broker, to donor: so many chunks more
	TAbort                    // broker: that snapshot is over
	TFetch                    // broker: send the entries that you keep
	TEntries                  // node: here they are
	TGoodbye                  // node: I leave; broker: you are out of the set, go
	TAhead                    // broker: an entry that is not ordered yet, without its head; from version 5 on
	TAheadGot                 // node: so much of it has arrived; from version 5 on
	typeEnd
)

var typeNames = [...]string{"?", "hello", "prepare", "position", "fenced", "reject", "turn", "done", "nack",
	"beat", "load", "chunk", "credit", "abort", "fetch", "entries", "goodbye", "ahead", "ahead got"}

func (t Type) String() string {
	if int(t) < len(typeNames) {
		return typeNames[t]
	}
	return fmt.Sprintf("type(%d)", uint8(t))
}

const flagMore = 1 // the message goes on in the next frame of this type and session

// Header is what every frame begins with.
type Header struct {
	Type    Type
	Version uint8 // of the sender; 0 means this package's
	Epoch   uint64
	Session uint64
	Seq     uint64 // of a turn and its Done: the turn's number; of what is sent ahead: its number
	TimeMs  int64
	flags   uint16
	part    uint16 // of a message in several frames, from 0
	whole   uint32 // bytes of the body of such a message
}

// Fragment reports whether the frame is a part of a message, and which.
func (h *Header) Fragment() (part int, ok bool) {
	return int(h.part), h.part > 0 || h.flags&flagMore != 0
}

var (
	ErrMagic   = errors.New("wire: not a frame")
	ErrVersion = errors.New("wire: other protocol version")
	ErrCorrupt = errors.New("wire: corrupt frame")
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// Begin appends an empty header to b; the body is appended after it, and Finish completes it.
func Begin(b []byte) []byte {
	var h [HeaderBytes]byte
	return append(b, h[:]...)
}

// Finish writes the header of the frame that begins at b[0].
func Finish(b []byte, h Header) []byte {
	putHeader(b, h, len(b)-HeaderBytes, crc32.Update(0, castagnoli, b[HeaderBytes:]))
	return b
}

// putHeader writes a header to b[:HeaderBytes]. The checksum is of the body first, so that a body which
// goes out under several headers is summed once.
func putHeader(b []byte, h Header, bodyBytes int, bodySum uint32) {
	le := binary.LittleEndian
	le.PutUint16(b[0:], magic)
	b[2] = h.Version
	if h.Version == 0 {
		b[2] = Version
	}
	b[3] = byte(h.Type)
	le.PutUint16(b[4:], h.flags)
	le.PutUint16(b[6:], h.part)
	le.PutUint64(b[8:], h.Epoch)
	le.PutUint64(b[16:], h.Session)
	le.PutUint64(b[24:], h.Seq)
	le.PutUint64(b[32:], uint64(h.TimeMs))
	le.PutUint32(b[40:], h.whole)
	le.PutUint32(b[44:], uint32(bodyBytes))
	le.PutUint32(b[48:], crc32.Update(bodySum, castagnoli, b[:48]))
}

// IsFrame tells a frame from RESP by its first bytes.
func IsFrame(b []byte) bool {
	return len(b) >= 2 && binary.LittleEndian.Uint16(b) == magic
}

// Decode checks a frame and returns its header and body (which aliases b). With ErrVersion the
// header is filled in as far as it can be trusted, so that the sender can be told.
func Decode(b []byte) (h Header, body []byte, err error) {
	if len(b) < HeaderBytes {
		return DecodeApart(b, nil)
	}
	return DecodeApart(b[:HeaderBytes], b[HeaderBytes:])
}

// DecodeApart is Decode of a frame whose body lies elsewhere.
func DecodeApart(b, rest []byte) (h Header, body []byte, err error) {
	if !IsFrame(b) {
		return h, nil, ErrMagic
	}
	if len(b) != HeaderBytes {
		return h, nil, ErrCorrupt
	}
	le := binary.LittleEndian
	sum := crc32.Update(crc32.Update(0, castagnoli, rest), castagnoli, b[:48])
	if int(le.Uint32(b[44:])) != len(rest) || le.Uint32(b[48:]) != sum {
		return h, nil, ErrCorrupt
	}
	h = header(b)
	if !Speaks(h.Version) {
		return h, nil, OtherVersion(h.Version)
	}
	if h.Type == 0 || h.Type >= typeEnd {
		return h, nil, ErrCorrupt
	}
	return h, rest, nil
}

// Announced reads the header of a frame of n bytes that is not here yet: nothing has been checked, and Decode will.
func Announced(head []byte, n int) (h Header, ok bool) {
	if !IsFrame(head) || len(head) < HeaderBytes || int(binary.LittleEndian.Uint32(head[44:])) != n-HeaderBytes {
		return h, false
	}
	return header(head), true
}

// Speaks reports whether frames of a version can be read and written.
func Speaks(version uint8) bool { return version == Version || version == VersionBefore }

// OtherVersion is the error that Decode returns for one that cannot.
func OtherVersion(version uint8) error {
	return fmt.Errorf("%w: %d, this is %d", ErrVersion, version, Version)
}

// IsOtherVersion reports whether a Reject's reason is that error. The version before says it in words only.
func IsOtherVersion(reason string) bool { return strings.HasPrefix(reason, ErrVersion.Error()) }

// header reads a header.
func header(b []byte) Header {
	le := binary.LittleEndian
	return Header{Type: Type(b[3]), Version: b[2], flags: le.Uint16(b[4:]), part: le.Uint16(b[6:]), Epoch: le.Uint64(b[8:]),
		Session: le.Uint64(b[16:]), Seq: le.Uint64(b[24:]), TimeMs: int64(le.Uint64(b[32:])), whole: le.Uint32(b[40:])}
}
