//go:build linux

package system

import (
	"context"
	"errors"
	"time"
)

// Join is what the arrival of one more copy cost.
type Join struct {
	Total      time.Duration // from the start of its process until it had everything
	Snapshot   time.Duration // of that, the transfer
	BySnapshot bool          // or from the log alone
	Keys       int64         // that it has

	JoinerCPU                  time.Duration
	JoinerResident, JoinerPeak int64 // bytes
	DonorResident, DonorPeak   int64
}

const joinLimit = 2 * time.Minute

// Join starts one more copy of the data, which is so many keys, measures and ends it.
func (s *System) Join(ctx context.Context, keys int64) (Join, error) {
	switch {
	case s.bin != "":
		return s.joinBrainer(ctx, keys)
	case s.target != "":
		return s.joinRedis(ctx)
	}
	return Join{}, errors.New("this system takes no further copy")
}

func (j *Join) resources(joiner, donor *Process) (err error) {
	if j.JoinerCPU, err = joiner.CPU(); err != nil {
		return err
	}
	if j.JoinerResident, j.JoinerPeak, err = joiner.Memory(); err != nil {
		return err
	}
	j.DonorResident, j.DonorPeak, err = donor.Memory()
	return err
}
