package replication

import (
	"cmp"
	"slices"

	"github.com/cespare/xxhash/v2"
)

const (
	nodesMax   = 1000
	strangerUs = 60_000_000 // a node that is not in the record may be dropped when it has been gone for so long
)

// addNode makes room for a node; nil when there is none.
func (c *Core) addNode(id string) *node {
	if len(c.nodes) >= nodesMax && !c.maybeDropStranger() {
		return nil
	}
	number := c.freeNumber()
	if number == 0 {
		return nil
	}
	n := &node{id: id, number: number, salt: xxhash.Sum64String(id)}
	at, _ := slices.BinarySearchFunc(c.nodes, number, func(n *node, x uint16) int { return cmp.Compare(n.number, x) })
	c.nodes = slices.Insert(c.nodes, at, n)
	return n
}

// usedNumber is the number of a node that was dropped: entries up to an index may name it as the one that
// sends their reply unasked.
type usedNumber struct {
	number uint16
	upTo   uint64
}

// freeNumber is the number for another node, 0 when there is none: one that no entry names any more,
// or one that was never used.
func (c *Core) freeNumber() uint16 {
	for i, u := range c.usedNumbers {
		if u.upTo < c.window.first {
			c.usedNumbers = slices.Delete(c.usedNumbers, i, i+1)
			return u.number
		}
	}
	if c.lastNumber == 1<<16-1 {
		return 0
	}
	c.lastNumber++
	return c.lastNumber
}

// dropNode takes a node off the list that has no session and is not in the record's set.
func (c *Core) dropNode(n *node) {
	c.nodes = slices.DeleteFunc(c.nodes, func(x *node) bool { return x == n })
	c.usedNumbers = append(c.usedNumbers, usedNumber{n.number, c.tail})
}

// maybeDropStranger drops the node that has been gone for longest, of those that nothing is known of
// but that they were here. One that the record names may come back with data, and stays.
func (c *Core) maybeDropStranger() bool {
	var gone *node
	for _, n := range c.nodes {
		if n.connected() || n.required() || c.view.names(n.id) || c.storing != nil && c.storing.names(n.id) {
			continue
		}
		if c.nowUs-n.heardUs >= strangerUs && (gone == nil || n.heardUs < gone.heardUs) {
			gone = n
		}
	}
	if gone != nil {
		c.event(0, "node dropped from the list", gone, "there are too many")
		c.dropNode(gone)
	}
	return gone != nil
}
