// Package server is the RESP front end: connections and their state, transactions' queues,
// publishing and subscribing, and the commands that concern the server rather than the data. What
// touches the keyspace it hands, a pipeline at a time, to the Backend that it declares; it orders
// nothing, executes nothing and knows no node.
//
// # How redcon is used
//
// redcon's server accepts connections and hands them over; its Writer collects replies. Its reader
// never sees a client's byte: one unauthenticated packet would end the process (an overflow in its
// length arithmetic), others pin a core or grow the stack. So the listener that redcon is given wraps
// every connection such that redcon's first Read returns one constant command; the handler of that
// command detaches the connection, and resp.Reader, which has Redis's limits, reads the raw one (measured: an
// MSET of 10 MB that arrives in pieces of 4 KiB takes 30 ms, on redcon's reader 19 s). The connection
// that redcon made becomes garbage with its 12 KiB of buffers.
//
// # One connection
//
// A plain TCP connection belongs to the Loop, which the backend's own goroutine works on; it gets a
// goroutine when it asks for something that may wait (Loop says what), and goes back when it has asked
// for data alone for a while. Other connections have a goroutine for good. Whoever has it owns all its
// state. It takes the commands that have arrived, answers
// those that are the server's own in place, puts the others into one op.Batch, and when that is
// answered writes all replies in the pipeline's order: a turn. Nothing is read meanwhile, so what a
// client can make the server hold is one turn. A command whose reply needs those before it (WAIT,
// INFO, SUBSCRIBE) settles the turn first.
//
// A connection that has subscribed gets a second goroutine that writes, fed by a bounded queue; from
// then on everything goes through that queue, so that messages and replies keep their order.
package server
