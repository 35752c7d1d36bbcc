package front

import (
	"net"
	"net/http"
	"strconv"
	"sync/atomic"
	"time"

	"weir.dev/weir/internal/awsapi"
	"weir.dev/weir/internal/sockets"
)

// maxKeptAnswer bounds the memory for an answer that an exchange keeps: the
// largest that is copied, and its head.
const maxKeptAnswer = copiedAnswer + 4<<10

// reply is what an answer is besides its bytes, which are in exchange.out.
type reply struct {
	lent   []byte     // the body, where it is not copied
	stream *streaming // or what makes it
}

func (h *http1) setHead(status int, contentType, requestID string) {
	h.reply = reply{}
	out := append(h.x.out[:0], "HTTP/1.1 "...)
	out = appendStatus(out, status)
	out = append(append(out, "\r\nContent-Type: "...), contentType...)
	out = append(append(out, "\r\nDate: "...), h.srv.dates.at(h.srv.opt.Clock.Now())...)
	out = append(append(out, "\r\nx-amzn-RequestId: "...), requestID...)
	h.x.out = append(out, "\r\n"...)
}

// appendStatus appends a status and what it is called.
func appendStatus(dst []byte, status int) []byte {
	if status == http.StatusOK {
		return append(dst, "200 OK"...)
	}
	return append(append(strconv.AppendInt(dst, int64(status), 10), ' '), http.StatusText(status)...)
}

func (h *http1) addHeader(name, value string) {
	out := append(append(h.x.out, name...), ": "...)
	from := len(out)
	out = append(out, value...)
	for i := from; i < len(out); i++ {
		if out[i] == '\r' || out[i] == '\n' {
			out[i] = ' ' // a door's mistake must not begin another header
		}
	}
	h.x.out = append(out, "\r\n"...)
}

// endHead ends the head, with what becomes of the connection.
func (h *http1) endHead() {
	h.last = h.last || h.srv.stopping()
	switch {
	case h.last:
		h.x.out = append(h.x.out, "Connection: close\r\n"...)
	case h.old:
		h.x.out = append(h.x.out, "Connection: keep-alive\r\n"...)
	}
	h.x.out = append(h.x.out, "\r\n"...)
}

func (h *http1) send(body []byte, lent bool) {
	h.x.out = append(h.x.out, "Content-Length: "...)
	h.x.out = append(strconv.AppendInt(h.x.out, int64(len(body)), 10), "\r\n"...)
	h.endHead()
	switch {
	case h.headOnly:
	case lent:
		h.reply.lent = body
	default:
		h.x.out = append(h.x.out, body...)
	}
}

// stream implements carrier: the pieces are made when the rest of the request
// has been given back.
func (h *http1) stream(pieces awsapi.Stream) {
	h.conn.beginStream()
	h.reply.stream = h.srv.newStreaming(h.conn.ctx, pieces)
	if h.old {
		h.last = true // the end of the connection is the end of the body
	} else {
		h.reply.stream.before = chunkHead
		h.x.out = append(h.x.out, "Transfer-Encoding: chunked\r\n"...)
	}
	h.endHead()
}

// sendAnswer sends what is ready of the answer: all, or the head of a stream.
func (h *http1) sendAnswer() error {
	err := h.write(h.x.out)
	if err == nil && len(h.reply.lent) > 0 {
		err = h.write(h.reply.lent)
	}
	return err
}

func (h *http1) write(p []byte) error {
	c := h.in.nc
	if c == net.Conn(h.conn) {
		c = h.conn.Conn // what is quick is below
	}
	_, err := sockets.WriteWithin(c, p, h.srv.limits.WriteTimeout)
	return err
}

// dateCache holds the Date of answers, made once per second.
type dateCache struct{ last atomic.Pointer[dated] }

type dated struct {
	second int64
	text   []byte
}

func (c *dateCache) at(now time.Time) []byte {
	second := now.Unix()
	d := c.last.Load()
	if d == nil || d.second != second {
		d = &dated{second, now.UTC().AppendFormat(nil, http.TimeFormat)}
		c.last.Store(d)
	}
	return d.text
}
