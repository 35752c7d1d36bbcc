package transport

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
)

// frameKind says what a frame holds. The numbers are part of the protocol; see
// docs/format/transport.md.
type frameKind byte

const (
	frameHello      frameKind = 1  // hello.go
	frameRefuse     frameKind = 2  // hello.go
	framePing       frameKind = 3  // nothing: I am alive
	frameVoid       frameKind = 4  // to be ignored: a call that timed out before it was sent
	frameRaft       frameKind = 5  // tablet, raft message
	frameCall       frameKind = 6  // call id, request
	frameReply      frameKind = 7  // call id, answer
	frameFault      frameKind = 8  // call id, error
	framePart       frameKind = 9  // a piece of a large frame, more follow
	frameLastPart   frameKind = 10 // the last piece of a large frame
	frameSnapHeader frameKind = 11 // a snapshot's header
	frameSnapData   frameKind = 12 // a piece of a snapshot
	frameSnapEnd    frameKind = 13 // nothing: the snapshot is complete
	frameSnapDone   frameKind = 14 // what the receiver made of the snapshot
	frameJoin       frameKind = 15 // join.go
	frameGrant      frameKind = 16 // join.go
)

const (
	// maxFrameBytes bounds every frame between members: a raft message or a
	// call, and its ids.
	maxFrameBytes = MaxRaftBytes + 64
	// maxHelloBytes and maxJoinBytes bound what an unproven peer may send.
	maxHelloBytes = 1 << 10
	maxJoinBytes  = 64 << 10
	// partBytes is the size of the pieces of a large call, so that raft messages
	// pass it: two milliseconds of a gigabit link.
	partBytes = 256 << 10

	minReadBuffer  = 4 << 10  // what a connection starts with
	fullReadBuffer = 64 << 10 // what a busy one has: several TLS records of 16 KiB
	keepReadBuffer = 1 << 20  // a larger one is given up after the large frame
)

var errFrame = errors.New("malformed frame")

// frameHeader appends the length and kind of a frame with a payload of n bytes.
func frameHeader(dst []byte, kind frameKind, n int) []byte {
	return append(binary.AppendUvarint(dst, uint64(n)+1), byte(kind))
}

// appendFrame appends a whole frame.
func appendFrame(dst []byte, kind frameKind, payload []byte) []byte {
	return append(frameHeader(dst, kind, len(payload)), payload...)
}

// uvarintLen is the encoded size of v.
func uvarintLen(v uint64) int {
	n := 1
	for ; v >= 0x80; v >>= 7 {
		n++
	}
	return n
}

// frameReader cuts a stream into frames. Its buffer grows with the bytes that
// have arrived, never with a length that was only announced.
type frameReader struct {
	src   io.Reader
	limit int    // largest frame, kind included
	buf   []byte // buf[r:w] has arrived and was not returned yet
	r, w  int
}

func newFrameReader(src io.Reader, limit int) *frameReader {
	return &frameReader{src: src, limit: limit, buf: make([]byte, minReadBuffer)}
}

// next returns the next frame. The payload is valid until the next call. The
// error is io.EOF between frames, io.ErrUnexpectedEOF inside one, errFrame, or
// the source's.
func (f *frameReader) next() (frameKind, []byte, error) {
	for {
		kind, payload, need, err := f.parse()
		if err != nil || need == 0 {
			return kind, payload, err
		}
		if err := f.fill(need); err != nil {
			return 0, nil, err
		}
	}
}

// parse takes a frame off the buffer; need is how many bytes the buffer must
// hold before it is worth another try, 0 when a frame was found.
func (f *frameReader) parse() (kind frameKind, payload []byte, need int, err error) {
	have := f.buf[f.r:f.w]
	length, n := binary.Uvarint(have)
	if n == 0 && len(have) < binary.MaxVarintLen32 {
		return 0, nil, len(have) + 1, nil
	}
	if n <= 0 || n > binary.MaxVarintLen32 || length == 0 {
		return 0, nil, 0, errFrame
	}
	if length > uint64(f.limit) {
		return 0, nil, 0, fmt.Errorf("%w: %d bytes, over the limit of %d", errFrame, length, f.limit)
	}
	end := n + int(length)
	if len(have) < end {
		return 0, nil, end, nil
	}
	f.r += end
	return frameKind(have[n]), have[n+1 : end : end], 0, nil
}

// fill reads more; the unread bytes and need decide where to.
func (f *frameReader) fill(need int) error {
	if f.r == f.w {
		f.r, f.w = 0, 0
		if len(f.buf) > keepReadBuffer {
			f.buf = make([]byte, fullReadBuffer)
		}
	}
	if f.r > 0 && f.r+need > len(f.buf) {
		f.w = copy(f.buf, f.buf[f.r:f.w])
		f.r = 0
	}
	if f.w == len(f.buf) {
		grown := make([]byte, max(2*len(f.buf), minReadBuffer))
		f.w = copy(grown, f.buf[f.r:f.w])
		f.buf, f.r = grown, 0
	}
	n, err := f.src.Read(f.buf[f.w:])
	f.w += n
	if f.w == len(f.buf) && len(f.buf) < fullReadBuffer {
		grown := make([]byte, 2*len(f.buf)) // it was filled at one go: the connection is busy
		f.w = copy(grown, f.buf[f.r:f.w])
		f.buf, f.r = grown, 0
	}
	if n > 0 {
		return nil // an error will come again
	}
	if err == io.EOF && f.r != f.w {
		return io.ErrUnexpectedEOF
	}
	return err
}
