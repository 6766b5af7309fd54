package client

import (
	"context"

	"brainer/resp"
)

// pipeBytes is what a Pipe sends in one piece, unless a command is longer, and pipeAhead how many pieces may wait for their replies. A broker
// takes no more than 8 MiB that it has not read, or one longer piece alone: so what waits stays below that.
const (
	pipeBytes    = 256 << 10
	pipeAhead    = 4
	pipeBytesMax = 4 << 20
)

// piece is what has been sent and not answered.
type piece struct{ commands, bytes int }

// Pipe sends commands one behind the other without waiting for each one's reply. Until Close the connection is its own.
type Pipe struct {
	c       *Client
	release func()
	onReply func(number int64, reply resp.Reply) error

	buffer []byte
	count  int // commands in it
	ahead  []piece
	bytes  int   // in these
	number int64 // of the next reply
}

// Pipe begins one. onReply gets every reply, in order; its error ends the pipe.
func (c *Client) Pipe(ctx context.Context, onReply func(number int64, reply resp.Reply) error) (*Pipe, error) {
	if err := c.take(ctx); err != nil {
		return nil, err
	}
	if c.stream == nil {
		if err := c.connect(ctx); err != nil {
			<-c.turn
			return nil, err
		}
	}
	return &Pipe{c: c, release: func() { <-c.turn }, onReply: onReply}, nil
}

// Send appends commands, so many of them in RESP.
func (p *Pipe) Send(ctx context.Context, commands []byte, count int) error {
	p.buffer = append(p.buffer, commands...)
	p.count += count
	if len(p.buffer) < pipeBytes {
		return nil
	}
	return p.flush(ctx, pipeAhead)
}

// Flush waits until everything is answered.
func (p *Pipe) Flush(ctx context.Context) error { return p.flush(ctx, 0) }

func (p *Pipe) flush(ctx context.Context, aheadMax int) error {
	if p.count > 0 {
		for len(p.ahead) > 0 && p.bytes+len(p.buffer) > pipeBytesMax {
			if err := p.replies(ctx); err != nil {
				return err
			}
		}
		if err := p.send(ctx); err != nil {
			p.c.disconnect()
			return p.c.failed(ctx, err, true)
		}
		p.ahead = append(p.ahead, piece{p.count, len(p.buffer)})
		p.bytes += len(p.buffer)
		p.buffer, p.count = p.buffer[:0], 0
	}
	for len(p.ahead) > aheadMax {
		if err := p.replies(ctx); err != nil {
			return err
		}
	}
	return nil
}

// replies waits for those to the oldest piece.
func (p *Pipe) replies(ctx context.Context) error {
	for range p.ahead[0].commands {
		if err := p.reply(ctx); err != nil {
			p.c.disconnect() // replies to what else was sent may come
			return err
		}
	}
	p.bytes -= p.ahead[0].bytes
	p.ahead = p.ahead[1:]
	return nil
}

// send never connects anew: what was selected is lost with a connection.
func (p *Pipe) send(ctx context.Context) error {
	if p.c.stream == nil {
		return ErrLost
	}
	ctx, cancel := p.bounded(ctx)
	defer cancel()
	return p.c.stream.send(ctx, p.buffer)
}

func (p *Pipe) bounded(ctx context.Context) (context.Context, context.CancelFunc) {
	if p.c.timeout > 0 {
		return context.WithTimeout(ctx, p.c.timeout)
	}
	return context.WithCancel(ctx)
}

func (p *Pipe) reply(ctx context.Context) error {
	if p.c.stream == nil {
		return p.c.failed(ctx, ErrLost, true)
	}
	ctx, cancel := p.bounded(ctx)
	defer cancel()
	reply, err := p.c.readReply(ctx)
	if err != nil {
		return p.c.failed(ctx, err, true)
	}
	p.number++
	return p.onReply(p.number-1, reply)
}

// Close gives the connection back. Replies that have not been waited for are lost with it.
func (p *Pipe) Close() {
	if len(p.ahead) > 0 {
		p.c.disconnect()
	}
	p.release()
}
