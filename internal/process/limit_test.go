package process

import "testing"

func TestMemoryIsBytesOrAShareOfWhatIsAvailable(t *testing.T) {
	available := func() (int64, error) { return 1000, nil }
	for text, want := range map[string]int64{"0": 0, "12": 12, "3kb": 3072, "75%": 750, "12.5%": 125, "100%": 1000, "0%": -1, "101%": -1, "x%": -1, "%": -1, "x": -1} {
		n, err := ParseShare(text, available)
		if err != nil {
			n = -1
		}
		if n != want {
			t.Errorf("%s is %d (%v), want %d", text, n, err, want)
		}
	}
}

func TestTheSystemTells(t *testing.T) {
	n, err := AvailableBytes()
	if err != nil || n < 1<<20 {
		t.Errorf("%d bytes are available: %v", n, err)
	}
	if r := ResidentBytes(); r < 1<<20 || r > n {
		t.Errorf("%d bytes are resident, of %d", r, n)
	}
}
