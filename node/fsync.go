package node

import (
	"errors"
	"strconv"
)

// Fsync says when what is kept is synced.
type Fsync struct {
	Always bool // before it is acknowledged
	Every  int  // writes; 0: once a second
}

// ParseFsync reads always, everysec, or a number of writes.
func ParseFsync(s string) (Fsync, error) {
	switch s {
	case "always":
		return Fsync{Always: true}, nil
	case "everysec":
		return Fsync{}, nil
	}
	n, err := strconv.Atoi(s)
	if err != nil || n < 1 {
		return Fsync{}, errors.New("always, everysec, or after how many writes")
	}
	return Fsync{Every: n}, nil
}

func (f Fsync) String() string {
	switch {
	case f.Always:
		return "always"
	case f.Every > 0:
		return strconv.Itoa(f.Every)
	}
	return "everysec"
}
