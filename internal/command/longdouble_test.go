package command

import (
	"fmt"
	"math/rand/v2"
	"strconv"
	"strings"
	"testing"

	"brainer/internal/redistest"
)

// TestRandomFloatsAddAsRedis compares INCRBYFLOAT's x87 arithmetic, and what it takes for a number.
func TestRandomFloatsAddAsRedis(t *testing.T) {
	pair := newPair(t, redistest.Start(t), 2)
	rnd := rand.New(rand.NewPCG(5, 0))
	for range 5000 {
		x, y := randomNumber(rnd), randomNumber(rnd)
		for _, args := range [][]string{{"SET", "k", x}, {"INCRBYFLOAT", "k", y}, {"INCRBYFLOAT", "k", x}} {
			if difference := pair.compare(args); difference != "" {
				t.Errorf("%s (after SET k %s)", difference, x)
			}
		}
	}
}

func randomNumber(rnd *rand.Rand) string {
	switch rnd.IntN(8) {
	case 0:
		return fmt.Sprint(rnd.Int64())
	case 1:
		return fmt.Sprintf("%d.%d", rnd.IntN(1000), rnd.Uint64())
	case 2:
		return fmt.Sprintf("-0.%0*d", 1+rnd.IntN(30), rnd.IntN(100000))
	case 3:
		return fmt.Sprintf("%d.%de%d", rnd.IntN(10), rnd.Uint64(), rnd.IntN(40)-20)
	case 4:
		return fmt.Sprintf("%de%d", 1+rnd.IntN(9), rnd.IntN(9910)-4955)
	case 5:
		return fmt.Sprintf("0x%x.%xp%d", rnd.Uint32(), rnd.Uint64(), rnd.IntN(200)-100)
	case 6:
		return strconv.FormatFloat(rnd.NormFloat64()*1e6, 'g', -1, 64)
	}
	const alphabet = "0123456789.eE+-xXpP infNAN"
	var b strings.Builder
	for range rnd.IntN(8) {
		b.WriteByte(alphabet[rnd.IntN(len(alphabet))])
	}
	return b.String()
}
