package replica

import "testing"

// A transaction that writes is executed by every copy, and each has seen its own reads.
func TestWhatACopySeesOfReadsIsInNoDigest(t *testing.T) {
	one, other := begun(t, nil), begun(t, nil)
	for _, h := range []*hand{one, other} {
		h.send(do("SET", "k", "v"))
		h.nowMs += 50_000
	}
	one.send(read("GET", "k"))
	idle := entry(0, "EXEC", "OBJECT IDLETIME k", "SET n 1")
	one.says(idle, "*2 :0 +OK")
	other.says(idle, "*2 :50 +OK")
	one.says(with("a", 1, 2, idle), "*2 :0 +OK")
	other.says(with("a", 1, 2, idle), "*2 :50 +OK")
	if again := one.one(with("a", 1, 2, idle)); again != other.one(with("a", 1, 2, idle)) {
		t.Errorf("a retry is answered %q, and otherwise by another copy", again)
	}
	_, _, _, a := one.r.Copy()
	if _, _, _, b := other.r.Copy(); a != b {
		t.Errorf("the rolling digests %x and %x differ", a, b)
	}
	if a, b := one.r.StateDigest(one.nowMs), other.r.StateDigest(one.nowMs); a != b {
		t.Errorf("the states' digests %x and %x differ", a, b)
	}
}
