package region

import (
	"context"
	"maps"
	"slices"
	"time"

	"weir.dev/weir/internal/model"
)

// A tombstone may go when no older write of its key can come any more. What a
// region must know for that, of another that ships to it, is that everything
// the other wrote before it heard of the delete has arrived. So the sender of
// each link makes rounds: it asks the other side for a mark, up to which it has
// surely heard everything that the other side has to tell; it waits until all
// that it had in its own logs by then has been shipped, and some time more, so
// that no message of an earlier leader can be under way; then it says that the
// mark is passed, and the other side's inbound link advances to it. ADR 9 has
// the argument for chains and rings of regions.
type rounds struct {
	engine *Engine
	cancel context.CancelFunc
}

const (
	// roundEvery is how long a link rests between two rounds: tombstones are
	// small, and nobody waits for them to go.
	roundEvery = time.Minute
	// maxBatchAge is how old, by the sender's clock, what a message carries may
	// be when it is taken in; the rest of settleTime allows for clocks that
	// differ and for a proposal under way.
	maxBatchAge = 30 * time.Second
	settleTime  = 75 * time.Second
	// maxClockLead is how far the clock of another region may be ahead.
	maxClockLead = 10 * time.Second
)

// superviseRounds keeps the rounds and reports of each link on the node that leads its
// first tablet.
func (e *Engine) superviseRounds(jobs []job) {
	wanted := map[model.ResourceID]bool{}
	for _, j := range jobs {
		if j.lo != 0 || j.spec.Paused {
			continue
		}
		wanted[j.link] = true
		if e.rounds[j.link] == nil {
			ctx, cancel := context.WithCancel(e.ctx)
			r := &rounds{engine: e, cancel: cancel}
			e.rounds[j.link] = r
			e.tasks.Go(func() { r.run(ctx, j.link) })
			e.tasks.Go(func() { r.report(ctx, j.link) })
			e.tasks.Go(func() { r.verify(ctx, j.link) })
		}
	}
	for _, id := range slices.Sorted(maps.Keys(e.rounds)) {
		if !wanted[id] {
			e.rounds[id].cancel()
			delete(e.rounds, id)
		}
	}
}

func (r *rounds) run(ctx context.Context, link model.ResourceID) {
	for r.engine.sleep(ctx, roundEvery) {
		res, ok := r.engine.cluster.Catalog().ResourceByID(link)
		if !ok {
			continue
		}
		spec, err := decodeLink(res)
		if err != nil {
			continue // the supervisor has said so
		}
		if err := r.round(ctx, link, &spec); err != nil && ctx.Err() == nil {
			r.engine.log.Debug("a round for tombstones was not finished", "link", res.Name, "error", err)
		}
	}
}

// round makes one round.
func (r *rounds) round(ctx context.Context, link model.ResourceID, spec *model.LinkSpec) error {
	e := r.engine
	mark, err := e.call(ctx, link, spec, OpMark, nil)
	if err != nil {
		return err
	}
	var theirs marks
	if err := decode(mark, &theirs); err != nil || len(theirs) == 0 {
		return err
	}
	ours, err := e.lastNumbers(ctx, link)
	if err != nil {
		return err
	}
	for {
		shipped, err := e.shippedUpTo(ctx, link, ours)
		if err != nil {
			return err
		}
		if shipped {
			break
		}
		if !e.sleep(ctx, time.Second) {
			return ctx.Err()
		}
	}
	if !e.sleep(ctx, settleTime) {
		return ctx.Err()
	}
	_, err = e.call(ctx, link, spec, OpPassed, theirs.Append(nil))
	return err
}

// lastNumbers are the last changes of all tablets, for a strong reader.
func (e *Engine) lastNumbers(ctx context.Context, link model.ResourceID) (m marks, err error) {
	c := e.cluster.Catalog()
	for i := range c.Tablets {
		t := &c.Tablets[i]
		if t.Hi <= t.Lo {
			continue
		}
		s, err := e.strongState(ctx, link, t)
		if err != nil {
			return nil, err
		}
		m = append(m, model.LinkTarget{Tablet: t.ID, UpTo: s.Last})
	}
	return m, nil
}

// strongState is a reader's state as its tablet's leader knows it. All is zero
// where there is no such reader.
func (e *Engine) strongState(ctx context.Context, reader model.ReaderID, t *model.Tablet) (s model.ReaderState, err error) {
	q := model.ReaderQuery{Tablet: t.ID, Reader: reader}
	res, err := e.read(ctx, &model.Query{Kind: model.QueryReader, Slot: model.Slot(t.Lo), Body: q.Append(nil)}, true)
	if err != nil || res.Status == model.StatusNotFound {
		return s, err
	}
	return s, decode(res.Body, &s)
}

// shippedUpTo reports whether a link has come at least to the numbers given.
func (e *Engine) shippedUpTo(ctx context.Context, link model.ResourceID, m marks) (bool, error) {
	c := e.cluster.Catalog()
	for _, t := range m {
		tablet, ok := c.TabletByID(t.Tablet)
		if !ok {
			return false, nil
		}
		s, err := e.readerState(ctx, place{link, t.Tablet}, tablet.Lo)
		if err != nil || s.UpTo < t.UpTo {
			return false, err
		}
	}
	return true, nil
}
