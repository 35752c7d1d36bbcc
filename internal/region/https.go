package region

import (
	"bytes"
	"context"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"time"

	"weir.dev/weir/internal/model"
	"weir.dev/weir/internal/transport"
)

// Regions speak HTTP/1.1 over TLS on the peer port: POST /region/1/OP with the
// header Authorization: Weir-Link INBOUND:KEY, both numbers in hexadecimal.
const (
	requestPath = "/region/1/"
	authScheme  = "Weir-Link "
)

const (
	// maxReceiving bounds the requests of other regions that a node answers at
	// one time. A sender has one under way for each of its tablets and links.
	maxReceiving = 128
	// maxOpenBytes bounds the body of a request that opens a link.
	maxOpenBytes = 64 << 10
)

// HTTPDialer is the Dialer of real clusters. It keeps connections. Its zero
// value is not ready; see NewHTTPDialer.
type HTTPDialer struct {
	now func() time.Time

	mu      sync.Mutex // guards clients
	clients map[[16]byte]*http.Client
}

// NewHTTPDialer returns a dialer that checks certificates by the clock now.
func NewHTTPDialer(now func() time.Time) *HTTPDialer {
	return &HTTPDialer{now: now, clients: map[[16]byte]*http.Client{}}
}

// Close closes the connections that are kept.
func (h *HTTPDialer) Close() error {
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, c := range h.clients {
		c.CloseIdleConnections()
	}
	return nil
}

// client returns the client for regions of one authority: a connection that was
// made for one is never used for another.
func (h *HTTPDialer) client(authority [16]byte) *http.Client {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.clients[authority] == nil {
		h.clients[authority] = &http.Client{Transport: &http.Transport{
			DialTLSContext: func(ctx context.Context, _, addr string) (net.Conn, error) {
				return transport.DialRegion(ctx, addr, authority, h.now)
			},
			MaxIdleConnsPerHost: 64, IdleConnTimeout: time.Minute,
		}}
	}
	return h.clients[authority]
}

// ParseToken reads a token that the other region made: the hash of its secret,
// and whose certificates to expect there.
func ParseToken(text string) (hash [32]byte, authority [16]byte, err error) {
	return transport.ParseLinkToken(text)
}

// Call implements Dialer.
func (h *HTTPDialer) Call(ctx context.Context, t *Target, op Op, body []byte) ([]byte, error) {
	url := "https://" + t.Addr + requestPath + strconv.Itoa(int(op))
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, url, bytes.NewReader(body))
	if err != nil {
		return nil, model.Errorf(model.ErrValidation, "%q is not HOST:PORT", t.Addr)
	}
	req.Header.Set("Authorization", authScheme+strconv.FormatUint(uint64(t.Inbound), 16)+":"+hex.EncodeToString(t.Key[:]))
	resp, err := h.client(t.Authority).Do(req)
	if err != nil {
		return nil, model.Errorf(model.ErrUnavailable, "cannot reach the other region: %v", errors.Unwrap(err))
	}
	defer func() { _ = resp.Body.Close() }()
	answer, err := io.ReadAll(io.LimitReader(resp.Body, maxWireBytes))
	if err != nil {
		return nil, model.Errorf(model.ErrUnavailable, "cannot read the answer of the other region: %v", err)
	}
	if resp.StatusCode == http.StatusOK {
		return answer, nil
	}
	var failed struct{ Error string }
	if json.Unmarshal(answer, &failed) != nil || failed.Error == "" {
		failed.Error = resp.Status
	}
	kind := model.ErrUnavailable
	if resp.StatusCode == http.StatusForbidden {
		kind = model.ErrAccessDenied
	}
	return nil, model.Errorf(kind, "the other region says: %s", failed.Error)
}

// ServeHTTP answers other regions.
func (e *Engine) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	answer, err := e.serve(r)
	if err == nil {
		_, _ = w.Write(answer) // the other side may be gone; it will ask again
		return
	}
	status := http.StatusServiceUnavailable
	var known *model.Error
	if errors.As(err, &known) && known.Kind == model.ErrAccessDenied {
		status = http.StatusForbidden
	}
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(map[string]string{"error": err.Error()})
}

func (e *Engine) serve(r *http.Request) ([]byte, error) {
	op, err := strconv.ParseUint(strings.TrimPrefix(r.URL.Path, requestPath), 10, 8)
	if err != nil || r.Method != http.MethodPost {
		return nil, model.Errorf(model.ErrUnsupported, "regions ask with POST %sOP", requestPath)
	}
	from, key, err := parseAuthorization(r.Header.Get("Authorization"))
	if err != nil {
		return nil, err
	}
	bound := int64(maxOpenBytes) // who shows a token may be anybody
	if Op(op) != OpOpen && Op(op) != OpFollow {
		if _, err := e.admit(r.Context(), from, key); err != nil {
			return nil, err // before the body is read
		}
		if !e.enter() {
			return nil, model.Errorf(model.ErrUnavailable, "the node answers %d requests of other regions already", maxReceiving)
		}
		defer e.receiving.Add(-1)
		bound = maxWireBytes
	}
	body, err := io.ReadAll(io.LimitReader(r.Body, bound+1))
	if err != nil || int64(len(body)) > bound {
		return nil, model.Errorf(model.ErrValidation, "the message cannot be read, or is larger than %d bytes", bound)
	}
	return e.Receive(r.Context(), from, key, Op(op), body)
}

// enter counts a request whose body may be large; false when there are too many.
func (e *Engine) enter() bool {
	if e.receiving.Add(1) > maxReceiving {
		e.receiving.Add(-1)
		return false
	}
	return true
}

func parseAuthorization(text string) (from model.ResourceID, key [32]byte, err error) {
	rest, ok := strings.CutPrefix(text, authScheme)
	id, digits, ok2 := strings.Cut(rest, ":")
	n, err := strconv.ParseUint(id, 16, 64)
	raw, err2 := hex.DecodeString(digits)
	if !ok || !ok2 || err != nil || err2 != nil || len(raw) != len(key) {
		return 0, key, errKey
	}
	copy(key[:], raw)
	return model.ResourceID(n), key, nil
}

// Listener is a net.Listener of connections that are handed to it.
type Listener struct {
	conns chan net.Conn
	done  chan struct{}
	once  sync.Once
	addr  net.Addr
}

// maxWaitingConns bounds the connections that wait to be served.
const maxWaitingConns = 64

// NewListener returns a Listener that says that it listens on addr.
func NewListener(addr net.Addr) *Listener {
	return &Listener{conns: make(chan net.Conn, maxWaitingConns), done: make(chan struct{}), addr: addr}
}

// Hand gives a connection to whoever accepts, or closes it when too many wait.
func (l *Listener) Hand(c net.Conn) {
	select {
	case <-l.done:
	case l.conns <- c:
		return
	default:
	}
	_ = c.Close()
}

// Accept implements net.Listener.
func (l *Listener) Accept() (net.Conn, error) {
	select {
	case c := <-l.conns:
		return c, nil
	case <-l.done:
		return nil, fmt.Errorf("cannot accept: %w", net.ErrClosed)
	}
}

// Close implements net.Listener.
func (l *Listener) Close() error {
	l.once.Do(func() { close(l.done) })
	return nil
}

// Addr implements net.Listener.
func (l *Listener) Addr() net.Addr { return l.addr }
