package zmtp

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
)

// The flags of a frame.
const (
	flagMore    = 1
	flagLong    = 2
	flagCommand = 4
)

const (
	headMax       = 9
	greetingBytes = 64
	commandMax    = 1024 // of a handshake, and of PING: its bytes are kept before anything is known of the peer
	mechanismAt   = 12
	mechanismSize = 20
)

var errProtocol = errors.New("not ZMTP 3")

// greeting is the first that either end says: version 3.0, no security mechanism.
func greeting() []byte {
	g := make([]byte, greetingBytes)
	copy(g, "\xff\x00\x00\x00\x00\x00\x00\x00\x01\x7f\x03\x00NULL")
	return g
}

func checkGreeting(g []byte) error {
	mechanism := g[mechanismAt : mechanismAt+mechanismSize]
	switch {
	case g[0] != 0xff || g[9]&1 == 0 || g[10] < 3:
		return errProtocol
	case !bytes.Equal(bytes.TrimRight(mechanism, "\x00"), []byte("NULL")):
		return fmt.Errorf("security mechanism %q on an ipc endpoint", mechanism)
	}
	return nil
}

// appendHead appends what stands before a frame's body of n bytes.
func appendHead(b []byte, flags byte, n int) []byte {
	if n <= 255 {
		return append(b, flags, byte(n))
	}
	return binary.BigEndian.AppendUint64(append(b, flags|flagLong), uint64(n))
}

// parseHead reads a frame's head; size 0: there is not enough.
func parseHead(b []byte) (flags byte, body uint64, size int) {
	switch {
	case len(b) < 2:
		return 0, 0, 0
	case b[0]&flagLong == 0:
		return b[0], uint64(b[1]), 2
	case len(b) < headMax:
		return 0, 0, 0
	}
	return b[0], binary.BigEndian.Uint64(b[1:headMax]), headMax
}

// appendReady appends the command that ends a handshake.
func appendReady(b []byte, socketType, identity string) []byte {
	body := []byte("\x05READY")
	for _, p := range [][2]string{{"Socket-Type", socketType}, {"Identity", identity}} {
		body = append(append(body, byte(len(p[0]))), p[0]...)
		body = append(binary.BigEndian.AppendUint32(body, uint32(len(p[1]))), p[1]...)
	}
	return append(appendHead(b, flagCommand, len(body)), body...)
}

// parseReady returns the properties of READY that count.
func parseReady(body []byte) (socketType, identity string, err error) {
	rest, ok := bytes.CutPrefix(body, []byte("\x05READY"))
	if !ok {
		return "", "", errProtocol
	}
	for len(rest) > 0 {
		n := int(rest[0])
		if len(rest) < 1+n+4 {
			return "", "", errProtocol
		}
		name, value := rest[1:1+n], rest[1+n+4:]
		size := uint64(binary.BigEndian.Uint32(rest[1+n:]))
		if size > uint64(len(value)) {
			return "", "", errProtocol
		}
		switch {
		case bytes.EqualFold(name, []byte("Socket-Type")):
			socketType = string(value[:size])
		case bytes.EqualFold(name, []byte("Identity")):
			identity = string(value[:size])
		}
		rest = value[size:]
	}
	if len(identity) > 255 || len(identity) > 0 && identity[0] == 0 {
		return "", "", errProtocol
	}
	return socketType, identity, nil
}

// pong is the answer to a PING command, if it is one (ZMTP 3.1: time to live in two bytes, then what to say again).
func pong(command []byte) ([]byte, bool) {
	rest, ok := bytes.CutPrefix(command, []byte("\x04PING"))
	if !ok || len(rest) < 2 {
		return nil, false
	}
	body := append([]byte("\x04PONG"), rest[2:min(len(rest), 2+16)]...)
	return append(appendHead(nil, flagCommand, len(body)), body...), true
}
