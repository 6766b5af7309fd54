package client_test

import (
	"strings"
	"testing"
	"time"

	"brainer/broker/client"
	"brainer/broker/client/clienttest"
)

func TestDoOnceIsAppliedOnceThroughFailures(t *testing.T) {
	b := start(t, ipcEndpoint(t), nil)
	c := connect(t, b.Endpoint())
	b.Next(clienttest.LeftOpen, clienttest.CutOff, clienttest.Refused, clienttest.LeftOpen)
	for want := int64(1); want <= 3; want++ {
		if reply, err := c.DoOnce("INCRBY", "n", "1"); err != nil || reply.Int != want {
			t.Fatalf("%v %v, want %d", reply, err, want)
		}
	}
	ids := map[string]int{}
	for _, text := range b.Commands() {
		if id, ok := strings.CutSuffix(text, " INCRBY n 1"); ok {
			ids[id]++
		}
	}
	if len(ids) != 3 {
		t.Errorf("sent with %v", ids)
	}
	for id, n := range ids {
		if want := map[bool]int{true: 5, false: 1}[strings.HasSuffix(id, " 1")]; n != want || !strings.HasPrefix(id, "BRAINER WITH ID ") {
			t.Errorf("%q was sent %d times", id, n)
		}
	}
}

func TestTwoClientsHaveTwoIDs(t *testing.T) {
	b := start(t, ipcEndpoint(t), nil)
	for want := int64(1); want <= 2; want++ {
		if reply, err := connect(t, b.Endpoint()).DoOnce("BRAINER", "WITH", "ACK", "primary", "INCRBY", "n", "1"); err != nil || reply.Int != want {
			t.Errorf("%v %v", reply, err)
		}
	}
}

func TestWithRetriesCoversSetAndRemove(t *testing.T) {
	b := start(t, ipcEndpoint(t), nil)
	c := connect(t, b.Endpoint(), client.WithRetries())
	b.Next(clienttest.CutOff)
	must(t, c.Set("k", []byte("v"), client.WaitAll(false)))
	b.Next(clienttest.LeftOpen)
	if existed, err := c.Remove("k"); !existed || err != nil {
		t.Errorf("%v %v: the retry must have the first outcome", existed, err)
	}
}

// What stays open is never told as what surely was not done, although the last try was refused.
func TestDoOnceStaysUncertain(t *testing.T) {
	b := start(t, ipcEndpoint(t), nil)
	c := connect(t, b.Endpoint(), client.WithTimeout(100*time.Millisecond))
	refused := make([]clienttest.Fate, 10_000)
	for i := range refused {
		refused[i] = clienttest.Refused
	}
	b.Next(append([]clienttest.Fate{clienttest.LeftOpen}, refused...)...)
	if _, err := c.DoOnce("INCRBY", "n", "1"); !client.Uncertain(err) {
		t.Errorf("%v", err)
	}
}

// An error is an outcome as well.
func TestDoOnceReturnsTheCommandsOwnError(t *testing.T) {
	b := start(t, ipcEndpoint(t), nil)
	c := connect(t, b.Endpoint())
	b.Next(clienttest.LeftOpen)
	if _, err := c.DoOnce("INCRBY", "n", "x"); err == nil || !strings.Contains(err.Error(), "not an integer") {
		t.Error(err)
	}
}
