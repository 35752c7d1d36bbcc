package pipe

import (
	"context"
	"encoding/json"
	"io"
	"log/slog"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"weir.dev/weir/internal/base"
	"weir.dev/weir/internal/fakecluster"
	"weir.dev/weir/internal/machine"
	"weir.dev/weir/internal/model"
	"weir.dev/weir/internal/service"
)

// fakeCluster is a cluster without a log: the real machine over memory, in a
// synctest bubble. A fault decides what becomes of a proposal.
type fakeCluster struct {
	mu      sync.Mutex // guards everything below
	catalog *fakecluster.Tablet
	tablets fakecluster.Tablets
	changed chan struct{} // closed at the next command applied
	calls   int           // proposals so far
	buried  []model.ResourceID
	deaf    bool // nobody is told of what is buried
	looks   int  // at whether there is something, so far
	leads   bool
	fault   func(call int, cmd *model.Command) fault
	calm    bool // there are no faults for now
}

// fault is what happens to a proposal.
type fault uint8

const (
	fine       fault = iota
	refused          // not applied, and said so
	lost             // applied, but the answer is lost
	hangBefore       // not applied, no answer
	hangAfter        // applied, no answer
)

func newFakeCluster(t testing.TB, tablets int) *fakeCluster {
	t.Helper()
	c := &fakeCluster{leads: true, changed: make(chan struct{})}
	c.catalog, c.tablets = fakecluster.NewTablets(t, tablets)
	return c
}

// apply applies a command; the caller holds the lock.
func (c *fakeCluster) apply(x *fakecluster.Tablet, cmd *model.Command) (model.Result, error) {
	res, err := x.Apply(cmd, time.Now())
	if x.Buried {
		if x.Buried = false; !c.deaf {
			c.buried = append(c.buried, cmd.Resource)
		}
	}
	if err == nil {
		close(c.changed)
		c.changed = make(chan struct{})
	}
	return res, err
}

// meddle decides what becomes of a proposal; the caller holds the lock.
func (c *fakeCluster) meddle(cmd *model.Command) fault {
	c.calls++
	if c.fault == nil || c.calm {
		return fine
	}
	return c.fault(c.calls, cmd)
}

// Propose implements service.Cluster.
func (c *fakeCluster) Propose(ctx context.Context, cmd *model.Command) (model.Result, error) {
	c.mu.Lock()
	f := c.meddle(cmd)
	var res model.Result
	var err error
	if f == fine || f == lost || f == hangAfter {
		res, err = c.apply(c.tablets.Of(cmd.Slot), cmd)
	}
	c.mu.Unlock()
	switch f {
	case refused:
		return model.Result{}, model.Errorf(model.ErrUnavailable, "no leader")
	case lost:
		return model.Result{}, model.Errorf(model.ErrUnknownOutcome, "lost")
	case hangBefore, hangAfter:
		<-ctx.Done()
		return model.Result{}, model.Errorf(model.ErrUnknownOutcome, "lost")
	}
	return res, err
}

// ProposeWhenReady implements service.Cluster.
func (c *fakeCluster) ProposeWhenReady(ctx context.Context, cmd *model.Command, wait time.Duration) (model.Result, bool, error) {
	ready, err := c.AwaitReady(ctx, cmd, wait)
	if err != nil || !ready {
		return model.Result{}, false, err
	}
	res, err := c.Propose(ctx, cmd)
	return res, err == nil, err
}

// ReadWhenReady implements service.Cluster; pipes do not wait to read.
func (c *fakeCluster) ReadWhenReady(context.Context, *model.Query, time.Duration) (model.Result, bool, error) {
	panic("BUG: a pipe waits to read")
}

// AwaitReady implements service.Cluster.
func (c *fakeCluster) AwaitReady(ctx context.Context, cmd *model.Command, wait time.Duration) (bool, error) {
	c.set(func() { c.looks++ })
	late := time.NewTimer(wait)
	defer late.Stop()
	for {
		c.mu.Lock()
		ready, _, err := c.tablets.Of(cmd.Slot).Ready(cmd, time.Now())
		changed := c.changed
		c.mu.Unlock()
		if err != nil || ready {
			return ready, err
		}
		select {
		case <-changed:
		case <-late.C:
			return false, nil
		case <-ctx.Done():
			return false, ctx.Err()
		}
	}
}

// ProposeCatalog implements service.Cluster.
func (c *fakeCluster) ProposeCatalog(_ context.Context, cmd *model.Command) (model.Result, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.apply(c.catalog, cmd)
}

// Read implements service.Cluster.
func (c *fakeCluster) Read(_ context.Context, q *model.Query, _ bool) (model.Result, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return machine.Query(c.tablets.Of(q.Slot), q)
}

