package region

import (
	"context"
	"slices"
	"strings"
	"sync"
	"time"

	"weir.dev/weir/internal/base"
	"weir.dev/weir/internal/model"
)

const (
	// shipBytes is how much of the log one message carries.
	shipBytes = 512 << 10
	// remoteTimeout bounds one request to another region.
	remoteTimeout = 20 * time.Second
	// quickTimeout bounds one with changes of at most quickBytes, so that those
	// behind it do not wait long for a node that has gone silent.
	quickTimeout = 4 * time.Second
	quickBytes   = 64 << 10
	// syncTimeout is quickTimeout of links that writes wait for: one more try fits
	// into their patience.
	syncTimeout = 1200 * time.Millisecond
)

// ship sends the next entries of the log and then advances. It reports whether
// there were any.
func (w *worker) ship(j *job) (did bool, err error) {
	read := w.engine.clock.Now()
	q := model.ChangesQuery{Tablet: j.tablet, After: w.upTo, MaxBytes: shipBytes}
	res, err := w.engine.read(w.ctx, &model.Query{Kind: model.QueryChanges, Slot: model.Slot(j.lo), Body: q.Append(nil)}, false)
	if err != nil {
		return false, err
	}
	var log model.ChangesResult
	if err := decode(res.Body, &log); err != nil || len(log.Changes) == 0 {
		return false, err
	}
	out, units := batch{ReadMs: read.UnixMilli()}, unitBatch{ReadMs: read.UnixMilli()}
	c := w.engine.cluster.Catalog()
	for i := range log.Changes {
		e := &log.Changes[i]
		r, ok := c.ResourceByID(e.Resource)
		if _, watched := w.table(e.Resource); !ok || !watched {
			continue
		}
		if isUnits(r.Kind) {
			if known, err := w.addUnit(j, &units, r, e); err != nil || !known {
				return false, w.learnShards(err)
			}
			continue
		}
		if base.Bug("heldgone") && j.spec.Passive && e.Delete && e.Version.Region == 0 {
			continue
		}
		old := e.Old
		if !e.HasOld {
			old = nil
		}
		take, err := w.filter.takesChange(&e.Change, old)
		if err != nil {
			return false, err
		}
		if take {
			if err := w.add(j, &out, r.ID, &e.Change); err != nil {
				return false, err
			}
		}
	}
	last := log.Changes[len(log.Changes)-1]
	if base.Bug("syncunsent") {
		w.tell(j, last.Number)
	}
	if err := w.send(j, &out); err != nil {
		return false, err
	}
	if err := w.shipUnits(j, &units); err != nil {
		return false, err
	}
	w.tell(j, last.Number) // it is on disk there: nobody has to wait until that is noted here
	if err := w.engine.advance(w.ctx, j.place, j.lo, last.Number, last.Total); err != nil {
		return false, err
	}
	w.upTo, w.total = last.Number, last.Total
	return true, nil
}

// takesChange reports whether a change passes the condition. One that no longer
// does becomes a delete there, if what it replaced did.
func (f *filter) takesChange(c *model.Change, old []byte) (bool, error) {
	if c.Delete || f.condition == nil {
		return true, nil
	}
	take, err := f.takes(c.Item)
	if take || err != nil || len(old) == 0 {
		return take, err
	}
	if had, err := f.takes(old); !had || err != nil {
		return false, err
	}
	c.Delete, c.Size, c.Item, c.Merge = true, 0, nil, nil
	return true, nil
}

// add puts a change into the batch, under the names that regions have among
// each other, unless the other region wrote it, alone.
func (w *worker) add(j *job, out *batch, table model.ResourceID, c *model.Change) error {
	c.Rename(0, w.engine.cluster.Catalog().Region())
	if c.Version.Region == j.spec.Region && !c.Joined() {
		return nil
	}
	res, err := w.engine.resolutionOf(table)
	if err == nil {
		out.add(res.Table, res.agreed, c)
	}
	return err
}

// send has the other region apply a batch.
func (w *worker) send(j *job, b *batch) error {
	if len(b.Tables) == 0 {
		return nil
	}
	b.Epoch = j.spec.Epoch
	packed, err := pack(b.Append(nil))
	if err != nil {
		return err
	}
	w.charge(j, len(packed))
	raw, err := w.call(j, OpApply, packed)
	if err != nil {
		return err
	}
	var did applied
	if err := decode(raw, &did); err != nil || did.Fenced == 0 {
		return err
	}
	if err := w.engine.fence(w.ctx, j.link, did.Fenced); err != nil {
		return err
	}
	return errHeld
}

// errHeld is why a link ships nothing after the other region has taken over.
var errHeld = model.Errorf(model.ErrUnavailable, "the other region has taken over the writes; what was not shipped is kept here: weir region held shows it, weir region rejoin merges it")

func (w *worker) call(j *job, op Op, body []byte) ([]byte, error) {
	return w.engine.call(w.ctx, j.link, &j.spec, op, body)
}

