package machine

import (
	"bytes"

	"weir.dev/weir/internal/keys"
	"weir.dev/weir/internal/model"
)

// applyChanges applies what another region wrote. It is idempotent, and the
// outcome does not depend on the order in which the writes of several regions
// arrive: of writes that knew of each other the later one stays, of others the
// one with the higher version, or by the table's policy a part of each.
func applyChanges(m *Machine, tx *Tx) (model.Result, error) {
	cmd, err := bodyOf[model.ApplyChanges](tx.Command.Body)
	if err != nil {
		return model.Result{}, err
	}
	for i := range cmd.Changes {
		c := &cmd.Changes[i]
		slot, ok := slotOfItem(c.Key)
		switch {
		case !ok:
			return model.Result{}, model.ErrCorrupt
		case uint32(slot) < m.lo || uint32(slot) >= m.hi:
			return model.Result{Status: model.StatusStale}, nil
		case c.Size > model.MaxItemBytes:
			return model.Result{Status: model.StatusTooLarge}, nil
		case c.Version.Stamp >= tx.Command.Stamp:
			// The tablet's clock has to be ahead of what it holds, or the next write
			// here would lose to what it replaces.
			return model.Result{Status: model.StatusInvalid}, nil
		}
	}
	items := newOverlay(tx.Reader)
	a := merging{out: tx, log: &m.changes, cmd: &cmd, tx: &Tx{
		Reader: items, Writer: items, Index: tx.Index, Command: tx.Command, wanted: tx.wanted, changes: tx.changes,
	}}
	for i := range cmd.Changes {
		c := cmd.Changes[i]
		c.Rename(cmd.Self, 0)
		if err := a.apply(&c); err != nil {
			return model.Result{}, err
		}
	}
	items.flush(tx)
	return model.Result{Body: a.res.Append(nil)}, nil
}

// merging is a CmdApplyChanges under way.
type merging struct {
	tx  *Tx // of the items: a change sees those before it
	out *Tx
	log *changeLog
	cmd *model.ApplyChanges
	res model.ApplyChangesResult
}

// apply applies one change, in which this region is called zero.
func (a *merging) apply(c *model.Change) error {
	here, err := readItem(a.tx, a.tx.Command.Resource, c.Key)
	if err != nil {
		return err
	}
	came := keys.ItemRecord{
		Stamp: c.Version.Stamp, Region: c.Version.Region, Tombstone: c.Delete,
		History: c.History, Merge: c.Merge, Size: c.Size, Item: c.Item,
	}
	switch {
	case here.Stamp != 0 && here.Knows(c.Version):
		a.res.Known++ // also when it is the very same: or it would go round for ever
		return nil
	case here.Stamp == 0 || came.Knows(here.Version()):
		a.res.Applied++
		return a.put(c.Key, &came, &here)
	}
	return a.resolve(c.Key, &came, &here)
}

// put makes rec what is stored under key.
func (a *merging) put(key []byte, rec *keys.ItemRecord, old *storedItem) error {
	a.log.note(a.tx, key, rec, old)
	if rec.Tombstone && !a.tx.wanted.keep {
		unwatched := *a.tx
		unwatched.wanted = wanted{}
		return removeItem(&unwatched, old, key)
	}
	return setRecord(a.tx, key, rec)
}

// resolve settles a conflict: neither write knew of the other.
func (a *merging) resolve(key []byte, came *keys.ItemRecord, here *storedItem) error {
	winner, loser := came, &here.ItemRecord
	cameFirst := came.Version().Rename(0, a.cmd.Self).Compare(here.Version().Rename(0, a.cmd.Self)) < 0
	if cameFirst {
		winner, loser = loser, winner
	}
	if came.Tombstone != here.Tombstone || !bytes.Equal(came.Item, here.Item) {
		a.res.Conflicts++
		a.log.keepLoser(a.out, key, winner.Version(), loser)
	}
	next := *winner
	next.History = union(winner.History, loser).Without(winner.Region)
	if cameFirst {
		a.res.Known++
		return setRecord(a.tx, key, &next) // only what it knows of has changed
	}
	a.res.Applied++
	return a.put(key, &next, here)
}

// union is what both a history and a record know of.
func union(h model.History, r *keys.ItemRecord) model.History {
	for _, v := range r.History {
		h = h.Learn(v)
	}
	return h.Learn(r.Version())
}

// keepLoser counts a conflict and keeps what lost.
func (c *changeLog) keepLoser(tx *Tx, key []byte, winner model.Version, loser *keys.ItemRecord) {
	c.conflicts++
	kept := model.Conflict{
		Number: c.conflicts, Resource: tx.Command.Resource, Winner: winner, At: tx.Command.Stamp, Loser: changeOf(key, loser),
	}
	tx.Set(keys.Conflict(c.tablet, c.conflicts), kept.Append(nil))
	if c.conflicts > model.MaxConflicts {
		tx.Delete(keys.Conflict(c.tablet, c.conflicts-model.MaxConflicts))
	}
}

// lastConflict is the number of the last conflict of the tablet.
func lastConflict(r Reader, t model.TabletID) (n uint64, err error) {
	lo, hi := keys.ConflictsSpan(t)
	err = lastKey(r, lo, hi, func(key, _ []byte) error {
		var ok bool
		if n, ok = keys.SplitConflict(key); !ok {
			return model.ErrCorrupt
		}
		return nil
	})
	return n, err
}
