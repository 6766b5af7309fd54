package zmq

import "brainer/internal/link"

// dealer is one session. Its queue has no limit of its own: link.ErrAgain from Send is about the
// connection alone.
type dealer struct {
	*socket
	handshake handshake
}

func (d *dealer) Recv() ([]byte, error) {
	d.enter()
	defer d.leave()
	if d.closed {
		return nil, link.ErrClosed
	}
	return d.recvBody()
}

func (d *dealer) RecvView() ([]byte, error) {
	d.enter()
	defer d.leave()
	if d.closed {
		return nil, link.ErrClosed
	}
	return d.recvView()
}

func (d *dealer) Send(body []byte) error {
	d.enter()
	defer d.leave()
	if d.closed {
		return link.ErrClosed
	}
	if err := d.checkSize(body); err != nil {
		return err
	}
	return d.sendFrame(body, 0)
}

func (d *dealer) SendJoined(head, body []byte) error { return d.Send(d.join(head, body)) }

// Connected says whether the connection stands, the ZeroMQ handshake included.
func (d *dealer) Connected() bool {
	d.enter()
	defer d.leave()
	if d.closed {
		return false
	}
	d.look()
	return d.writable
}

func (d *dealer) Close() error {
	d.enter()
	defer d.leave()
	if d.closed {
		return nil
	}
	err := d.close()
	d.handshake.close()
	return err
}
