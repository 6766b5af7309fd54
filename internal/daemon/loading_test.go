package daemon

import (
	"bytes"
	"context"
	"slices"
	"strings"
	"testing"
	"time"
)

func TestLoadingIsShownUntilItIsDone(t *testing.T) {
	steps := [][2]int64{{0, 0}, {10, 100}, {60, 100}, {0, 0}, {5, 5}}
	var shown []int64
	showLoading(t.Context(), func() (int64, int64) {
		s := steps[0]
		steps = steps[1:]
		return s[0], s[1]
	}, time.Millisecond, func(done, _ int64) { shown = append(shown, done) })
	if !slices.Equal(shown, []int64{10, 60, 100}) {
		t.Errorf("%v", shown)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	showLoading(ctx, func() (int64, int64) { return 0, 0 }, time.Hour, nil)
}

func TestABarIsDrawn(t *testing.T) {
	var b bytes.Buffer
	show := bar(&b)
	show(50, 100)
	if !strings.Contains(b.String(), "50%") || !strings.Contains(b.String(), "loading") {
		t.Errorf("%q", b.String())
	}
}
