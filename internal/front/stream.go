package front

import (
	"context"
	"errors"
	"io"
	"time"

	"weir.dev/weir/internal/awsapi"
)

// maxKeptPiece bounds the buffer that a stream keeps between its pieces, as
// most of its time it waits for the next one.
const maxKeptPiece = 64 << 10

// closeTime is how long a stream may take to close: whoever makes its pieces
// may have to tell others.
const closeTime = 2 * time.Second

// answerStream sends an answer whose body is made in pieces.
func (x *exchange) answerStream(resp *awsapi.Response) {
	x.begin(resp.Status, resp.ContentType)
	for i := range resp.Header {
		x.via.addHeader(resp.Header[i][0], resp.Header[i][1])
	}
	pieces := resp.Stream
	resp.Release()
	x.via.stream(pieces)
}

// streaming is a body that is made in pieces, on its way to the client.
type streaming struct {
	srv    *Server
	pieces awsapi.Stream
	ctx    context.Context
	cancel context.CancelFunc
	unhook func() bool
	before string // goes before each piece
	buf    []byte
}

// newStreaming begins a stream whose context ends with parent, when the server
// begins to stop, and after Limits.StreamTimeout. close must follow.
func (s *Server) newStreaming(parent context.Context, pieces awsapi.Stream) *streaming {
	t := &streaming{srv: s, pieces: pieces}
	ctx, stop := context.WithCancelCause(parent)
	t.ctx, t.cancel = context.WithTimeoutCause(ctx, s.limits.StreamTimeout, errTimeout)
	t.unhook = context.AfterFunc(s.serving, func() { stop(errStopping) })
	return t
}

// next returns before and the next piece, which are good until the next call.
// io.EOF is the end, also when it is the server's: the client may then go on
// elsewhere. Any other error is one that the client must not take for the end.
func (t *streaming) next() (piece []byte, err error) {
	defer func() {
		if p := recover(); p != nil {
			t.srv.panicked.Add(1)
			t.srv.panics.report(t.srv.log, "", "", p)
			piece, err = nil, errors.New("the stream has panicked")
		}
	}()
	if cap(t.buf) > maxKeptPiece {
		t.buf = nil
	}
	t.buf, err = t.pieces.Next(t.ctx, append(t.buf[:0], t.before...))
	if cause := context.Cause(t.ctx); err != nil && (errors.Is(cause, errStopping) || errors.Is(cause, errTimeout)) {
		return nil, io.EOF
	}
	return t.buf, err
}

func (t *streaming) close() {
	t.unhook()
	t.cancel()
	ctx, cancel := context.WithTimeout(t.srv.base, closeTime)
	defer cancel()
	t.pieces.Close(ctx)
	t.srv.active.Add(-1)
}

// chunkHead is the place for a chunk's size, before a piece: 8 hexadecimal
// digits. A piece, of which nothing has a gigabyte, is sent with it at once.
const chunkHead = "00000000\r\n"

// sendPieces sends a stream after an answer's head, or only closes it when
// sending that has failed.
func (h *http1) sendPieces(t *streaming, err error) error {
	defer h.end()
	defer t.close()
	for err == nil {
		var piece []byte
		piece, err = t.next()
		switch {
		case errors.Is(err, io.EOF) && t.before == "":
			return nil
		case errors.Is(err, io.EOF):
			return h.write([]byte("0\r\n\r\n"))
		case err == nil && len(piece) > len(t.before):
			err = h.write(t.chunked(piece))
		}
	}
	return err
}

// chunked makes a chunk of a piece, where it is.
func (t *streaming) chunked(piece []byte) []byte {
	if t.before == "" {
		return piece
	}
	size := len(piece) - len(chunkHead)
	for i := 7; i >= 0; i-- {
		piece[i] = "0123456789abcdef"[size&15]
		size >>= 4
	}
	t.buf = append(piece, "\r\n"...)
	return t.buf
}
