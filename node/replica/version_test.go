package replica

import (
	"testing"

	"brainer/internal/wire"
)

// A broker of the version before refuses the newer one. The next session is in the older, and each one
// after that asks for the newer again, as the broker may have been replaced meanwhile.
func TestTheVersionBeforeIsTriedWhenTheNewerIsRefused(t *testing.T) {
	h := newHand(t, nil)
	opened := func() uint8 {
		h.session++
		h.r.Open(h.session)
		head, _, err := wire.Decode(h.r.Out[0].Bytes)
		if err != nil || head.Type != wire.THello || head.Version != h.r.Version() {
			t.Fatalf("no hello: %+v, %v", head, err)
		}
		return head.Version
	}
	refuse := func(reason string) Verdict {
		frame := wire.Reject{Reason: reason}.Append(nil, wire.Header{Session: h.session, Version: wire.VersionBefore})
		v, _ := h.r.Receive(frame)
		return v
	}
	other := wire.OtherVersion(wire.Version).Error() + ": run the same version of run_node and run_broker"
	for round := range 3 {
		if v := opened(); v != wire.Version {
			t.Fatalf("round %d: a session is opened in version %d", round, v)
		}
		if v := refuse(other); v != Reopen {
			t.Fatalf("round %d: the refusal of the newer version is a %d", round, v)
		}
		if v := opened(); v != wire.VersionBefore {
			t.Fatalf("round %d: the next session is opened in version %d", round, v)
		}
	}
	if v := refuse(other); v != Refused {
		t.Errorf("a broker that speaks neither: %d", v)
	}
	opened()
	if v := refuse("too many nodes"); v != Refused {
		t.Errorf("another refusal: %d", v)
	}
	if v := opened(); v != wire.Version {
		t.Errorf("after it, a session is opened in version %d", v)
	}
}
