package fakecluster

import (
	"context"
	"slices"
	"sync"
	"testing"
	"time"

	"weir.dev/weir/internal/base"
	"weir.dev/weir/internal/machine"
	"weir.dev/weir/internal/model"
)

// Cluster implements service.Cluster, and base.Clock: its time moves only when
// it is told, and while something waits.
type Cluster struct {
	mu      sync.Mutex // guards everything below
	Time    time.Time
	catalog *Tablet
	tablets Tablets
	// Proposals are the commands for tablets, other than the catalog's and those
	// that wait.
	Proposals []model.Command
	// Fault, when set, decides what a proposal to a tablet or a read there, but
	// none that waits, answers instead: an error before it takes effect (lost is
	// false), or after.
	Fault func(tablet model.TabletID) (err error, lost bool)
	// Unheard is what the next proposal that waits answers although it took effect.
	Unheard error
	// Applied is how many commands took effect, other than the catalog's.
	Applied int
	// Led, when set, says which tablets this node leads; else all.
	Led func(tablet model.TabletID) bool
	// Behind, when set, is the catalog that this node shows until it is asked to
	// be up to date.
	Behind *model.Catalog
	fail   error // what the next call answers
}

// New returns an empty cluster of so many tablets. It begins at a fixed time.
func New(t testing.TB, tablets int) *Cluster {
	t.Helper()
	c := &Cluster{Time: time.UnixMilli(1_700_000_000_123)}
	c.catalog, c.tablets = NewTablets(t, tablets)
	return c
}

// FailNext makes the next call fail that proposes, reads or waits.
func (c *Cluster) FailNext(err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.fail = err
}

func (c *Cluster) takeFailure() error {
	err := c.fail
	c.fail = nil
	return err
}

// fault asks what becomes of a proposal or a read.
func (c *Cluster) fault(x *Tablet) (err error, lost bool) {
	if err := c.takeFailure(); err != nil || c.Fault == nil {
		return err, false
	}
	return c.Fault(x.ID)
}

// Propose implements service.Cluster.
func (c *Cluster) Propose(_ context.Context, cmd *model.Command) (model.Result, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	kept := *cmd
	kept.Body = slices.Clone(cmd.Body)
	c.Proposals = append(c.Proposals, kept)
	x := c.tablets.Of(cmd.Slot)
	fault, lost := c.fault(x)
	if fault != nil && !lost {
		return model.Result{}, fault
	}
	res, err := x.Apply(cmd, c.Time)
	c.Applied++
	if fault != nil {
		return model.Result{}, fault
	}
	return res, err
}

// ProposeWhenReady implements service.Cluster.
func (c *Cluster) ProposeWhenReady(_ context.Context, cmd *model.Command, wait time.Duration) (model.Result, bool, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if err := c.takeFailure(); err != nil {
		return model.Result{}, false, err
	}
	x, end := c.tablets.Of(cmd.Slot), c.Time.Add(wait)
	for {
		ready, err := c.await(cmd, end)
		if err != nil || !ready {
			return model.Result{}, false, err
		}
		res, err := x.Apply(cmd, c.Time)
		c.Applied++
		if unheard := c.Unheard; unheard != nil {
			c.Unheard = nil
			return model.Result{}, false, unheard
		}
		if err != nil || !machine.TookNothing(cmd, res) {
			return res, true, err
		}
		if !c.Time.Before(end) {
			return model.Result{}, false, nil
		}
		c.Time = c.Time.Add(time.Millisecond)
	}
}

// await passes the cluster's time until the command is ready, or until end.
func (c *Cluster) await(cmd *model.Command, end time.Time) (bool, error) {
	for {
		ready, nextMs, err := c.tablets.Of(cmd.Slot).Ready(cmd, c.Time)
		if err != nil || ready || !c.Time.Before(end) {
			return ready, err
		}
		next := end
		if nextMs > 0 && time.UnixMilli(nextMs).Before(end) {
			next = time.UnixMilli(nextMs)
		}
		if least := c.Time.Add(time.Millisecond); next.Before(least) {
			next = least
		}
		c.Time = next
	}
}

// AwaitReady implements service.Cluster.
func (c *Cluster) AwaitReady(_ context.Context, cmd *model.Command, wait time.Duration) (bool, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if err := c.takeFailure(); err != nil {
		return false, err
	}
	return c.await(cmd, c.Time.Add(wait))
}

// ReadWhenReady implements service.Cluster. Nothing comes about by waiting.
func (c *Cluster) ReadWhenReady(_ context.Context, q *model.Query, wait time.Duration) (model.Result, bool, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if err := c.takeFailure(); err != nil {
		return model.Result{}, false, err
	}
	x := c.tablets.Of(q.Slot)
	ready, err := machine.QueryReady(x, q)
	if err != nil || !ready {
		c.Time = c.Time.Add(wait)
		return model.Result{}, false, err
	}
	res, err := machine.Query(x, q)
	return res, err == nil, err
}

// ProposeCatalog implements service.Cluster.
func (c *Cluster) ProposeCatalog(_ context.Context, cmd *model.Command) (model.Result, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.catalog.Apply(cmd, c.Time)
}

// Read implements service.Cluster.
func (c *Cluster) Read(_ context.Context, q *model.Query, _ bool) (model.Result, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	x := c.tablets.Of(q.Slot)
	if fault, _ := c.fault(x); fault != nil {
		return model.Result{}, fault
	}
	return machine.Query(x, q)
}

// Buried implements service.Cluster; nothing here moves dead letters.
func (c *Cluster) Buried() []model.ResourceID { return nil }

// Leads implements service.Cluster.
func (c *Cluster) Leads(slot model.Slot) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.Led == nil || c.Led(c.tablets.Of(slot).ID)
}

// Catalog implements service.Cluster.
func (c *Cluster) Catalog() *model.Catalog {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.Behind != nil {
		return c.Behind
	}
	return c.catalog.Machine.Catalog()
}

// SyncCatalog implements service.Cluster.
func (c *Cluster) SyncCatalog(context.Context) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.Behind = nil
	return nil
}

// Now implements base.Clock.
func (c *Cluster) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.Time
}

// AfterFunc implements base.Clock. Nothing on a fake cluster takes so long that a
// timer would go off.
func (c *Cluster) AfterFunc(time.Duration, func()) base.Timer { return idleTimer{} }

type idleTimer struct{}

func (idleTimer) Stop() bool { return true }

// TabletOf is the tablet that owns the slot.
func (c *Cluster) TabletOf(slot model.Slot) model.TabletID { return c.tablets.Of(slot).ID }

// SetTime sets the cluster's time.
func (c *Cluster) SetTime(t time.Time) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.Time = t
}

// Advance moves the cluster's time.
func (c *Cluster) Advance(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.Time = c.Time.Add(d)
}
