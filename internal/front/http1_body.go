package front

import (
	"bytes"
	"errors"
	"io"

	"weir.dev/weir/internal/awsapi"
)

// Limits on what surrounds a chunked body.
const (
	maxChunkLine    = 256     // bytes of a chunk's size and extensions, or of a line of the trailer: clients send few
	maxChunkDigits  = 16      // of a size, zeros before it counted
	maxChunkBytes   = 1 << 30 // far more than a body may have
	maxTrailerLines = 64      // they are dropped
)

const goOnText = "HTTP/1.1 100 Continue\r\n\r\n"

// body is how a request's body comes.
type body struct {
	length int  // as declared; -1: chunked
	left   int  // of the body, or of the chunk that is being read
	inside bool // a chunk's data have begun, and their end has not been read
	whole  bool // nothing of it is left to be read
}

// errNotChunked is what is not in the form of chunks.
var errNotChunked = errors.New("the chunks are malformed")

// body implements carrier: what has not been read comes from h.
func (h *http1) body() (io.Reader, int) {
	if h.request.whole {
		return nil, 0
	}
	return (*bodyReader)(h), h.request.length
}

// beginBody implements carrier: a short body is left where it was read.
func (h *http1) beginBody() (short []byte, fault *awsapi.Error) {
	n := min(h.request.length, prefetched)
	if n < 0 || !h.in.makeRoom(n) {
		return nil, nil
	}
	for len(h.in.waiting()) < n {
		err := h.goOn()
		if err == nil {
			err = h.in.await(h.headBy)
		}
		if err != nil {
			return nil, bodyFault(err)
		}
	}
	if h.request.length > n {
		return nil, nil
	}
	h.request = body{length: n, whole: true}
	return h.in.take(n), nil
}

// goOn tells a client that waits for it to send the body.
func (h *http1) goOn() error {
	if !h.mayContinue {
		return nil
	}
	h.mayContinue = false
	return h.write([]byte(goOnText))
}

// bodyReader reads the body of h's request under the deadline that is set.
type bodyReader http1

// Read implements io.Reader.
func (r *bodyReader) Read(p []byte) (int, error) {
	h := (*http1)(r)
	b := &h.request
	if b.length < 0 && b.left == 0 {
		if err := h.nextChunk(); err != nil {
			return 0, err
		}
	}
	if b.whole {
		return 0, io.EOF
	}
	if err := h.goOn(); err != nil {
		return 0, err
	}
	n, err := h.in.readInto(p[:min(len(p), b.left)])
	b.left -= n
	b.whole = b.length >= 0 && b.left == 0
	if errors.Is(err, io.EOF) {
		err = io.ErrUnexpectedEOF
	}
	return n, err
}

// nextChunk reads up to the data of the next chunk, or to the end of the body.
func (h *http1) nextChunk() error {
	b := &h.request
	if b.inside {
		line, err := h.line()
		if err != nil {
			return err
		}
		if len(line) > 0 {
			return errNotChunked
		}
		b.inside = false
	}
	line, err := h.line()
	if err != nil {
		return err
	}
	size, ok := parseChunkSize(line)
	if !ok {
		return errNotChunked
	}
	if size > 0 {
		b.left, b.inside = size, true
		return nil
	}
	for range maxTrailerLines {
		line, err := h.line()
		if err != nil {
			return err
		}
		if len(line) == 0 {
			b.whole = true
			return nil
		}
		if name, value, ok := bytes.Cut(line, []byte{':'}); !ok || !isToken(name) || hasControl(value) {
			return errNotChunked
		}
	}
	return errNotChunked
}

// parseChunkSize reads a chunk's first line: a hexadecimal number, and
// extensions that are not looked at. Spaces between them, which some servers
// take, are refused.
func parseChunkSize(line []byte) (size int, ok bool) {
	digits, extensions, _ := bytes.Cut(line, []byte{';'})
	if len(digits) > maxChunkDigits || hasControl(extensions) {
		return 0, false
	}
	for _, c := range digits {
		d, ok := unhex(c)
		if !ok || size > maxChunkBytes>>4 {
			return 0, false
		}
		size = size<<4 | int(d)
	}
	return size, len(digits) > 0
}

// line takes a line that ends in CRLF, without it, from within the body. It is
// good until the next read.
func (h *http1) line() ([]byte, error) {
	for from := 0; ; {
		waiting := h.in.waiting()
		if i := bytes.IndexByte(waiting[from:], '\n'); i >= 0 {
			line := h.in.take(from + i + 1)
			if len(line) > maxChunkLine || len(line) < 2 || line[len(line)-2] != '\r' {
				return nil, errNotChunked
			}
			return line[:len(line)-2], nil
		}
		from = len(waiting)
		if from >= maxChunkLine || !h.in.makeRoom(maxChunkLine) {
			return nil, errNotChunked
		}
		if err := h.goOn(); err != nil {
			return nil, err
		}
		if err := h.in.await(h.in.armed); err != nil {
			if errors.Is(err, io.EOF) {
				err = io.ErrUnexpectedEOF
			}
			return nil, err
		}
	}
}
