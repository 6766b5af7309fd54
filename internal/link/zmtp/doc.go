// Package zmtp speaks ZeroMQ's wire protocol (ZMTP 3.0, https://rfc.zeromq.org/spec/23) over ipc endpoints on the goroutine that
// owns a link: a ROUTER and a DEALER that any ZeroMQ peer may talk to. libzmq moves each message through a thread of
// its own at either end; with a turn that takes 20 µs, waking those costs more than the turn. Endpoints other than ipc
// paths, CURVE with them, are left to another transport.
//
// It keeps link/zmq's rules: nothing waits, a routing id is taken until its connection ends, a session is one
// connection and is never renewed, a message is one frame (what a stranger sends beyond the first frame is dropped), and
// too large a message ends the connection before it is stored.
package zmtp
