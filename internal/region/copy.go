package region

import (
	"bytes"

	"weir.dev/weir/internal/model"
)

// copying is how far the first copy of a table has come in a tablet. It is kept
// as the watch's note, so that whoever leads next goes on.
//
// The copy reads the table as it is, page by page, while writes go on. That is
// enough: what changes behind the page is in the log, which is read from before
// the copy began, and versions make it harmless that an item comes twice.
type copying struct {
	id     model.ResourceID
	kind   model.ResourceKind
	done   bool
	filter uint64 // the condition that it was copied with; of a queue or stream, the copy's number
	after  []byte // the last key copied; of a queue or stream, a unitPlace

}

// fits reports whether it is a copy with the condition; queues and streams have
// none.
func (c *copying) fits(f *filter) bool { return isUnits(c.kind) || c.filter == f.sum }

// copyBytes is how much of a table one message carries.
const copyBytes = 512 << 10

func (c *copying) note() []byte {
	b := model.AppendUvarint(model.AppendBool(nil, c.done), c.filter)
	return append(b, c.after...)
}

func recallCopy(t *model.WatchedTable) (copying, error) {
	d := model.NewDecoder(t.Note)
	c := copying{id: t.Table, done: d.Bool(), filter: d.Uvarint()}
	c.after = bytes.Clone(d.Rest())
	return c, d.Err()
}

// watchOf is what the link wants of the table, with the note.
func (w *worker) watchOf(j *job, c *copying) *model.Watch {
	return &model.Watch{Reader: j.link, Log: true, Old: w.filter.condition != nil, Keep: true, Policy: w.engine.policyOf(c.id), Note: c.note()}
}

// copies reports whether any table is not copied yet.
func (w *worker) copies() bool {
	for i := range w.tables {
		if !w.tables[i].done || !w.tables[i].fits(&w.filter) {
			return true
		}
	}
	return false
}

// copySome ships one page of the first table that is not copied yet.
func (w *worker) copySome(j *job) (did bool, err error) {
	for i := range w.tables {
		c := &w.tables[i]
		if !c.fits(&w.filter) {
			*c = copying{id: c.id, kind: c.kind, filter: w.filter.sum} // with another condition it begins again
		}
		switch {
		case c.done:
		case isUnits(c.kind):
			return true, w.copyUnit(j, c)
		default:
			return true, w.copyPage(j, c)
		}
	}
	return false, nil
}

func (w *worker) copyPage(j *job, c *copying) error {
	if _, ok := w.engine.cluster.Catalog().ResourceByID(c.id); !ok {
		w.selected = 0
		return nil
	}
	read := w.engine.clock.Now()
	q := model.CopyQuery{LoSlot: j.lo, HiSlot: j.hi, After: c.after, MaxBytes: copyBytes}
	res, err := w.engine.read(w.ctx, &model.Query{Kind: model.QueryCopy, Resource: c.id, Slot: model.Slot(j.lo), Body: q.Append(nil)}, false)
	if err != nil {
		return err
	}
	var page model.CopyResult
	if err := decode(res.Body, &page); err != nil {
		return err
	}
	out := batch{ReadMs: read.UnixMilli()}
	for i := range page.Changes {
		change := &page.Changes[i]
		take, err := w.filter.takesChange(change, nil)
		if err != nil {
			return err
		}
		if take {
			if err := w.add(j, &out, c.id, change); err != nil {
				return err
			}
		}
	}
	if err := w.send(j, &out); err != nil {
		return err
	}
	next := *c
	if n := len(page.Changes); n > 0 {
		next.after = page.Changes[n-1].Key
	}
	if next.done = !page.More; next.done {
		next.after = nil
	}
	if err := w.watch(j, c.id, w.watchOf(j, &next)); err != nil {
		return err
	}
	*c = next
	return nil
}
