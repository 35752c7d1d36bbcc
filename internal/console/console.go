// Package console is the admin side of a node: status, join tokens, pipes,
// queues, health and metrics over HTTP, for the weir command, load balancers and
// monitoring.
//
// It decides nothing about data: each handler calls the service or the
// cluster. Requests that change something must say that they are JSON and
// carry no foreign Origin, so that a web page cannot make a browser send them;
// with keys configured, requests must be signed with one of them (SigV4,
// service name "weir").
//
// Handlers run concurrently. Start with New.
package console

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/url"
	"time"

	"weir.dev/weir/internal/cluster"
	"weir.dev/weir/internal/model"
	"weir.dev/weir/internal/pipe"
	"weir.dev/weir/internal/region"
	"weir.dev/weir/internal/service"
)

// Limits of the admin API.
const (
	maxBodyBytes   = 1 << 20
	requestTimeout = 20 * time.Second
)

// Admin is what the console needs of the node.
type Admin interface {
	Status(ctx context.Context) *cluster.ClusterStatus
	// CreateToken makes a join token that is good for ttl.
	CreateToken(ctx context.Context, ttl time.Duration) (text string, err error)
	// DrainNode makes a member give up its replicas, or no longer; with leave it
	// also ends its membership.
	DrainNode(ctx context.Context, id model.NodeID, drain, leave bool) error
	SetSettings(ctx context.Context, s model.ClusterSettings) error
	// TransferLeader makes a voter lead a tablet; zero lets the balance decide.
	TransferLeader(ctx context.Context, id model.TabletID, to model.NodeID) error
	// InviteRegion makes a token with which another region may open a link to
	// this one, for ttl, and the inbound link of that name which waits for it.
	InviteRegion(ctx context.Context, name string, ttl time.Duration) (text string, err error)
	// Healthy is nil while the node can serve requests; else it says why not.
	Healthy() error
	// Metrics writes the node's metrics in the Prometheus text format.
	Metrics(w io.Writer)
}

// Authorize checks a request whose body has been read; nil lets it through.
type Authorize func(r *http.Request, body []byte) error

// console serves the admin API.
type console struct {
	admin     Admin
	pipes     *pipe.Engine
	queues    *service.Service
	regions   *region.Engine
	authorize Authorize
}

// New returns the handler of the admin listener.
func New(admin Admin, pipes *pipe.Engine, queues *service.Service, regions *region.Engine, authorize Authorize) http.Handler {
	c := &console{admin: admin, pipes: pipes, queues: queues, regions: regions, authorize: authorize}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /healthz", func(w http.ResponseWriter, _ *http.Request) { health(w, nil) })
	mux.HandleFunc("GET /readyz", func(w http.ResponseWriter, _ *http.Request) { health(w, admin.Healthy()) })
	mux.HandleFunc("GET /metrics", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/plain; version=0.0.4")
		admin.Metrics(w)
	})
	c.handle(mux, "GET /api/status", c.status)
	c.handle(mux, "POST /api/tokens", c.createToken)
	c.handle(mux, "POST /api/nodes/{id}", c.changeNode)
	c.handle(mux, "POST /api/tablets/{id}", c.changeTablet)
	c.handle(mux, "POST /api/settings", c.changeSettings)
	c.handle(mux, "GET /api/replication", c.showReplication)
	c.handle(mux, "POST /api/replication", c.setReplication)
	c.handle(mux, "GET /api/pipes", c.listPipes)
	c.handle(mux, "POST /api/pipes", c.createPipe)
	c.handle(mux, "GET /api/pipes/{name}", c.describePipe)
	c.handle(mux, "PATCH /api/pipes/{name}", c.updatePipe)
	c.handle(mux, "DELETE /api/pipes/{name}", c.deletePipe)
	c.handleQueues(mux)
	c.handleRegions(mux)
	c.handleFailover(mux)
	c.handleStreams(mux)
	return http.MaxBytesHandler(mux, maxBodyBytes)
}

// Starting is the handler until the node is open: it lives, and is not ready.
func Starting() http.Handler { return closed(errors.New("the node is starting")) }

// Stopping is the handler from when the node closes.
func Stopping() http.Handler { return closed(errors.New("the node is stopping")) }

