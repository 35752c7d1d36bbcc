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
		case c.Size > model.MaxMergedBytes || c.Size > model.MaxItemBytes && !cmd.Merges():
			return model.Result{Status: model.StatusTooLarge}, nil
		case c.Newest() >= tx.Command.Stamp:
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
		if err := a.apply(&cmd.Changes[i]); err != nil {
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

// apply applies one change.
func (a *merging) apply(c *model.Change) error {
	here, err := readItem(a.tx, a.tx.Command.Resource, c.Key)
	if err != nil {
		return err
	}
	came := keys.ItemRecord{
		Stamp: c.Version.Stamp, Region: c.Version.Region, Tombstone: c.Delete,
		History: c.History, Merge: c.Merge, Size: c.Size, Item: c.Item,
	}
	if !a.cmd.Merges() {
		came.Merge = nil
	}
	now := here.ItemRecord // as regions call each other
	renameRecord(&now, 0, a.cmd.Self)
	older, newer := now.Knows(came.Version()), came.Knows(now.Version())
	if a.cmd.Merges() {
		older, newer = covers(&now, &came), covers(&came, &now)
	}
	switch {
	case here.Stamp != 0 && older:
		a.res.Known++ // also when it is the very same: or it would go round for ever
		return nil
	case here.Stamp == 0 || newer:
		a.res.Applied++
		return a.put(c.Key, &came, &here)
	case a.cmd.Merges():
		return a.merge(c.Key, &came, &now, &here)
	}
	return a.resolve(c.Key, &came, &now, &here)
}

// put makes rec, in which regions are called as among each other, what is stored
// under key.
func (a *merging) put(key []byte, rec *keys.ItemRecord, old *storedItem) error {
	renameRecord(rec, a.cmd.Self, 0)
	a.log.note(a.tx, key, rec, old)
	if rec.Tombstone && !a.tx.wanted.keep {
		unwatched := *a.tx
		unwatched.wanted = wanted{}
		return removeItem(&unwatched, old, key)
	}
	return setRecord(a.tx, key, rec)
}

// merge settles a conflict by keeping a part of each write. What comes out is
// news to whoever has one of them.
func (a *merging) merge(key []byte, came, now *keys.ItemRecord, here *storedItem) error {
	next, err := join(a.cmd, came, now)
	if err != nil {
		return err
	}
	winner, loser := came, now
	if next.Version() == now.Version() {
		winner, loser = now, came
	}
	if a.cmd.Policy == model.PolicyRegions {
		winner = &next // perhaps a write that had lost to one that is known to be overwritten
	}
	a.count(key, winner, loser)
	a.res.Applied++
	return a.put(key, &next, here)
}

// resolve settles a conflict: neither write knew of the other.
func (a *merging) resolve(key []byte, came, now *keys.ItemRecord, here *storedItem) error {
	winner, loser := came, now
	cameFirst := came.Version().Compare(now.Version()) < 0
	if cameFirst {
		winner, loser = now, came
	}
	a.count(key, winner, loser)
	next := *winner
	next.History = union(winner.History, loser).Without(winner.Region)
	if cameFirst {
		a.res.Known++
		renameRecord(&next, a.cmd.Self, 0)
		return setRecord(a.tx, key, &next) // only what it knows of has changed
	}
	a.res.Applied++
	return a.put(key, &next, here)
}

// count counts a conflict, and keeps what lost, unless both wrote the same.
func (a *merging) count(key []byte, winner, loser *keys.ItemRecord) {
	if winner.Tombstone == loser.Tombstone && bytes.Equal(winner.Item, loser.Item) && a.cmd.Policy != model.PolicyCounter {
		return
	}
	a.res.Conflicts++
	w, l := changeOf(key, winner), changeOf(key, loser)
	w.Rename(a.cmd.Self, 0)
	l.Rename(a.cmd.Self, 0)
	w.Merge, l.Merge = nil, nil // the whole item is what somebody wants back
	a.log.conflicts.keep(a.out, a.log.tablet, &model.Conflict{
		Resource: a.tx.Command.Resource, Policy: a.cmd.Policy, At: a.tx.Command.Stamp, Winner: w, Loser: l,
	})
}

// union is what both a history and a record know of.
func union(h model.History, r *keys.ItemRecord) model.History {
	for _, v := range r.History {
		h = h.Learn(v)
	}
	return h.Learn(r.Version())
}
