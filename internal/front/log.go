package front

import (
	"context"
	"fmt"
	"log/slog"
	"math/bits"
	"runtime"
	"runtime/debug"
	"strings"
	"sync"
)

// requestHandler adds the request's id to what a door logs. One is made per
// exchange, not per request: the id is looked up when something is logged.
type requestHandler struct {
	slog.Handler
	x *exchange
}

// Handle implements slog.Handler.
func (h *requestHandler) Handle(ctx context.Context, r slog.Record) error {
	r.AddAttrs(slog.String("request", h.x.req.RequestID))
	return h.Handler.Handle(ctx, r)
}

// WithAttrs implements slog.Handler.
func (h *requestHandler) WithAttrs(attrs []slog.Attr) slog.Handler {
	return &requestHandler{h.Handler.WithAttrs(attrs), h.x}
}

// WithGroup implements slog.Handler.
func (h *requestHandler) WithGroup(name string) slog.Handler {
	return &requestHandler{h.Handler.WithGroup(name), h.x}
}

// maxPanicPlaces bounds the places whose panics are told apart.
const maxPanicPlaces = 64

// panicLog reports panics of doors: the first of each place with its stack,
// then the 2nd, 4th, 8th and so on with their count.
type panicLog struct {
	mu     sync.Mutex // guards counts
	counts map[string]uint
}

// report is called while the panic is being recovered from.
func (l *panicLog) report(log *slog.Logger, service, operation string, p any) {
	place := panicPlace()
	l.mu.Lock()
	if l.counts == nil {
		l.counts = make(map[string]uint)
	}
	if _, known := l.counts[place]; !known && len(l.counts) >= maxPanicPlaces {
		place = "elsewhere"
	}
	l.counts[place]++
	n := l.counts[place]
	l.mu.Unlock()
	switch {
	case n == 1:
		log.Error("a request made the server panic; this is a bug", "service", service, "operation", operation,
			"panic", fmt.Sprint(p), "place", place, "stack", string(debug.Stack()))
	case bits.OnesCount(n) == 1:
		log.Error("requests keep making the server panic; the stack was logged the first time", "place", place, "count", n)
	}
}

// panicPlace is the line that panicked: the first frame above the runtime's.
func panicPlace() string {
	var pcs [32]uintptr
	frames := runtime.CallersFrames(pcs[:runtime.Callers(0, pcs[:])])
	inPanic := false
	for {
		frame, more := frames.Next()
		if frame.Function == "runtime.gopanic" {
			inPanic = true
		} else if inPanic && !strings.HasPrefix(frame.Function, "runtime.") {
			return fmt.Sprintf("%s:%d", frame.File, frame.Line)
		}
		if !more {
			return "unknown"
		}
	}
}
