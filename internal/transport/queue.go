package transport

import (
	"runtime"
	"sync"

	"go.etcd.io/raft/v3/raftpb"

	"weir.dev/weir/internal/model"
)

// queue holds the frames that wait to be written to one connection after
// another. Many goroutines add; one writer takes everything there is at once,
// so that what piles up during one write is the next write.
type queue struct {
	mu      sync.Mutex // guards all of queue, and the calls and state of a peer
	limit   int        // bytes
	buf     []byte     // small frames, oldest first
	spare   []byte     // the buffer that the writer gave back
	large   []*largeFrame
	bytes   int    // in large, and in the writer's hands
	batch   uint64 // how often buf was taken
	urgent  bool   // the writer should take what is there
	written bool   // something was taken since the last ping was due
	waiting bool   // the writer sleeps
	ready   sync.Cond
	drained sync.Cond // the writer took or finished something
}

// largeFrame is a frame that leaves in pieces.
type largeFrame struct {
	frame []byte // kind, payload
	sent  int    // bytes taken by the writer
}

// keepWriteBuffer is the largest write buffer that is kept for reuse.
const keepWriteBuffer = 1 << 20

func (q *queue) init(limit int) {
	q.limit = limit
	q.ready.L = &q.mu
	q.drained.L = &q.mu
}

// fits reports whether n more bytes may wait. Called with mu held.
func (q *queue) fits(n int) bool { return len(q.buf)+q.bytes+n <= q.limit }

// push makes the writer take what is there. Called with mu held.
func (q *queue) push() {
	if q.urgent {
		return
	}
	q.urgent = true
	if q.waiting {
		q.ready.Signal()
	}
}

// addRaft appends raft messages, which leave with the next push. It returns
// how many did not fit. Called with mu held.
func (q *queue) addRaft(tablet model.TabletID, msgs []*raftpb.Message) (dropped int) {
	for _, m := range msgs {
		size := raftSize(m)
		n := uvarintLen(uint64(tablet)) + size
		if size > MaxRaftBytes || !q.fits(n+8) {
			dropped++
			continue
		}
		q.buf = frameHeader(q.buf, frameRaft, n)
		q.buf = model.AppendUvarint(q.buf, uint64(tablet))
		q.buf = appendRaft(q.buf, m)
	}
	return dropped
}

// addIDFrame appends a frame of an id and a payload and pushes. It returns
// where the frame's kind is in buf, or the large frame that it became. Called
// with mu held.
func (q *queue) addIDFrame(kind frameKind, id uint64, payload []byte) (kindAt int, large *largeFrame) {
	n := uvarintLen(id) + len(payload)
	if n > partBytes {
		frame := append(make([]byte, 0, n+1), byte(kind))
		frame = append(model.AppendUvarint(frame, id), payload...)
		large = &largeFrame{frame: frame}
		q.large = append(q.large, large)
		q.bytes += len(frame)
		q.push()
		return -1, large
	}
	q.buf = frameHeader(q.buf, kind, n)
	kindAt = len(q.buf) - 1
	q.buf = append(model.AppendUvarint(q.buf, id), payload...)
	q.push()
	return kindAt, nil
}

// add appends one small frame and pushes. Called with mu held.
func (q *queue) add(kind frameKind, payload []byte) {
	q.buf = appendFrame(q.buf, kind, payload)
	q.push()
}

// ping appends a ping unless the connection is in use anyway.
func (q *queue) ping() {
	q.mu.Lock()
	defer q.mu.Unlock()
	if !q.written && q.bytes == 0 {
		q.add(framePing, nil)
	}
	q.written = false
	if len(q.buf) > 0 {
		q.push() // a turn that forgot to flush is late, not stuck
	}
}

// take waits for something to write, and takes all small frames and at most
// one piece of a large one. done returns true when the writer should stop.
func (q *queue) take(done func() bool) (batch []byte, ok bool) {
	q.mu.Lock()
	defer q.mu.Unlock()
	for !done() {
		if q.urgent && (len(q.buf) > 0 || len(q.large) > 0) {
			return q.takeLocked(), true
		}
		q.urgent = false
		q.waiting = true
		q.ready.Wait()
		q.waiting = false
		// Whoever else is about to add something goes first: a sixth of the
		// writes and half of the CPU per call, measured by BenchmarkCalls.
		q.mu.Unlock()
		runtime.Gosched()
		q.mu.Lock()
	}
	return nil, false
}

func (q *queue) takeLocked() []byte {
	batch := q.buf
	q.buf, q.spare = q.spare[:0], nil
	q.batch++
	q.bytes += len(batch)
	q.written = true
	if len(q.large) == 0 {
		q.urgent = false
		return batch
	}
	l := q.large[0]
	n := min(partBytes, len(l.frame)-l.sent)
	kind := framePart
	if l.sent+n == len(l.frame) {
		kind = frameLastPart
		q.large[0] = nil
		q.large = q.large[1:]
	}
	before := len(batch)
	batch = appendFrame(batch, kind, l.frame[l.sent:l.sent+n])
	l.sent += n
	q.bytes += len(batch) - before - n
	return batch
}

// wrote gives a batch back to the queue once it was written.
func (q *queue) wrote(batch []byte) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.bytes -= len(batch)
	if cap(batch) <= keepWriteBuffer {
		q.spare = batch[:0]
	}
	q.drained.Broadcast()
}

// wakeAll lets the writer and whoever waits for room look at their connection.
func (q *queue) wakeAll() {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.ready.Signal()
	q.drained.Broadcast()
}

// rewind makes pieces of large frames that went into a broken connection
// leave again. Called with mu held, when no writer is at work.
func (q *queue) rewind() {
	q.bytes = 0
	for _, l := range q.large {
		l.sent = 0
		q.bytes += len(l.frame)
	}
}

// clear forgets everything. Called with mu held, when no writer is at work.
func (q *queue) clear() {
	if cap(q.buf) > keepWriteBuffer {
		q.buf = nil
	}
	q.buf, q.large, q.bytes, q.urgent = q.buf[:0], nil, 0, false
	q.batch++
}
