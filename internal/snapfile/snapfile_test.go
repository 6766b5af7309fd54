package snapfile

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
)

func commands(n int) (b []byte) {
	for i := range n {
		b = fmt.Appendf(b, "*3\r\n$3\r\nSET\r\n$6\r\nk%05d\r\n$6\r\nv%05d\r\n", i, i)
	}
	return b
}

func written(t *testing.T, data []byte) []byte {
	t.Helper()
	var b bytes.Buffer
	w, err := NewWriter(&b, Head{Software: "test", Epoch: 3, Index: 14, TimeMs: 1000})
	if err != nil {
		t.Fatal(err)
	}
	if err := w.Write(data, 5); err != nil {
		t.Fatal(err)
	}
	if err := w.End(4); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func read(b []byte) (data []byte, r *Reader, err error) {
	if r, err = NewReader(bytes.NewReader(b)); err != nil {
		return nil, r, err
	}
	defer r.Close()
	data, err = io.ReadAll(r)
	return data, r, err
}

func TestWhatWasWrittenIsRead(t *testing.T) {
	for _, n := range []int{0, 1, 5000} {
		data, r, err := read(written(t, commands(n)))
		if err != nil || !bytes.Equal(data, commands(n)) {
			t.Fatalf("%d: %d bytes, %v", n, len(data), err)
		}
		if r.Head.Index != 14 || r.Head.Epoch != 3 || r.Tail.Keys != 4 || r.Tail.Commands != 5 {
			t.Errorf("%+v %+v", r.Head, r.Tail)
		}
	}
}

func TestZstdReadsTheCommandsAlone(t *testing.T) {
	zstd, err := exec.LookPath("zstd")
	if err != nil {
		t.Skip("no zstd here")
	}
	cmd := exec.Command(zstd, "-dc")
	cmd.Stdin = bytes.NewReader(written(t, commands(100)))
	out, err := cmd.Output()
	if err != nil || !bytes.Equal(out, commands(100)) {
		t.Fatalf("%d bytes, %v", len(out), err)
	}
}

func TestEveryCutIsSeen(t *testing.T) {
	whole := written(t, commands(300))
	for n := range len(whole) {
		if _, _, err := read(whole[:n]); err == nil {
			t.Fatalf("cut off after %d of %d bytes: not noticed", n, len(whole))
		} else if n > 200 && !errors.Is(err, ErrTruncated) && !errors.Is(err, ErrDamaged) {
			t.Errorf("cut off after %d of %d bytes: %v", n, len(whole), err)
		}
	}
}

func TestEveryFlippedBitIsSeen(t *testing.T) {
	whole := written(t, commands(100))
	for i := range whole {
		for bit := range 8 {
			b := bytes.Clone(whole)
			b[i] ^= 1 << bit
			data, _, err := read(b)
			if err == nil && !bytes.Equal(data, commands(100)) {
				t.Fatalf("bit %d of byte %d: not noticed", bit, i)
			}
		}
	}
}

func TestOtherFilesAreTold(t *testing.T) {
	newer := frame(headMagic, []byte(`{"brainer_snapshot":2}`))
	for _, c := range []struct {
		b    []byte
		want error
	}{
		{nil, ErrForeign},
		{[]byte("REDIS0010\xfa"), ErrForeign},
		{commands(3), ErrForeign},
		{bytes.Repeat([]byte{0}, 100), ErrForeign},
		{frame(headMagic, []byte("something else")), ErrForeign},
		{newer, ErrNewer(2)},
	} {
		if _, _, err := read(c.b); err != c.want {
			t.Errorf("%.20q: %v, want %v", c.b, err, c.want)
		}
	}
}

type fullDisk struct{ left int }

func (d *fullDisk) Write(b []byte) (int, error) {
	if d.left -= len(b); d.left < 0 {
		return 0, errors.New("no space left on device")
	}
	return len(b), nil
}

func TestFullDiskIsAnError(t *testing.T) {
	for left := 0; left < 300; left += 30 {
		w, err := NewWriter(&fullDisk{left}, Head{})
		if err == nil {
			if err = w.Write(commands(1000), 1); err == nil {
				err = w.End(1)
			}
		}
		if err == nil {
			t.Errorf("%d bytes of room: no error", left)
		}
	}
}

func TestFileIsReplacedByAWholeOneOnly(t *testing.T) {
	path := filepath.Join(t.TempDir(), "f")
	for _, name := range []string{"first", "second"} {
		f, err := Create(path, Head{})
		if err != nil {
			t.Fatal(err)
		}
		if err := f.Write([]byte(name), 1); err != nil {
			t.Fatal(err)
		}
		if name == "second" {
			if err := f.Abandon(); err != nil {
				t.Fatal(err)
			}
			break
		}
		if n, err := f.Commit(1); err != nil || n == 0 {
			t.Fatal(n, err)
		}
	}
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if data, _, err := read(b); err != nil || string(data) != "first" {
		t.Fatalf("%q, %v", data, err)
	}
	if left, _ := filepath.Glob(path + "*"); len(left) != 1 {
		t.Errorf("%q", left)
	}
}
