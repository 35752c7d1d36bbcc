package region

import (
	"context"
	"slices"
	"time"

	"weir.dev/weir/internal/model"
)

// The sender of a link tells the other side, every few seconds, how far behind
// it is: so that the region which takes in knows what it lacks, also when the
// other one is gone. The node that hears it tells the others of its cluster; all
// keep it in memory.

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

// hear keeps a report, and tells the other nodes.
func (e *Engine) hear(ctx context.Context, inbound model.ResourceID, body []byte) error {
	told := heardReport{inbound: inbound}
	if err := decode(body, &told.report); err != nil {
		return err
	}
	// Without a leader the tables are not known: those heard of before stay.
	var err error
	if told.tables, err = e.shippedHere(ctx, inbound); err != nil {
		e.log.Debug("cannot tell which tables an inbound link brings", "error", err)
	}
	e.keep(&told)
	e.node.Tell(told.Append(nil))
	return nil
}

// shippedHere lists the tables that an inbound link brings.
func (e *Engine) shippedHere(ctx context.Context, inbound model.ResourceID) (tables []model.ResourceID, err error) {
	t, ok := e.cluster.Catalog().TabletOf(0)
	if !ok {
		return nil, model.Errorf(model.ErrUnavailable, "this node has not received the catalog yet")
	}
	s, err := e.readerState(ctx, place{inbound, t.ID}, t.Lo)
	for i := range s.Tables {
		tables = append(tables, s.Tables[i].Table)
	}
	return tables, err
}

// heardReport is a report as nodes tell it to each other.
type heardReport struct {
	inbound model.ResourceID
	report  report
	tables  []model.ResourceID
}

func (h *heardReport) Append(dst []byte) []byte {
	dst = h.report.Append(model.AppendUvarint(dst, uint64(h.inbound)))
	dst = model.AppendUvarint(dst, uint64(len(h.tables)))
	for _, id := range h.tables {
		dst = model.AppendUvarint(dst, uint64(id))
	}
	return dst
}

func (h *heardReport) Decode(d *model.Decoder) {
	h.inbound = model.ResourceID(d.Uvarint())
	h.report.Decode(d)
	for n := d.Count(); n > 0 && d.Err() == nil; n-- {
		h.tables = append(h.tables, model.ResourceID(d.Uvarint()))
	}
}

// Told takes what another node of the cluster has heard.
func (e *Engine) Told(body []byte) {
	var h heardReport
	if err := decode(body, &h); err != nil {
		e.log.Debug("cannot read what another node has heard; it may be of another version", "error", err)
		return
	}
	e.keep(&h)
}

func (e *Engine) keep(h *heardReport) {
	r := &h.report
	e.mu.Lock()
	defer e.mu.Unlock()
	e.heard[h.inbound] = Heard{
		At: e.clock.Now(), LagChanges: r.Changes, LagBytes: r.Bytes, Lag: time.Duration(r.Ms) * time.Millisecond, Copying: int(r.Copying),
	}
	for _, id := range h.tables {
		if !slices.Contains(e.fed[id], h.inbound) {
			e.fed[id] = append(e.fed[id], h.inbound)
		}
	}
}

// LagOf tells how far a table is behind the regions that ship it here: the most
// of them. ok is false when nothing was heard of such a region. The time that a
// report took to come is not in it.
func (e *Engine) LagOf(id model.ResourceID) (lag time.Duration, changes uint64, ok bool) {
	e.mu.Lock()
	defer e.mu.Unlock()
	now := e.clock.Now()
	for _, inbound := range e.fed[id] {
		if h, heard := e.heard[inbound]; heard {
			ok, lag, changes = true, max(lag, h.Lag+now.Sub(h.At)), max(changes, h.LagChanges)
		}
	}
	return lag, changes, ok
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
