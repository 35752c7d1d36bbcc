package region

import (
	"context"
	"time"

	"weir.dev/weir/internal/model"
)

// The sender of a link tells the other side, every few seconds, how far behind
// it is: so that the region which takes in knows what it lacks, also when the
// other one is gone. What was heard is kept in memory, by the node that heard
// it.

// reportEvery is how often: a report is a hundred bytes.
const reportEvery = 2 * time.Second

// Heard is what a region that takes in was told last.
type Heard struct {
	At         time.Time // zero: this node has not heard of the link
	LagChanges uint64    // as the sender said
	LagBytes   uint64
	Lag        time.Duration
	Copying    int
}

// hear keeps a report.
func (e *Engine) hear(inbound model.ResourceID, body []byte) error {
	var r report
	if err := decode(body, &r); err != nil {
		return err
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	e.heard[inbound] = Heard{
		At: e.clock.Now(), LagChanges: r.Changes, LagBytes: r.Bytes, Lag: time.Duration(r.Ms) * time.Millisecond, Copying: int(r.Copying),
	}
	return nil
}

// report tells the other side of a link, again and again.
func (r *rounds) report(ctx context.Context, link model.ResourceID) {
	for r.engine.sleep(ctx, reportEvery) {
		r.engine.reportOnce(ctx, link)
	}
}

func (e *Engine) reportOnce(ctx context.Context, link model.ResourceID) {
	r, ok := e.cluster.Catalog().ResourceByID(link)
	if !ok {
		return
	}
	st, err := e.status(ctx, r)
	if err != nil {
		return // who leads the tablets is not known: the next report comes soon
	}
	body := report{Changes: st.LagChanges, Bytes: st.LagBytes, Ms: uint64(st.Lag.Milliseconds()), Copying: uint64(st.Copying)}
	raw, err := e.call(ctx, link, &st.Spec, OpReport, body.Append(nil))
	if err != nil {
		return // a link that is cut says so itself
	}
	var there epoch
	if err := decode(raw, &there); err == nil && uint64(there) > st.Spec.Epoch {
		err = e.fence(ctx, link, uint64(there))
		if err != nil {
			e.log.Warn("cannot note that the other region has taken over; trying again", "link", st.Name, "error", err)
		}
	}
}

// Local returns the links of which this node leads the first tablet, and how far
// they are: over all nodes each link is there once.
func (e *Engine) Local(ctx context.Context) (all []Status) {
	for _, j := range e.jobs() {
		r, ok := e.cluster.Catalog().ResourceByID(j.link)
		if j.lo != 0 || !ok {
			continue
		}
		if st, err := e.status(ctx, r); err == nil {
			all = append(all, st)
		}
	}
	return all
}
