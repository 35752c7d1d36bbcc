// Package region ships what is written in this cluster to others, and takes in
// what they ship.
//
// A link is a reader of the change log. The node that leads a tablet runs the
// link's worker for it: it first copies the tables that the link selects, page
// by page while writes go on, and then follows the log from where that began.
// How far it has come is part of the tablet's state, so whoever leads next goes
// on from there. What arrives is applied by versions (machine.applyChanges):
// shipping twice, late or by two ways has the effect of once, so nothing here
// has to be exact, only never to skip. A change is not sent back to the region
// that wrote it.
//
// The package keeps no state of its own that matters. Every goroutine ends with
// Close. Start with Engine; worker.go, copy.go and ship.go are the sender,
// round.go says when tombstones may go, policy.go how conflicts are resolved, receiver.go is the other side, wire.go
// what they say to each other, https.go how.
package region

import (
	"cmp"
	"context"
	"log/slog"
	"maps"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"weir.dev/weir/internal/base"
	"weir.dev/weir/internal/model"
	"weir.dev/weir/internal/service"
)

// Node is the node that an engine runs on, as far as it tells it something.
type Node interface {
	// Shipped says how far a link has come in a tablet led here, for those who wait
	// for that. It does not block.
	Shipped(link model.ResourceID, t model.TabletID, s model.Shipped)
	// Tell has the engines of the cluster's other nodes get a message (Engine.Told),
	// or not, if they cannot be reached. It does not block.
	Tell(body []byte)
}

// Options say what an Engine runs on.
type Options struct {
	Cluster service.Cluster
	Service *service.Service
	Clock   base.Clock
	Rand    *base.Rand
	Logger  *slog.Logger
	Dialer  Dialer
	Node    Node
	// Authority is the fingerprint of this cluster's certificates. Addr is where
	// other regions reach it; "" is the peer addresses of its nodes.
	Authority [16]byte
	Addr      string
}

// Engine runs the links of the tablets that this node leads.
type Engine struct {
	cluster service.Cluster
	service *service.Service
	clock   base.Clock
	rand    *base.Rand
	log     *slog.Logger
	dialer  Dialer
	node    Node

	authority [16]byte
	addr      string

	ctx   context.Context // ends with Close
	stop  context.CancelFunc
	tasks sync.WaitGroup

	workers map[place]*worker // of the supervisor's goroutine only
	started uint64            // workers, ever; of the same goroutine
	rounds  map[model.ResourceID]*rounds

	receiving atomic.Int32 // requests of other regions being answered

	mu       sync.Mutex // guards what follows
	problems map[place]string
	limits   map[model.ResourceID]*limit
	reached  map[model.ResourceID]string             // the address there that answered last
	heard    map[model.ResourceID]Heard              // by inbound link
	fed      map[model.ResourceID][]model.ResourceID // the inbound links of a table that is shipped here
	verified map[model.ResourceID]*Verification
}

// place is where a worker works.
type place struct {
	link   model.ResourceID
	tablet model.TabletID
}

func (p place) compare(o place) int {
	return cmp.Or(cmp.Compare(p.link, o.link), cmp.Compare(p.tablet, o.tablet))
}

const (
	// superviseEvery is how soon a change of leader or of a link is noticed.
	superviseEvery = 100 * time.Millisecond
	// gatherPause is how long a worker that was idle waits after the first change,
	// so that one message carries those which come with it.
	gatherPause = 5 * time.Millisecond
	// idleWait bounds one wait for a change.
	idleWait = time.Second
	// firstRetry is the pause after a step failed; it doubles up to maxRetry.
	firstRetry = 100 * time.Millisecond
	maxRetry   = 5 * time.Second
	// maxSyncRetry is maxRetry of links that writes wait for.
	maxSyncRetry = 500 * time.Millisecond
)

// NewEngine starts an engine.
func NewEngine(o Options) *Engine {
	e := &Engine{
		cluster: o.Cluster, service: o.Service, clock: o.Clock, rand: o.Rand, log: o.Logger, dialer: o.Dialer, node: o.Node,
		workers: map[place]*worker{}, rounds: map[model.ResourceID]*rounds{},
		problems: map[place]string{}, limits: map[model.ResourceID]*limit{}, reached: map[model.ResourceID]string{},
		verified: map[model.ResourceID]*Verification{}, heard: map[model.ResourceID]Heard{}, fed: map[model.ResourceID][]model.ResourceID{}, authority: o.Authority, addr: o.Addr,
	}
	e.ctx, e.stop = context.WithCancel(context.Background())
	e.tasks.Go(e.supervise)
	e.tasks.Go(e.keepRoles)
	e.tasks.Go(e.keepPolicies)
	e.tasks.Go(e.tellConflicts)
	return e
}

