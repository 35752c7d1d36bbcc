package transport

import (
	"bytes"
	"context"
	"errors"
	"io"
	"sync"
	"time"

	"weir.dev/weir/internal/model"
)

const (
	// snapshotPiece is how much of a snapshot one frame holds at most.
	snapshotPiece = 128 << 10
	// snapshotWindow is what may wait to be written: it keeps the socket busy
	// while the next piece is read from disk.
	snapshotWindow = 512 << 10
	// snapshotFarewell is how long a receiver waits for the sender to close.
	snapshotFarewell = 5 * time.Second
)

var (
	errStopped   = errors.New("the receiver has ended the snapshot")
	errBodyShort = errors.New("the receiver stopped before the end of the snapshot")
)

// SendSnapshot implements Transport.
func (t *TCP) SendSnapshot(ctx context.Context, to model.NodeID, header []byte, body func(io.Writer) error) error {
	if len(header) > MaxSnapshotHeaderBytes {
		return errors.New("cannot send snapshot: its header is too large")
	}
	q := new(queue)
	q.init(acceptedQueueBytes)
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	defer context.AfterFunc(t.ctx, cancel)()
	dialCtx, dialDone := context.WithTimeout(ctx, dialTimeout)
	c, err := t.connect(dialCtx, to, purposeSnapshot, q)
	dialDone()
	if err != nil {
		return err
	}
	if !t.remember(c) {
		c.fail(errClosed)
		return errClosed
	}
	defer t.forget(c)
	defer context.AfterFunc(ctx, func() { c.fail(ctx.Err()) })()
	s := &snapshotSender{t: t, c: c, ctx: ctx}
	var loops sync.WaitGroup
	loops.Go(c.writeLoop)
	loops.Go(s.readLoop)
	err = s.send(header, body)
	c.fail(errClosed)
	loops.Wait()
	return err
}

// snapshotSender is one snapshot on its way out.
type snapshotSender struct {
	t    *TCP
	c    *conn
	ctx  context.Context
	buf  []byte // not queued yet
	size int    // of a piece

	answered bool  // the receiver has answered; guarded by the queue's mutex
	answer   error // what it answered
}

// send streams and waits for the answer.
func (s *snapshotSender) send(header []byte, body func(io.Writer) error) error {
	s.size = s.t.limiter.piece()
	s.buf = make([]byte, 0, s.size)
	err := s.queue(frameSnapHeader, header)
	if err == nil {
		err = body(s)
	}
	if err == nil {
		err = s.flush()
	}
	if err == nil {
		err = s.queue(frameSnapEnd, nil)
	}
	if err != nil && !errors.Is(err, errStopped) {
		return err // closing without an end tells the receiver that it is incomplete
	}
	q := s.c.q
	q.mu.Lock()
	defer q.mu.Unlock()
	for !s.answered && !s.c.dead.Load() {
		q.drained.Wait()
	}
	if !s.answered {
		return s.c.cause
	}
	return s.answer
}

// Write gathers the body into pieces; body sees an error when the receiver
// has stopped or the connection broke.
func (s *snapshotSender) Write(p []byte) (n int, err error) {
	for len(p) > 0 {
		room := min(len(p), s.size-len(s.buf))
		s.buf = append(s.buf, p[:room]...)
		p, n = p[room:], n+room
		if len(s.buf) == s.size {
			if err := s.flush(); err != nil {
				return n, err
			}
		}
	}
	return n, nil
}

func (s *snapshotSender) flush() error {
	if len(s.buf) == 0 {
		return nil
	}
	if err := s.t.limiter.wait(s.ctx, len(s.buf)); err != nil {
		return err
	}
	err := s.queue(frameSnapData, s.buf)
	s.buf = s.buf[:0]
	return err
}

// queue waits for room and adds a frame.
func (s *snapshotSender) queue(kind frameKind, payload []byte) error {
	q := s.c.q
	q.mu.Lock()
	defer q.mu.Unlock()
	for {
		switch {
		case s.answered:
			return errStopped
		case s.c.dead.Load():
			return s.c.cause
		case len(q.buf)+q.bytes < snapshotWindow:
			q.add(kind, payload)
			return nil
		}
		q.drained.Wait()
	}
}

// readLoop waits for the receiver's answer.
func (s *snapshotSender) readLoop() {
	for {
		kind, payload, err := s.c.frames.next()
		if err == nil && kind == framePing {
			continue
		}
		if err == nil && kind == frameSnapDone {
			s.finish(decodeDone(payload))
			return
		}
		if err == nil {
			err = errFrame
		}
		s.c.fail(err)
		return
	}
}

func (s *snapshotSender) finish(answer error) {
	s.c.q.mu.Lock()
	defer s.c.q.mu.Unlock()
	s.answered, s.answer = true, answer
	s.c.q.drained.Broadcast()
}

// appendDone encodes a receiver's verdict: 1, or 0 and a fault.
func appendDone(dst []byte, err error) []byte {
	if err == nil {
		return append(dst, 1)
	}
	return appendFault(append(dst, 0), err)
}

func decodeDone(b []byte) error {
	d := model.NewDecoder(b)
	if d.Bool() {
		return nil
	}
	return decodeFault(d)
}

// receiveSnapshot hands one snapshot to the handler and answers.
func (c *conn) receiveSnapshot() {
	kind, payload, err := c.nextSnapshotFrame()
	if err != nil || kind != frameSnapHeader || len(payload) > MaxSnapshotHeaderBytes {
		c.fail(errFrame)
		return
	}
	body := &snapshotBody{c: c}
	err = c.t.receiver.Snapshot(c.node, bytes.Clone(payload), body)
	if err == nil && body.err != io.EOF {
		err = errBodyShort
	}
	c.q.mu.Lock()
	c.q.add(frameSnapDone, appendDone(nil, err))
	c.q.mu.Unlock()
	// The sender closes once it has the answer; until then what it still sends
	// is read and dropped, since closing first could take the answer back.
	timer := c.t.opts.Clock.AfterFunc(snapshotFarewell, func() { c.fail(errLost) })
	defer timer.Stop()
	for err = nil; err == nil; {
		_, _, err = c.frames.next()
	}
}

func (c *conn) nextSnapshotFrame() (frameKind, []byte, error) {
	for {
		kind, payload, err := c.frames.next()
		if err != nil || kind != framePing {
			return kind, payload, err
		}
	}
}

// snapshotBody reads a snapshot's pieces.
type snapshotBody struct {
	c    *conn
	rest []byte // of the present piece
	err  error  // io.EOF at the end
}

// Read implements io.Reader.
func (b *snapshotBody) Read(p []byte) (int, error) {
	for len(b.rest) == 0 {
		if b.err != nil {
			return 0, b.err
		}
		kind, payload, err := b.c.nextSnapshotFrame()
		switch {
		case err == io.EOF:
			b.err = io.ErrUnexpectedEOF
		case err != nil:
			b.err = err
		case kind == frameSnapData:
			b.rest = payload
		case kind == frameSnapEnd:
			b.err = io.EOF
		default:
			b.err = errFrame
		}
	}
	n := copy(p, b.rest)
	b.rest = b.rest[n:]
	return n, nil
}
