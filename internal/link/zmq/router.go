package zmq

import (
	"unsafe"

	"brainer/internal/link"
	"brainer/internal/link/ipc"

	zmq4 "github.com/pebbe/zmq4"
)

// peersMax bounds the interned routing ids; every session brings a new one.
const peersMax = 16384

type router struct {
	*socket
	guard *ipc.Guard
	gate  *gate             // nil: whoever reaches the endpoint may send
	peers map[string]string // interned, so that receiving from a known peer allocates no string
}

func (r *router) Endpoint() string { return r.endpoint }

func (r *router) Recv() (string, []byte, error) { return r.recv(r.recvBody) }

// RecvView is Recv without a copy.
func (r *router) RecvView() (string, []byte, error) { return r.recv(r.recvView) }

func (r *router) recv(recvBody func() ([]byte, error)) (string, []byte, error) {
	r.enter()
	defer r.leave()
	if r.closed {
		return "", nil, link.ErrClosed
	}
	for {
		id, err := r.recvFrame()
		if err != nil {
			return "", nil, err
		}
		body, admitted := []byte(nil), true
		if r.gate == nil {
			body, err = recvBody()
		} else {
			body, admitted, err = r.gate.recvBody(r.socket, id)
		}
		if err != nil {
			return "", nil, err
		}
		if admitted {
			return r.intern(id), body, nil
		}
	}
}

func (r *router) intern(id []byte) string {
	peer, ok := r.peers[string(id)]
	if !ok {
		if len(r.peers) >= peersMax {
			clear(r.peers)
		}
		peer = string(id)
		r.peers[peer] = peer
	}
	return peer
}

func (r *router) Send(peer string, body []byte) error {
	r.enter()
	defer r.leave()
	if r.closed {
		return link.ErrClosed
	}
	if err := r.checkSize(body); err != nil {
		return err
	}
	if !r.gate.maySend(peer) {
		return link.ErrUnreachable
	}
	// libzmq copies the id; converting it would allocate once per message.
	id := unsafe.Slice(unsafe.StringData(peer), len(peer))
	if err := r.sendFrame(id, zmq4.SNDMORE); err != nil {
		return err
	}
	return r.sendFrame(body, 0)
}

func (r *router) SendJoined(peer string, head, body []byte) error {
	return r.Send(peer, r.join(head, body))
}

func (r *router) SendLasting(peer string, head, body []byte) error {
	return r.SendJoined(peer, head, body)
}

// Close also removes the socket file and the lock file of an ipc endpoint.
func (r *router) Close() error {
	r.enter()
	defer r.leave()
	if r.closed {
		return nil
	}
	err := r.close()
	r.guard.Release()
	return err
}
