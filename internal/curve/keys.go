// Package curve has the keys by which the ends of a ZeroMQ link know each other: their files, who
// may do what, and what became of those who may not. Encrypting with them is libzmq's work (CURVE,
// https://rfc.zeromq.org/spec/26), asking for them package link/zmq's.
package curve

import (
	"bufio"
	"crypto/ecdh"
	"crypto/rand"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strings"
)

// Key is a public key.
type Key [32]byte

// ParseKey reads a key as ZeroMQ writes it: 40 characters of Z85.
func ParseKey(text string) (Key, error) {
	k, ok := decode(text)
	if !ok {
		return Key{}, fmt.Errorf("%q is no key: 40 characters, as brainer-cli keygen writes them", text)
	}
	return k, nil
}

func (k Key) String() string {
	b := [32]byte(k)
	return encode(&b)
}

// Pair is a key with its secret half, which String does not show.
type Pair struct {
	Public Key
	secret [32]byte
}

// Generate draws a new pair.
func Generate() (Pair, error) {
	secret, err := ecdh.X25519().GenerateKey(rand.Reader)
	if err != nil {
		return Pair{}, fmt.Errorf("generate key: %w", err)
	}
	return pairOf([32]byte(secret.Bytes()))
}

func pairOf(secret [32]byte) (Pair, error) {
	k, err := ecdh.X25519().NewPrivateKey(secret[:])
	if err != nil {
		return Pair{}, err
	}
	return Pair{Public: Key(k.PublicKey().Bytes()), secret: secret}, nil
}

// Secret is for libzmq and for the key file alone.
func (p Pair) Secret() string { return encode(&p.secret) }

func (p Pair) String() string { return p.Public.String() }

// GoString keeps the secret out of %#v.
func (p Pair) GoString() string { return p.Public.String() }

// Files are the names of a pair's files.
func Files(name string) (secret, public string) { return name + ".key", name + ".pub" }

// Write makes the two files of a pair, the secret one for its owner's eyes only. It replaces nothing.
func (p Pair) Write(name string) error {
	secret, public := Files(name)
	if _, err := os.Lstat(public); err == nil {
		return fmt.Errorf("%s exists already: choose another name, or remove it first", public)
	}
	text := "# A key pair of Brainer's ZeroMQ links. Keep this file secret.\npublic " + p.String() + "\nsecret " + p.Secret() + "\n"
	if err := create(secret, text, 0o600); err != nil {
		return err
	}
	if err := create(public, "# The public half of "+secret+"'s pair.\npublic "+p.String()+"\n", 0o644); err != nil {
		os.Remove(secret)
		return err
	}
	return nil
}

func create(file, text string, mode fs.FileMode) error {
	f, err := os.OpenFile(file, os.O_WRONLY|os.O_CREATE|os.O_EXCL, mode)
	switch {
	case errors.Is(err, fs.ErrExist):
		return fmt.Errorf("%s exists already: choose another name, or remove it first", file)
	case err != nil:
		return err
	}
	_, err = f.WriteString(text)
	if err = errors.Join(err, f.Sync(), f.Close()); err != nil {
		os.Remove(file)
		return fmt.Errorf("write %s: %w", file, err)
	}
	return nil
}

// LoadPair reads a key file. One that others may read is refused: its secret is none.
func LoadPair(file string) (Pair, error) {
	info, err := os.Stat(file)
	if err != nil {
		return Pair{}, reason(file, err)
	}
	if mode := info.Mode().Perm(); mode&0o027 != 0 { // a group may read: systemd and Kubernetes give files so
		return Pair{}, fmt.Errorf("%s: others may read it (mode %04o); chmod 600 %s", file, mode, file)
	}
	words, err := read(file)
	if err != nil {
		return Pair{}, err
	}
	secret, ok := decode(words["secret"])
	if !ok {
		return Pair{}, fmt.Errorf("%s: no secret key in it; brainer-cli keygen makes such files", file)
	}
	p, err := pairOf(secret)
	if err != nil {
		return Pair{}, fmt.Errorf("%s: %w", file, err)
	}
	if public := words["public"]; public != "" && public != p.String() {
		return Pair{}, fmt.Errorf("%s: its two keys are not of one pair", file)
	}
	return p, nil
}

// LoadPublic reads the public key of a .pub file, or of a whole pair's.
func LoadPublic(file string) (Key, error) {
	words, err := read(file)
	if err != nil {
		return Key{}, err
	}
	k, err := ParseKey(words["public"])
	if err != nil {
		return Key{}, fmt.Errorf("%s: no public key in it; brainer-cli keygen makes such files", file)
	}
	return k, nil
}

// read returns the file's lines, each a word and a value.
func read(file string) (map[string]string, error) {
	f, err := os.Open(file)
	if err != nil {
		return nil, reason(file, err)
	}
	defer f.Close()
	words := map[string]string{}
	lines := bufio.NewScanner(f)
	for lines.Scan() {
		if fields := strings.Fields(lines.Text()); len(fields) == 2 && fields[0] != "#" {
			words[fields[0]] = fields[1]
		}
	}
	if err := lines.Err(); err != nil {
		return nil, reason(file, err)
	}
	return words, nil
}

func reason(file string, err error) error {
	var path *fs.PathError
	if errors.As(err, &path) {
		err = path.Err
	}
	return fmt.Errorf("%s: %w", file, err)
}
