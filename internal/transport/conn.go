package transport

import (
	"bytes"
	"crypto/tls"
	"errors"
	"net"
	"sync"
	"sync/atomic"

	"weir.dev/weir/internal/model"
)

// conn is one established connection between members. One goroutine reads, one
// writes what its queue holds.
type conn struct {
	t           *TCP
	peer        *peer // of node
	wire        *wire
	tls         *tls.Conn
	frames      *frameReader
	node        model.NodeID
	incarnation uint64 // of the other node
	q           *queue // the peer's for dialled connections, own otherwise

	routed atomic.Bool // an answer to a request from here left on another connection
	dead   atomic.Bool
	failed sync.Once
	cause  error // set once, before dead; why the connection ended

	// Owned by the transport's tick.
	lastRead  uint64
	deafTicks int
}

var (
	errDeaf   = errors.New("the peer has been silent for 3 seconds")
	errClosed = errors.New("the transport is closed")
	errLost   = errors.New("the connection was closed by the peer")
)

// fail ends the connection; the first cause counts. It does not block.
func (c *conn) fail(cause error) {
	c.failed.Do(func() {
		c.cause = cause
		c.dead.Store(true)
		_ = c.wire.Close() // not the TLS layer's Close, which may wait for a stuck write
		c.q.wakeAll()
	})
}

// writeLoop writes the queue until the connection ends.
func (c *conn) writeLoop() {
	for {
		batch, ok := c.q.take(c.dead.Load)
		if !ok {
			return
		}
		_, err := c.tls.Write(batch)
		if err == nil {
			err = c.wire.flush()
		}
		c.t.stats.bytesSent.Add(uint64(len(batch)))
		c.t.stats.writes.Add(1)
		c.q.wrote(batch)
		if err != nil {
			c.fail(err)
			return
		}
	}
}

// readLoop hands on what arrives until the connection ends.
func (c *conn) readLoop() {
	var large []byte // pieces of a large frame
	for {
		kind, payload, err := c.frames.next()
		if err == nil && (kind == framePart || kind == frameLastPart) {
			if len(large)+len(payload) > maxFrameBytes {
				err = errFrame
			}
			large = append(large, payload...)
			if kind == framePart && err == nil {
				continue
			}
			kind, payload = 0, nil
			if len(large) > 0 {
				kind, payload = frameKind(large[0]), large[1:]
			}
			if err == nil {
				err = c.dispatch(kind, payload, true)
			}
			large = nil
		} else if err == nil {
			err = c.dispatch(kind, payload, false)
		}
		if err != nil {
			c.fail(err)
			return
		}
	}
}

// dispatch handles one frame; owned says that payload may be kept.
func (c *conn) dispatch(kind frameKind, payload []byte, owned bool) error {
	keep := func(b []byte) []byte {
		if owned {
			return b
		}
		return bytes.Clone(b)
	}
	d := model.NewDecoder(payload)
	switch kind {
	case framePing, frameVoid:
		return nil
	case frameRefuse: // who dialled found that this node is not what it should be
		err := decodeRefusal(payload)
		c.t.refused(err)
		return err
	case frameRaft:
		tablet := model.TabletID(d.Uvarint())
		msg, err := decodeRaft(d.Rest())
		if err != nil || d.Err() != nil {
			return errFrame
		}
		c.t.receiver.Raft(c.node, tablet, msg)
		return nil
	case frameCall:
		id := d.Uvarint()
		if d.Err() != nil {
			return errFrame
		}
		c.t.receiver.Call(c.node, keep(d.Rest()), func(resp []byte, err error) { c.reply(id, resp, err) })
		return nil
	case frameReply:
		id := d.Uvarint()
		if d.Err() != nil {
			return errFrame
		}
		c.peer.answered(id, keep(d.Rest()), nil)
		return nil
	case frameFault:
		id := d.Uvarint()
		if d.Err() != nil {
			return errFrame
		}
		c.peer.answered(id, nil, decodeFault(d))
		return nil
	default:
		return errFrame
	}
}

// reply sends the answer to a call that came in here: with everything else
// that goes to that node when it is connected that way, here otherwise.
func (c *conn) reply(id uint64, resp []byte, err error) {
	kind := frameReply
	if err == nil && len(resp) > MaxCallBytes {
		err = errors.New("the answer is too large")
	}
	if err != nil {
		kind, resp = frameFault, appendFault(nil, err)
	}
	if c.dead.Load() || c.peer.replyVia(c, kind, id, resp) {
		return
	}
	c.q.mu.Lock()
	defer c.q.mu.Unlock()
	if !c.q.fits(len(resp)) {
		c.t.stats.repliesDropped.Add(1)
		return
	}
	c.q.addIDFrame(kind, id, resp)
}

// wire is the socket under TLS. It counts what is read, so that a dead peer is
// noticed, and gathers the TLS records of one batch into one write.
type wire struct {
	net.Conn
	read    atomic.Uint64 // bytes
	reading atomic.Bool   // somebody waits for the peer

	mu   sync.Mutex // guards what follows
	hold bool       // gather writes; set after the handshake
	held []byte
}

// flushBytes is how much is gathered at most.
const flushBytes = 256 << 10

func (w *wire) Read(p []byte) (int, error) {
	w.reading.Store(true)
	n, err := w.Conn.Read(p)
	w.reading.Store(false)
	w.read.Add(uint64(n))
	return n, err
}

func (w *wire) Write(p []byte) (int, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if !w.hold {
		return w.Conn.Write(p)
	}
	w.held = append(w.held, p...)
	if len(w.held) < flushBytes {
		return len(p), nil
	}
	return len(p), w.flushLocked()
}

func (w *wire) flush() error {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.flushLocked()
}

func (w *wire) flushLocked() error {
	if len(w.held) == 0 {
		return nil
	}
	_, err := w.Conn.Write(w.held)
	w.held = w.held[:0]
	return err
}

func (w *wire) gather() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.hold = true
}