// call asks the region that a link leads to, at the address that answered last.
// After a failure the next call asks at the next address: a node there may be
// down while the others are well.
func (e *Engine) call(ctx context.Context, link model.ResourceID, spec *model.LinkSpec, op Op, body []byte) ([]byte, error) {
	patience := patienceWith(spec.Mode, op, len(body))
	limited, cancel := e.within(ctx, patience)
	defer cancel()
	addr := e.addressOf(link, spec.To)
	answer, err := e.dialer.Call(limited, &Target{Addr: addr, Authority: spec.Authority, Inbound: spec.Inbound, Key: spec.Key}, op, body)
	if err != nil {
		e.avoidAddress(link, spec.To, addr)
	}
	if err != nil && limited.Err() != nil && ctx.Err() == nil {
		err = &silence{model.Errorf(model.ErrUnavailable, "cannot reach the other region: no answer within %v", patience)}
	}
	return answer, err
}

// silence is the error of a request that was not answered in time: nothing is
// known of it.
type silence struct{ why *model.Error }

func (s *silence) Error() string { return s.why.Message }
func (s *silence) Unwrap() error { return s.why }

// patienceWith bounds one request of a link.
func patienceWith(mode model.LinkMode, op Op, bytes int) time.Duration {
	applies := op == OpApply || op == OpApplyUnits
	switch {
	case applies && bytes <= quickBytes && mode.Waits():
		return syncTimeout
	case applies && bytes <= quickBytes:
		return quickTimeout
	case op == OpUnits && mode.Waits():
		return quickTimeout // what was done of it need not be done again
	case op == OpLook, op == OpDrained:
		return quickTimeout
	case op == OpDigest:
		return digestTimeout
	default:
		return remoteTimeout
	}
}

// callAnyOf asks at one address after the other until one answers.
func (e *Engine) callAnyOf(ctx context.Context, to string, target *Target, op Op, body []byte) (answer []byte, err error) {
	for addr := range strings.SplitSeq(to, ",") {
		one := *target
		one.Addr = addr
		ctx, cancel := e.within(ctx, remoteTimeout)
		answer, err = e.dialer.Call(ctx, &one, op, body)
		cancel()
		if err == nil {
			return answer, nil
		}
	}
	return nil, err
}

// addressOf is where to ask: to is a list of addresses with commas between.
func (e *Engine) addressOf(link model.ResourceID, to string) string {
	e.mu.Lock()
	defer e.mu.Unlock()
	all := strings.Split(to, ",")
	if at := e.reached[link]; slices.Contains(all, at) {
		return at
	}
	return all[0]
}

// avoidAddress has the next call ask at the address behind the one that failed.
func (e *Engine) avoidAddress(link model.ResourceID, to, failed string) {
	e.mu.Lock()
	defer e.mu.Unlock()
	all := strings.Split(to, ",")
	e.reached[link] = all[(slices.Index(all, failed)+1)%len(all)]
}

// advance moves a reader forward, and lets the tablet remove what nobody needs.
func (e *Engine) advance(ctx context.Context, p place, slot uint32, n model.ChangeNumber, total uint64) error {
	body := model.Advance{UpTo: n, Total: total}
	for ctx.Err() == nil {
		res, err := e.propose(ctx, &model.Command{Kind: model.CmdAdvance, Resource: p.link, Slot: model.Slot(slot), Body: body.Append(nil)})
		if err != nil {
			return err
		}
		if res.Status != model.StatusOK {
			return model.Errorf(model.ErrNotFound, "the link was removed")
		}
		var did model.AdvanceResult
		if err := decode(res.Body, &did); err != nil || !did.More {
			return err
		}
	}
	return ctx.Err()
}

// limit spreads the bytes of a link's workers on this node over time.
type limit struct {
	mu   sync.Mutex // guards free
	free time.Time  // when the next byte may go
}

// rest waits until the link's bound lets more bytes go: before they are read,
// since what was read long ago is refused there.
func (w *worker) rest(j *job) error {
	if j.spec.BytesPerSecond == 0 {
		return nil
	}
	l, now := w.engine.limit(j.link), w.engine.clock.Now()
	l.mu.Lock()
	wait := l.free.Sub(now)
	l.mu.Unlock()
	if wait > 0 && !w.engine.sleep(w.ctx, wait) {
		return w.ctx.Err()
	}
	return nil
}

// charge counts n bytes. The link's bound is shared by the nodes in proportion
// to the tablets that they lead.
func (w *worker) charge(j *job, n int) {
	if j.spec.BytesPerSecond == 0 {
		return
	}
	l, now := w.engine.limit(j.link), w.engine.clock.Now()
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.free.Before(now) {
		l.free = now
	}
	perSecond := max(1, float64(j.spec.BytesPerSecond)*j.share)
	l.free = l.free.Add(time.Duration(float64(n) / perSecond * float64(time.Second)))
}

func (e *Engine) limit(link model.ResourceID) *limit {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.limits[link] == nil {
		e.limits[link] = &limit{}
	}
	return e.limits[link]
}
