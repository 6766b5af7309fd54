package broker_test

import (
	"fmt"
	"hash/crc32"
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"brainer/broker"
	"brainer/broker/replication"
)

func testView() replication.View {
	return replication.View{No: 7, Epoch: 3, ClusterID: 9,
		Members: []replication.Member{{NodeID: "n1", DataID: 1}, {NodeID: "e", DataID: 2, Embedded: true}},
		Left:    []replication.Member{{NodeID: "n2", DataID: 4}},
		History: []replication.Era{{Era: 1, Start: 1}, {Era: 3, Start: 20}}}
}

func TestRecordIsReadAsItWasWritten(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "a", "b")
	s, err := broker.OpenFileStore(dir)
	if err != nil {
		t.Fatal(err)
	}
	if v, err := s.Load(); err != nil || v.No != 0 {
		t.Fatalf("a new directory has no record, got %+v, %v", v, err)
	}
	for no := uint64(1); no <= 3; no++ {
		v := testView()
		v.No = no
		if err := s.Save(v); err != nil {
			t.Fatal(err)
		}
	}
	s.Close()
	if s, err = broker.OpenFileStore(dir); err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	want := testView()
	want.No = 3
	if v, err := s.Load(); err != nil || !reflect.DeepEqual(v, want) {
		t.Fatalf("got %+v, %v", v, err)
	}
}

func TestTornWriteLeavesTheRecordBefore(t *testing.T) {
	dir := t.TempDir()
	s, err := broker.OpenFileStore(dir)
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	if err := s.Save(testView()); err != nil {
		t.Fatal(err)
	}
	// What a crash in the middle of the next Save leaves.
	if err := os.WriteFile(filepath.Join(dir, "view.json.tmp"), []byte("12345678 {\"view\":8"), 0o600); err != nil {
		t.Fatal(err)
	}
	if v, err := s.Load(); err != nil || v.No != 7 {
		t.Fatalf("got %+v, %v", v, err)
	}
}

// A Save that ends in the middle of the file, with its process or with an error, leaves the record before.
func TestSaveThatIsCutShortLeavesTheRecordBefore(t *testing.T) {
	const dirVar, cutVar = "BRAINER_TEST_DIR", "BRAINER_TEST_CUT"
	later := testView()
	later.No++
	if dir := os.Getenv(dirVar); dir != "" {
		cut, _ := strconv.ParseUint(os.Getenv(cutVar), 10, 64)
		if err := syscall.Setrlimit(syscall.RLIMIT_FSIZE, &syscall.Rlimit{Cur: cut, Max: cut}); err != nil {
			t.Skip("no limit of file sizes: ", err)
		}
		s, err := broker.OpenFileStore(dir)
		if err == nil {
			err = s.Save(later)
		}
		t.Fatal("cut short: ", err)
	}
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	for _, cut := range []int{0, 1, 9, 40, 90} {
		dir := t.TempDir()
		s, err := broker.OpenFileStore(dir)
		if err != nil {
			t.Fatal(err)
		}
		if err := s.Save(testView()); err != nil {
			t.Fatal(err)
		}
		s.Close()
		child := exec.Command(self, "-test.run", "^"+t.Name()+"$")
		child.Env = append(os.Environ(), dirVar+"="+dir, cutVar+"="+strconv.Itoa(cut))
		if out, err := child.CombinedOutput(); err == nil {
			t.Fatalf("not cut at %d: %s", cut, out)
		}
		if s, err = broker.OpenFileStore(dir); err != nil {
			t.Fatal(err)
		}
		if v, err := s.Load(); err != nil || v.No != testView().No {
			t.Errorf("cut at %d: got %+v, %v", cut, v, err)
		}
		if err := s.Save(later); err != nil {
			t.Errorf("cut at %d, then: %v", cut, err)
		}
		s.Close()
	}
}

