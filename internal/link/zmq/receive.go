package zmq

/*
#cgo !windows pkg-config: libzmq
#include <stdlib.h>
#include <zmq.h>

typedef struct {
	zmq_msg_t msg;
	int open, more, err;
} received;

static void release(received *r) {
	if (r->open) zmq_msg_close(&r->msg);
	r->open = 0;
}

static int receive(void *soc, received *r) {
	release(r);
	zmq_msg_init(&r->msg);
	r->open = 1;
	int n = zmq_msg_recv(&r->msg, soc, ZMQ_DONTWAIT);
	r->err = n < 0 ? zmq_errno() : 0;
	r->more = n < 0 ? 0 : zmq_msg_more(&r->msg);
	return n;
}

static void *data(received *r) { return zmq_msg_data(&r->msg); }
*/
import "C"

import (
	"errors"
	"fmt"
	"reflect"
	"syscall"
	"unsafe"

	"brainer/internal/link"

	zmq4 "github.com/pebbe/zmq4"
)

// receiver shows messages where libzmq has put them. zmq4 makes a slice for every frame, and with large
// messages clearing, filling and collecting those costs as much as all the rest.
type receiver struct {
	soc unsafe.Pointer // zmq4's
	r   *C.received    // the last message
}

func newReceiver(soc *zmq4.Socket) (receiver, error) {
	f := reflect.ValueOf(soc).Elem().FieldByName("soc")
	if !f.IsValid() || f.Kind() != reflect.UnsafePointer {
		return receiver{}, errors.New("zmq4.Socket is not what it was: link/zmq has to be adapted")
	}
	return receiver{soc: f.UnsafePointer(), r: (*C.received)(C.calloc(1, C.sizeof_received))}, nil
}

func (r *receiver) close() {
	if r.r != nil {
		C.release(r.r)
		C.free(unsafe.Pointer(r.r))
		r.r = nil
	}
}

// next receives a frame.
func (r *receiver) next() (frame []byte, more bool, err error) {
	for {
		n := C.receive(r.soc, r.r)
		if n >= 0 {
			return unsafe.Slice((*byte)(C.data(r.r)), int(n)), r.r.more != 0, nil
		}
		if e := syscall.Errno(r.r.err); e != syscall.EINTR {
			return nil, false, zmq4.Errno(e)
		}
	}
}

// recvView is recvBody whose frame is valid until the next call.
func (s *socket) recvView() ([]byte, error) {
	if s.receiver.r == nil {
		r, err := newReceiver(s.soc)
		if err != nil {
			return nil, err
		}
		s.receiver = r
	}
	body, more, err := s.receiver.next()
	if err == errnoAgain {
		s.quiet = true
		return nil, link.ErrAgain
	}
	if err != nil {
		return nil, fmt.Errorf("receive on %s: %w", s.endpoint, err)
	}
	s.quiet = false
	if !more {
		return body, nil
	}
	body = append([]byte(nil), body...)
	for more {
		if _, more, err = s.receiver.next(); err != nil {
			return nil, fmt.Errorf("receive on %s: %w", s.endpoint, err)
		}
	}
	return body, nil
}