func closed(why error) http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /healthz", func(w http.ResponseWriter, _ *http.Request) { health(w, nil) })
	mux.HandleFunc("/", func(w http.ResponseWriter, _ *http.Request) { health(w, why) })
	return mux
}

func health(w http.ResponseWriter, err error) {
	if err != nil {
		http.Error(w, err.Error(), http.StatusServiceUnavailable)
		return
	}
	_, _ = io.WriteString(w, "ok\n") // the client may be gone; nothing to do about it
}

// handle registers an operation: it reads and authorises the request, and
// writes the result or the error as JSON.
func (c *console) handle(mux *http.ServeMux, pattern string, op func(context.Context, *http.Request, []byte) (any, error)) {
	mux.HandleFunc(pattern, func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err == nil {
			err = fromSameSite(r)
		}
		if err == nil {
			err = c.authorize(r, body)
		}
		var result any
		if err == nil {
			ctx, cancel := context.WithTimeout(r.Context(), requestTimeout)
			defer cancel()
			result, err = op(ctx, r, body)
		}
		w.Header().Set("Content-Type", "application/json")
		if err != nil {
			w.WriteHeader(statusOf(err))
			result = errorBody{err.Error()}
		}
		_ = json.NewEncoder(w).Encode(result) // the client may be gone; nothing to do about it
	})
}

type errorBody struct {
	Error string `json:"error"`
}

// fromSameSite refuses what a browser could be made to send from another site.
func fromSameSite(r *http.Request) error {
	if r.Method == http.MethodGet {
		return nil
	}
	if r.Method != http.MethodDelete && r.Header.Get("Content-Type") != "application/json" {
		return model.Errorf(model.ErrValidation, "the request must have the content type application/json")
	}
	origin := r.Header.Get("Origin")
	if u, err := url.Parse(origin); origin != "" && (err != nil || u.Host != r.Host) {
		return model.Errorf(model.ErrAccessDenied, "the request comes from another site")
	}
	return nil
}

// statusOf is the HTTP status of an error.
func statusOf(err error) int {
	var large *http.MaxBytesError
	if errors.As(err, &large) {
		return http.StatusRequestEntityTooLarge
	}
	var known *model.Error
	if !errors.As(err, &known) {
		return http.StatusInternalServerError
	}
	switch known.Kind {
	case model.ErrValidation, model.ErrReceiptInvalid:
		return http.StatusBadRequest
	case model.ErrNotFound:
		return http.StatusNotFound
	case model.ErrInUse, model.ErrOverLimit, model.ErrPurgeInProgress:
		return http.StatusConflict
	case model.ErrAccessDenied:
		return http.StatusForbidden
	case model.ErrUnavailable, model.ErrUnknownOutcome, model.ErrNotAbroad, model.ErrNotOnAll:
		return http.StatusServiceUnavailable
	case model.ErrUnsupported:
		return http.StatusNotImplemented
	default:
		return http.StatusInternalServerError
	}
}

func (c *console) status(ctx context.Context, _ *http.Request, _ []byte) (any, error) {
	return c.admin.Status(ctx), nil
}

// tokenRequest asks for a join token.
type tokenRequest struct {
	TTLSeconds int `json:"ttl_seconds"` // 60 to 86400; 0 is an hour
}

type tokenResult struct {
	Token   string    `json:"token"`
	Expires time.Time `json:"expires"`
}

func (c *console) createToken(ctx context.Context, _ *http.Request, body []byte) (any, error) {
	var req tokenRequest
	if err := json.Unmarshal(body, &req); err != nil {
		return nil, model.Errorf(model.ErrValidation, "malformed JSON: %v", err)
	}
	if req.TTLSeconds == 0 {
		req.TTLSeconds = 3600
	}
	if req.TTLSeconds < 60 || req.TTLSeconds > 86400 {
		return nil, model.Errorf(model.ErrValidation, "a token lives 60 to 86400 seconds, not %d", req.TTLSeconds)
	}
	ttl := time.Duration(req.TTLSeconds) * time.Second
	text, err := c.admin.CreateToken(ctx, ttl)
	return tokenResult{Token: text, Expires: time.Now().Add(ttl).UTC()}, err
}