func TestDamagedRecordIsRefused(t *testing.T) {
	dir := t.TempDir()
	s, err := broker.OpenFileStore(dir)
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	if err := s.Save(testView()); err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(dir, "view.json")
	good, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	for cut := 0; cut < len(good)-1; cut++ {
		if err := os.WriteFile(path, good[:cut], 0o600); err != nil {
			t.Fatal(err)
		}
		if v, err := s.Load(); err == nil || !strings.Contains(err.Error(), "damaged") {
			t.Fatalf("cut at %d: got %+v, %v", cut, v, err)
		}
	}
	for i := range good[:len(good)-1] {
		bad := append([]byte(nil), good...)
		bad[i] ^= 4
		if err := os.WriteFile(path, bad, 0o600); err != nil {
			t.Fatal(err)
		}
		if v, err := s.Load(); err == nil {
			t.Fatalf("bit flip at %d: taken as %+v", i, v)
		}
	}
}

func TestSecondBrokerIsKeptOutOfTheDirectory(t *testing.T) {
	dir := t.TempDir()
	s, err := broker.OpenFileStore(dir)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := broker.OpenFileStore(dir); err == nil || !strings.Contains(err.Error(), "--state-dir") {
		t.Fatalf("got %v", err)
	}
	s.Close()
	again, err := broker.OpenFileStore(dir)
	if err != nil {
		t.Fatal(err)
	}
	again.Close()
}

// write puts a record with a right checksum into a state directory.
func write(t testing.TB, dir, line string) {
	t.Helper()
	text := fmt.Sprintf("%08x %s\n", crc32.ChecksumIEEE([]byte(line)), line)
	if err := os.WriteFile(filepath.Join(dir, "view.json"), []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

func TestRecordsOfOtherVersions(t *testing.T) {
	dir := t.TempDir()
	s, err := broker.OpenFileStore(dir)
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	// As run_broker wrote it before records had a format.
	write(t, dir, `{"view":7,"epoch":3,"cluster":9,"members":[{"node":"n1","data":1}],"history":[{"era":1,"start":1}]}`)
	if v, err := s.Load(); err != nil || v.No != 7 || len(v.Members) != 1 || len(v.History) != 1 {
		t.Errorf("without a format: %+v, %v", v, err)
	}
	write(t, dir, `{"format":2,"view":7,"epoch":3}`)
	if v, err := s.Load(); err == nil || !strings.Contains(err.Error(), "newer run_broker") {
		t.Errorf("of a newer format: %+v, %v", v, err)
	}
	for _, line := range []string{`{}`, `null`, `[]`, `{"view":"7"}`} {
		write(t, dir, line)
		if v, err := s.Load(); err == nil || !strings.Contains(err.Error(), "damaged") {
			t.Errorf("%s: %+v, %v", line, v, err)
		}
	}
}

// FuzzLoad: a file is taken only when it is what Save writes, or wrote before records had a format.
func FuzzLoad(f *testing.F) {
	dir := f.TempDir()
	s, err := broker.OpenFileStore(dir)
	if err != nil {
		f.Fatal(err)
	}
	f.Cleanup(func() { s.Close() })
	path := filepath.Join(dir, "view.json")
	if err := s.Save(testView()); err != nil {
		f.Fatal(err)
	}
	good, err := os.ReadFile(path)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(good, false)
	f.Add(good[9:], true)
	f.Add([]byte(`{"view":1,"members":[{"node":"n","data":18446744073709551615}]}`), true)
	f.Add([]byte("00000000 "), false)
	f.Add([]byte("\xff\xfe"), false)
	f.Fuzz(func(t *testing.T, b []byte, sealed bool) {
		if sealed {
			write(t, dir, string(b))
		} else if err := os.WriteFile(path, b, 0o600); err != nil {
			t.Fatal(err)
		}
		v, err := s.Load()
		if err != nil {
			if v.No != 0 {
				t.Errorf("%v, and %+v", err, v)
			}
			return
		}
		if v.No == 0 {
			t.Fatalf("%q is taken for no record", b)
		}
		if err := s.Save(v); err != nil {
			t.Fatal(err)
		}
		if again, err := s.Load(); err != nil || fmt.Sprint(again) != fmt.Sprint(v) { // an empty list may be written as none
			t.Errorf("%+v is read again as %+v, %v", v, again, err)
		}
	})
}
