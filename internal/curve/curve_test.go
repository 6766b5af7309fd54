package curve

import (
	"bytes"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// The pair is the one that libzmq's own documentation shows (zmq_curve).
const (
	docPublic = "Yne@$w-vo<fVvi]a<NY6T1ed:M$fCG*[IaLV{hID"
	docSecret = "D:)Q[IlAW!ahhC2ac:9*A}h:p?([4%wOTJ%JR%cs"
)

// patience is how long a test waits for what must happen: it costs nothing when it does.
const patience = 30 * time.Second

func TestKeysAreThoseOfZeroMQ(t *testing.T) {
	secret, ok := decode(docSecret)
	if !ok {
		t.Fatal("the secret of the documentation is not read")
	}
	p, err := pairOf(secret)
	if err != nil || p.String() != docPublic || p.Secret() != docSecret {
		t.Errorf("%s %s %v", p, p.Secret(), err)
	}
	if all := fmt.Sprintf("%v %+v %#v %s", p, p, p, p); strings.Contains(all, docSecret) || strings.Contains(all, fmt.Sprint(secret[:4])) {
		t.Errorf("printing a pair shows its secret: %s", all)
	}
}

func TestTextThatIsNoKey(t *testing.T) {
	for _, text := range []string{"", "x", docPublic[1:], docPublic + "0", strings.Repeat("\"", 40), strings.Repeat("#", 40)} {
		if k, err := ParseKey(text); err == nil {
			t.Errorf("%q: %s", text, k)
		}
	}
}

func TestAPairIsWrittenForItsOwnerAlone(t *testing.T) {
	name := filepath.Join(t.TempDir(), "broker")
	p, err := Generate()
	if err != nil {
		t.Fatal(err)
	}
	if err := p.Write(name); err != nil {
		t.Fatal(err)
	}
	secret, public := Files(name)
	for file, want := range map[string]os.FileMode{secret: 0o600, public: 0o644} {
		if info, err := os.Stat(file); err != nil || info.Mode().Perm()&^want != 0 {
			t.Errorf("%s: %v %v", file, info.Mode(), err)
		}
	}
	if got, err := LoadPair(secret); err != nil || got != p {
		t.Errorf("%v %v", got, err)
	}
	for _, file := range []string{secret, public} {
		if got, err := LoadPublic(file); err != nil || got != p.Public {
			t.Errorf("%s: %v %v", file, got, err)
		}
	}
	if b, err := os.ReadFile(public); err != nil || bytes.Contains(b, []byte(p.Secret())) {
		t.Errorf("the public file has the secret in it: %s %v", b, err)
	}
	other, err := Generate()
	if err != nil {
		t.Fatal(err)
	}
	for _, gone := range []string{"", secret, public} { // what is left is not replaced either
		if gone != "" {
			must(t, os.Rename(gone, gone+".away"))
		}
		if err := other.Write(name); err == nil || !strings.Contains(err.Error(), "exists already") {
			t.Errorf("written over, without %q: %v", gone, err)
		}
		if gone != "" {
			if _, err := os.Stat(gone); err == nil {
				t.Errorf("%s is left over from a pair that was not written", gone)
			}
			must(t, os.Rename(gone+".away", gone))
		}
	}
	if got, err := LoadPair(secret); err != nil || got != p {
		t.Errorf("afterwards: %v %v", got, err)
	}
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func write(t *testing.T, content string) string {
	t.Helper()
	file := filepath.Join(t.TempDir(), "file")
	must(t, os.WriteFile(file, []byte(content), 0o600))
	return file
}

func TestKeyFilesThatAreRefused(t *testing.T) {
	for content, want := range map[string]string{
		"":                                "no secret key",
		"public " + docPublic + "\n":      "no secret key",
		"secret " + docSecret[:39] + "\n": "no secret key",
		"public " + strings.Repeat("0", 40) + "\nsecret " + docSecret + "\n": "not of one pair",
	} {
		if _, err := LoadPair(write(t, content)); err == nil || !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), docSecret[:39]) {
			t.Errorf("%q: %v", content, err)
		}
	}
	file := write(t, "secret "+docSecret+"\n")
	for mode, ok := range map[os.FileMode]bool{0o600: true, 0o400: true, 0o440: true, 0o640: true, 0o644: false, 0o604: false, 0o660: false, 0o601: false} {
		must(t, os.Chmod(file, mode))
		if _, err := LoadPair(file); (err == nil) != ok {
			t.Errorf("mode %04o: %v", mode, err)
		}
	}
	if _, err := LoadPair("/nowhere/x.key"); err == nil || err.Error() != "/nowhere/x.key: no such file or directory" {
		t.Error(err)
	}
}