// Catalog implements service.Cluster.
func (c *fakeCluster) Catalog() *model.Catalog {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.catalog.Machine.Catalog()
}

// SyncCatalog implements service.Cluster.
func (c *fakeCluster) SyncCatalog(context.Context) error { return nil }

// Buried implements service.Cluster.
func (c *fakeCluster) Buried() (queues []model.ResourceID) {
	c.mu.Lock()
	defer c.mu.Unlock()
	queues, c.buried = c.buried, nil
	return queues
}

// Leads implements service.Cluster.
func (c *fakeCluster) Leads(model.Slot) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.leads
}

func (c *fakeCluster) set(f func()) {
	c.mu.Lock()
	defer c.mu.Unlock()
	f()
}

// plant is a cluster with a queue of clicks, a table of posts, and an engine.
type plant struct {
	*fakeCluster
	t       *testing.T
	service *service.Service
	engine  *Engine
	ctx     context.Context
}

// inPlant runs f in a bubble, with a plant whose engine runs.
func inPlant(t *testing.T, f func(p *plant)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		p := &plant{fakeCluster: newFakeCluster(t, 3), t: t, ctx: context.Background()}
		p.service = service.New(p, base.SystemClock{}, base.NewRand(1))
		p.createTable("posts")
		p.createQueue("clicks")
		p.start(1)
		defer func() { p.engine.Close() }()
		f(p)
	})
}

func (p *plant) start(seed uint64) {
	p.engine = NewEngine(p, p.service, base.SystemClock{}, base.NewRand(seed), slog.New(slog.NewTextHandler(io.Discard, nil)))
}

func (p *plant) createTable(name string) {
	p.t.Helper()
	req := &service.CreateTableRequest{Name: name, Billing: model.BillingPerRequest,
		Attributes: []model.KeyAttr{{Name: "id", Kind: model.KindS}}, KeySchema: []service.KeyElement{{Name: "id", Type: "HASH"}}}
	if _, err := p.service.CreateTable(p.ctx, req); err != nil {
		p.t.Fatal(err)
	}
}

func (p *plant) createQueue(name string) {
	p.t.Helper()
	if _, err := p.service.CreateQueue(p.ctx, &service.CreateQueueRequest{Name: name}); err != nil {
		p.t.Fatal(err)
	}
}

// likes is the pipe of the tests: each click adds its weight to a post.
func likes() *Settings {
	return &Settings{
		Name: "likes", From: "queue:clicks", To: "table:posts",
		Key: map[string]string{"id": "$.post"}, Update: "ADD score :n", Values: map[string]string{":n": "$.n"},
	}
}

func (p *plant) create(s *Settings) {
	p.t.Helper()
	if err := p.engine.Create(p.ctx, s); err != nil {
		p.t.Fatal(err)
	}
}

func (p *plant) send(bodies ...string) {
	p.t.Helper()
	for len(bodies) > 0 {
		n := min(10, len(bodies))
		req := &service.SendRequest{Queue: "clicks"}
		for _, b := range bodies[:n] {
			req.Messages = append(req.Messages, service.OutgoingMessage{Body: b})
		}
		if _, err := p.service.SendMessages(p.ctx, req); err != nil {
			p.t.Fatal(err)
		}
		bodies = bodies[n:]
	}
}

// click is the body of a click on a post.
func click(post string, n int) string {
	b, err := json.Marshal(map[string]any{"post": post, "n": n})
	if err != nil {
		panic(err)
	}
	return string(b)
}

// score is a post's score, "" when the post is not there.
func (p *plant) score(post string) string {
	p.t.Helper()
	res, err := p.service.GetItem(p.ctx, &service.GetItemRequest{Table: "posts", Key: model.Item{{Name: "id", Value: model.StringValue(post)}}, Strong: true})
	if err != nil {
		p.t.Fatal(err)
	}
	v, _ := res.Item.Get("score")
	return v.Str
}

// left is how many messages a queue holds, in any state.
func (p *plant) left(queue string) uint64 {
	p.t.Helper()
	q, err := p.service.GetQueue(p.ctx, queue)
	if err != nil {
		p.t.Fatal(err)
	}
	c, err := p.service.CountQueue(p.ctx, q)
	if err != nil {
		p.t.Fatal(err)
	}
	return c.Visible + c.InFlight + c.Delayed + c.Claimed + c.Dead
}

// eventually waits, in virtual time, until cond holds.
func (p *plant) eventually(what string, cond func() bool) {
	p.t.Helper()
	for range 3000 {
		if cond() {
			return
		}
		time.Sleep(20 * time.Millisecond)
	}
	p.t.Fatalf("after a minute: not yet: %s", what)
}

func (p *plant) drained() bool { return p.left("clicks") == 0 }
