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

// next returns the next piece, which is good until the next call. io.EOF is the
// end, also when it is the server's: the client may then go on elsewhere. Any
// other error is one that the client must not take for the end.
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
	t.buf, err = t.pieces.Next(t.ctx, t.buf[:0])
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

// streamReader is a stream as fasthttp takes a body: it reads it, a few KiB at
// a time, sends what it got, and closes it.
type streamReader struct {
	*streaming
	conn *conn
	left []byte // of the last piece
}

func newStreamReader(s *Server, c *conn, pieces awsapi.Stream) *streamReader {
	return &streamReader{streaming: s.newStreaming(c.ctx, pieces), conn: c}
}

// Read implements io.Reader.
func (r *streamReader) Read(p []byte) (int, error) {
	for len(r.left) == 0 {
		piece, err := r.next()
		// All of a piece, or the end, must be taken within the time for an answer. A
		// failure shows when it is written.
		_ = r.conn.SetWriteDeadline(time.Now().Add(r.srv.limits.WriteTimeout))
		if err != nil {
			return 0, err
		}
		r.left = piece
	}
	n := copy(p, r.left)
	r.left = r.left[n:]
	return n, nil
}

// Close implements io.Closer.
func (r *streamReader) Close() error {
	r.close()
	r.conn.end()
	return nil
}
