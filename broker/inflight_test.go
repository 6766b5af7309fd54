package broker

import (
	"testing"
	"testing/synctest"
	"time"
)

func TestInflightAdmitsOneThatIsTooLargeAlone(t *testing.T) {
	f := newInflight(100)
	if !f.acquire(1000, 0) {
		t.Fatal("refused although it is alone")
	}
	if f.acquire(1, time.Millisecond) {
		t.Fatal("admitted beside it")
	}
	f.release(1000)
	if !f.acquire(60, 0) || f.acquire(60, 0) {
		t.Fatal("the bound does not hold")
	}
}

// TestInflightWakesAllThatFit: one release may make room for several that wait.
func TestInflightWakesAllThatFit(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newInflight(100)
		f.acquire(100, 0)
		admitted := make(chan bool, 10)
		for i := 0; i < 10; i++ {
			go func() { admitted <- f.acquire(10, time.Minute) }()
		}
		synctest.Wait() // all ten wait
		f.release(100)
		synctest.Wait()
		if n := len(admitted); n != 10 {
			t.Fatalf("%d of 10 were woken", n)
		}
	})
}