func TestTheListSaysWhoMayDoWhat(t *testing.T) {
	other := strings.Repeat("0", 40)
	file := write(t, "# keys\n\nnode "+docPublic+" n1\n  client\t"+docPublic+"\nclient "+other+" billing\n")
	a, err := LoadAllowed(file, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	key, _ := ParseKey(docPublic)
	if c, ok := a.Find(docPublic); !ok || c != (Caller{Key: key, Node: true, NodeID: "n1", Client: true}) {
		t.Errorf("%+v %v", c, ok)
	}
	if c, ok := a.Find(other); !ok || c.Node || !c.Client || c.NodeID != "" {
		t.Errorf("%+v %v", c, ok)
	}
	if _, ok := a.Find(docSecret); ok {
		t.Error("a key that is not listed is found")
	}
	for content, want := range map[string]string{
		"node":                 "line 1: a line is",
		"\nadmin " + docPublic: `line 2: the role "admin"`,
		"client x":             `line 1: "x" is no key`,
		"node " + docPublic + " a\nnode " + docPublic + " b": "line 2: the key",
	} {
		if _, err := LoadAllowed(write(t, content), slog.New(slog.DiscardHandler)); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v, want %q", content, err, want)
		}
	}
}

func TestTheListIsReadAgain(t *testing.T) {
	file := write(t, "client "+docPublic+"\n")
	var log bytes.Buffer // Find reads the list again, so it writes too
	a, err := LoadAllowed(file, slog.New(slog.NewTextHandler(&log, nil)))
	if err != nil {
		t.Fatal(err)
	}
	replace := func(content string) {
		must(t, os.WriteFile(file+".new", []byte(content), 0o600))
		must(t, os.Rename(file+".new", file))
	}
	await := func(what string, ok func() bool) {
		t.Helper()
		for deadline := time.Now().Add(patience); !ok(); time.Sleep(time.Millisecond) {
			if time.Now().After(deadline) {
				t.Fatalf("%s: not within %s", what, patience)
			}
		}
	}
	listed := func() bool { _, ok := a.Find(docPublic); return ok }
	replace("# nobody\n")
	await("the key is gone", func() bool { return !listed() })
	replace("client " + docPublic + "\n")
	await("the key is back", listed)
	replace("client " + docPublic[:20] + "\n") // an editor's slip
	await("the slip is seen", func() bool {
		if !listed() {
			t.Fatal("a file that cannot be read locks everybody out")
		}
		return strings.Contains(log.String(), "cannot be used")
	})
}

func TestRefusalsAreCountedAndLoggedNowAndThen(t *testing.T) {
	var log bytes.Buffer
	r := NewRefusals(slog.New(slog.NewTextHandler(&log, nil)))
	for range 1000 {
		r.Add(UnknownKey, "203.0.113.7", docPublic)
		r.Add(NotItsPlace, "", docPublic)
	}
	if r.Count(UnknownKey) != 1000 || r.Count(NotItsPlace) != 1000 || r.Count(NoHandshake) != 0 {
		t.Error("miscounted")
	}
	if n := strings.Count(log.String(), "\n"); n < 2 || n > 10 || !strings.Contains(log.String(), "addr=203.0.113.7") {
		t.Errorf("%d lines:\n%s", n, log.String())
	}
}
