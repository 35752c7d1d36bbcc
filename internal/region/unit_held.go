package region

import "weir.dev/weir/internal/model"

// What this region sent to a queue and took out again, while another one had the
// writes already, is not merged there: the message would return. What it took out
// that the other one has is left there: whoever is given it there may be at work.

// maxHeldGone bounds the numbers of such messages that a worker remembers, of all
// queues together; those beyond it return.
const maxHeldGone = 1 << 18

// heldUnitKey names a queue's slot here.
type heldUnitKey struct {
	queue model.ResourceID
	slot  model.Slot
}

// heldGone are the messages of a slot that are gone again.
type heldGone struct {
	below uint64 // purged
	seqs  map[uint64]bool
}

// readGone reads, once for each recall, what is gone again behind the place up to
// which the link has shipped.
func (w *worker) readGone(j *job) (map[heldUnitKey]*heldGone, error) {
	if w.gone != nil {
		return w.gone, nil
	}
	gone, count := map[heldUnitKey]*heldGone{}, 0
	for after := w.upTo; ; {
		q := model.ChangesQuery{Tablet: j.tablet, After: after, MaxBytes: shipBytes}
		res, err := w.engine.read(w.ctx, &model.Query{Kind: model.QueryChanges, Slot: model.Slot(j.lo), Body: q.Append(nil)}, false)
		if err != nil {
			return nil, err
		}
		var log model.ChangesResult
		if err := decode(res.Body, &log); err != nil {
			return nil, err
		}
		if len(log.Changes) == 0 {
			w.gone = gone
			return gone, nil
		}
		for i := range log.Changes {
			e := &log.Changes[i]
			if after = e.Number; e.Version.Region == 0 && count < maxHeldGone {
				n, err := w.noteGone(gone, e)
				if err != nil {
					return nil, err
				}
				count += n
			}
		}
	}
}

// noteGone notes what a change took out of a queue, and returns how much that is.
func (w *worker) noteGone(gone map[heldUnitKey]*heldGone, e *model.LoggedChange) (int, error) {
	t, watched := w.table(e.Resource)
	if !watched || t.kind != model.KindQueue {
		return 0, nil
	}
	key, ok := model.ParseUnitKey(e.Key)
	if !ok {
		return 0, model.ErrCorrupt
	}
	var change model.QueueChange
	if err := decode(e.Item, &change); err != nil || !change.Purged && len(change.Gone) == 0 {
		return 0, err
	}
	at := heldUnitKey{e.Resource, key.Slot}
	g := gone[at]
	if g == nil {
		g = &heldGone{seqs: map[uint64]bool{}}
		gone[at] = g
	}
	if change.Purged {
		g.below = change.NextSeq
	}
	for _, seq := range change.Gone {
		g.seqs[seq] = true
	}
	return len(change.Gone), nil
}

// withoutGone takes the messages out of a held change that are gone again.
func (w *worker) withoutGone(j *job, queue model.ResourceID, slot model.Slot, c *model.UnitChange) error {
	gone, err := w.readGone(j)
	g := gone[heldUnitKey{queue, slot}]
	if err != nil || g == nil {
		return err
	}
	var change model.QueueChange
	if err := decode(c.Body, &change); err != nil {
		return err
	}
	kept := change.Added[:0]
	for _, m := range change.Added {
		if m.Seq >= g.below && !g.seqs[m.Seq] {
			kept = append(kept, m)
		}
	}
	if len(kept) < len(change.Added) {
		change.Added = kept
		c.Body = change.Append(nil)
	}
	return nil
}
