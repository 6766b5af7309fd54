package main

import (
	"testing"

	"github.com/spf13/pflag"
)

// What the broker takes besides the nodes' data follows their limit, unless a flag says how much it is.
func TestWindowAndNearCacheFollowTheLimit(t *testing.T) {
	const mb = 1 << 20
	for limit, want := range map[string][2]int64{
		"0": {256 * mb, 64 * mb}, "4gb": {256 * mb, 64 * mb}, "512mb": {128 * mb, 32 * mb}, "50mb": {16 * mb, 50 * mb / 16}, "1mb": {16 * mb, mb},
	} {
		for _, set := range []bool{false, true} {
			var o options
			f := pflag.NewFlagSet("", pflag.ContinueOnError)
			o.flags(f)
			args, want := []string{"--maxmemory", limit}, want
			if set {
				args, want = append(args, "--window-bytes", "2097152", "--near-cache", "0"), [2]int64{2 * mb, 0}
			}
			if err := f.Parse(args); err != nil {
				t.Fatal(err)
			}
			c, err := o.core()
			if err != nil || c.WindowBytesMax != want[0] || c.NearBytes != want[1] {
				t.Errorf("%v: a window of %d and a near cache of %d bytes, not %v; %v", args, c.WindowBytesMax, c.NearBytes, want, err)
			}
		}
	}
}
