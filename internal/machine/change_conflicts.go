package machine

import (
	"weir.dev/weir/internal/keys"
	"weir.dev/weir/internal/model"
)

// conflicts are the losers of conflicts that the tablet keeps, and how many
// there ever were.
type conflicts struct {
	head  model.ConflictsHead
	kept  []keptConflict // by number
	bytes uint64         // of all of kept
}

type keptConflict struct {
	number, bytes uint64
	at            model.Stamp
}

// load rebuilds what is known of the conflicts.
func (c *conflicts) load(r Reader, t model.TabletID) (err error) {
	*c = conflicts{}
	if c.head, err = readConflictsHead(r, t); err != nil {
		return err
	}
	_, hi := keys.ConflictsSpan(t)
	return scan(r, keys.Conflict(t, 1), hi, func(_, value []byte) error {
		one, err := bodyOf[model.Conflict](value)
		if err == nil {
			c.file(&one, uint64(len(value)))
		}
		return err
	})
}

func (c *conflicts) file(one *model.Conflict, bytes uint64) {
	c.kept = append(c.kept, keptConflict{one.Number, bytes, one.At})
	c.bytes += bytes
}

// keep counts a conflict and keeps what lost.
func (c *conflicts) keep(w Writer, t model.TabletID, one *model.Conflict) {
	c.head.Counted++
	one.Number = c.head.Counted
	value := one.Append(nil)
	w.Set(keys.Conflict(t, one.Number), value)
	c.file(one, uint64(len(value)))
	c.forget(w, t, one.At)
	c.writeHead(w, t)
}

func (c *conflicts) writeHead(w Writer, t model.TabletID) {
	w.Set(keys.Conflict(t, 0), c.head.Append(nil)) // no conflict has the number zero
}

// forget removes what there is no room for, and what is old; the last one stays.
func (c *conflicts) forget(w Writer, t model.TabletID, now model.Stamp) {
	for len(c.kept) > 1 {
		first := &c.kept[0]
		if len(c.kept) <= model.MaxConflicts && c.bytes <= model.MaxConflictBytes && now.Time().Sub(first.at.Time()) <= model.ConflictLife {
			return
		}
		w.Delete(keys.Conflict(t, first.number))
		c.bytes -= first.bytes
		c.kept = c.kept[1:]
	}
}

// applyTellConflicts notes that conflicts are in their queues.
func applyTellConflicts(m *Machine, tx *Tx) (model.Result, error) {
	cmd, err := bodyOf[model.TellConflicts](tx.Command.Body)
	if err != nil {
		return model.Result{}, err
	}
	c := &m.changes.conflicts
	if cmd.UpTo > c.head.Counted {
		return model.Result{Status: model.StatusNotFound}, nil
	}
	c.head.Told = max(c.head.Told, cmd.UpTo)
	c.forget(tx, m.tablet, tx.Command.Stamp)
	c.writeHead(tx, m.tablet)
	return model.Result{}, nil
}

func readConflictsHead(r Reader, t model.TabletID) (h model.ConflictsHead, err error) {
	value, ok, err := r.Get(keys.Conflict(t, 0))
	if err != nil || !ok {
		return h, err
	}
	return bodyOf[model.ConflictsHead](value)
}