// Close stops all workers and waits for them.
func (e *Engine) Close() {
	e.stop()
	e.tasks.Wait()
}

// job is what a worker has to do, as the catalog says now.
type job struct {
	place
	name    string
	version uint64
	spec    model.LinkSpec
	lo, hi  uint32 // the tablet's slots
	share   float64
}

// supervise keeps a worker for every link and every tablet led here.
func (e *Engine) supervise() {
	seen := uint64(0)
	for e.sleep(e.ctx, superviseEvery) {
		catalog := e.cluster.Catalog().Version
		news := catalog != seen
		seen = catalog
		jobs := e.jobs()
		wanted := map[place]bool{}
		for _, j := range jobs {
			wanted[j.place] = true
			if w, ok := e.workers[j.place]; ok {
				w.update(j, news)
				continue
			}
			e.workers[j.place] = e.startWorker(j)
		}
		for _, p := range sortedPlaces(e.workers) { // in order: runs of the simulator shall be equal
			if !wanted[p] {
				e.workers[p].cancel()
				delete(e.workers, p)
			}
		}
		e.forgetLinks(jobs)
		e.superviseRounds(jobs)
	}
}

// forgetLinks drops what is kept in memory about links that have no work here.
func (e *Engine) forgetLinks(jobs []job) {
	e.mu.Lock()
	defer e.mu.Unlock()
	maps.DeleteFunc(e.limits, func(id model.ResourceID, _ *limit) bool {
		return !slices.ContainsFunc(jobs, func(j job) bool { return j.link == id })
	})
	c := e.cluster.Catalog()
	maps.DeleteFunc(e.verified, func(id model.ResourceID, _ *Verification) bool {
		_, there := c.ResourceByID(id)
		return !there
	})
	maps.DeleteFunc(e.heard, func(id model.ResourceID, _ Heard) bool {
		_, there := c.ResourceByID(id)
		return !there
	})
	maps.DeleteFunc(e.fed, func(id model.ResourceID, _ []model.ResourceID) bool {
		_, there := c.ResourceByID(id)
		return !there
	})
	maps.DeleteFunc(e.reached, func(id model.ResourceID, _ string) bool {
		return !slices.ContainsFunc(jobs, func(j job) bool { return j.link == id })
	})
}

func sortedPlaces(workers map[place]*worker) []place {
	ps := make([]place, 0, len(workers))
	for p := range workers {
		ps = append(ps, p)
	}
	slices.SortFunc(ps, place.compare)
	return ps
}

// jobs lists the work of this node, in the catalog's order.
func (e *Engine) jobs() (jobs []job) {
	c := e.cluster.Catalog()
	for r := range c.Resources.Of(model.KindLink) {
		spec, err := decodeLink(r)
		if err != nil {
			e.log.Error("cannot read a link", "link", r.Name, "error", err)
			continue
		}
		first := len(jobs)
		for k := range c.Tablets {
			t := &c.Tablets[k]
			if t.Hi > t.Lo && e.cluster.Leads(model.Slot(t.Lo)) {
				jobs = append(jobs, job{place: place{r.ID, t.ID}, name: r.Name, version: r.Version, spec: spec, lo: t.Lo, hi: t.Hi})
			}
		}
		for k := first; k < len(jobs); k++ {
			jobs[k].share = float64(len(jobs)-first) / float64(max(1, len(c.Tablets)-1))
		}
	}
	return jobs
}

func decodeLink(r *model.Resource) (spec model.LinkSpec, err error) {
	d := model.NewDecoder(r.Spec)
	spec.Decode(d)
	return spec, d.Done()
}

func decodeInbound(r *model.Resource) (spec model.InboundSpec, err error) {
	d := model.NewDecoder(r.Spec)
	spec.Decode(d)
	return spec, d.Done()
}

// noteProblem remembers why a worker cannot go on; nil forgets it. It reports
// whether that is news.
func (e *Engine) noteProblem(p place, err error) (news bool) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if err == nil {
		delete(e.problems, p)
		return false
	}
	news = e.problems[p] != err.Error()
	e.problems[p] = err.Error()
	return news
}

func (e *Engine) sleep(ctx context.Context, d time.Duration) bool {
	return base.Sleep(ctx, e.clock, e.rand, d)
}

// within is a context for one request.
func (e *Engine) within(ctx context.Context, d time.Duration) (context.Context, context.CancelFunc) {
	return context.WithTimeout(ctx, d+time.Duration(e.rand.IntN(int(time.Millisecond))))
}
