package node

import "testing"

// TestProgramsCountBeyondAShareOfTheLimit: so that a small limit holds for all that is resident.
func TestProgramsCountBeyondAShareOfTheLimit(t *testing.T) {
	const mb = 1 << 20
	for _, c := range []struct{ own, files, data, limit, want int64 }{
		{200 * mb, 20 * mb, 180 * mb, 0, 40 * mb}, // without a limit nothing is compared
		{100 * mb, 20 * mb, 90 * mb, 128 * mb, 26 * mb},
		{500 * mb, 20 * mb, 480 * mb, 512 * mb, 24 * mb},
		{900 * mb, 20 * mb, 880 * mb, 1024 * mb, 20 * mb},
		{10 * mb, 0, 20 * mb, 0, 0}, // measured at different times
	} {
		if got := outsideOf(c.own, c.files, c.data, c.limit); got != c.want {
			t.Errorf("%d MB and %d of files, %d of data, limit %d: %d, want %d", c.own/mb, c.files/mb, c.data/mb, c.limit/mb, got/mb, c.want/mb)
		}
	}
}
