package broker_test

import (
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
	if err := os.WriteFile(filepath.Join(dir, "view.json.new"), []byte("12345678 {\"view\":8"), 0o600); err != nil {
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
