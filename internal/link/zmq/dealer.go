package zmq

import "brainer/internal/link"

// Dealer is one session. Once it was connected, Send's link.ErrAgain means that the connection has
// gone: its queue has no limit of its own.
type Dealer struct{ *socket }

func (d *Dealer) Recv() ([]byte, error) {
	d.enter()
	defer d.leave()
	if d.closed {
		return nil, link.ErrClosed
	}
	return d.recvBody()
}

func (d *Dealer) Send(body []byte) error {
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

// Connected says whether the connection stands, the ZeroMQ handshake included. Who waits for an
// answer asks before each wait: a Recv that says ErrAgain may have taken the news in.
func (d *Dealer) Connected() bool {
	d.enter()
	defer d.leave()
	if d.closed {
		return false
	}
	d.look()
	return d.writable
}

func (d *Dealer) Close() error {
	d.enter()
	defer d.leave()
	if d.closed {
		return nil
	}
	return d.close()
}
