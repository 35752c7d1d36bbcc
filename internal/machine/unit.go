package machine

import (
	"bytes"
	"errors"

	"weir.dev/weir/internal/keys"
	"weir.dev/weir/internal/model"
)

// Units (model.UnitKey) are what regions hold copies of in queues and streams.
// While somebody watches a queue or stream, each command that changes a unit
// writes down the unit's new version, and, if a reader wants it, a change in the
// log, which names the version that it follows. The region that takes it in
// applies it only to that version, so a copy is what the original was at some
// time, or it is known that it is not (docs/adr/0009). Nothing of this is done in
// queues and streams that nobody watches.

// readSince reads since when each resource is watched.
func readSince(r Reader, t model.TabletID) (map[model.ResourceID]model.Stamp, error) {
	all := map[model.ResourceID]model.Stamp{}
	lo, hi := keys.SinceSpan(t)
	err := scan(r, lo, hi, func(key, value []byte) error {
		id, ok := keys.SplitSince(key)
		d := model.NewDecoder(value)
		if all[id] = model.Stamp(d.Uvarint()); !ok || d.Done() != nil {
			return model.ErrCorrupt
		}
		return nil
	})
	return all, err
}

// keepSince notes since when a resource is watched, or that it is no longer,
// after that may have changed.
func (c *changeLog) keepSince(tx *Tx, id model.ResourceID) {
	watched := false
	for i := range c.watches {
		watched = watched || c.watches[i].table == id
	}
	switch was := c.since[id]; {
	case watched && was == 0:
		c.since[id] = tx.Command.Stamp
		tx.Set(keys.Since(c.tablet, id), model.AppendUvarint(nil, uint64(tx.Command.Stamp)))
	case !watched && was != 0:
		delete(c.since, id)
		tx.Delete(keys.Since(c.tablet, id))
	}
	c.recompute()
}

// readUnit reads what is known of a unit's content. used says that the unit has
// content, or had some. What it was before the resource was watched has the
// version of the watch.
func readUnit(r Reader, id model.ResourceID, u model.UnitKey, since model.Stamp, used bool) (keys.UnitRecord, error) {
	value, ok, err := r.Get(keys.Unit(nil, id, u))
	if err != nil {
		return keys.UnitRecord{}, err
	}
	now := keys.UnitRecord{Since: since}
	if used {
		now.Version.Stamp, now.Unlogged = since, since
	}
	if !ok {
		return now, nil
	}
	rec, err := bodyOf[keys.UnitRecord](value)
	if err != nil || rec.Since == since {
		return rec, err
	}
	if now.History = rec.History; rec.Version.Region != 0 {
		now.History = now.History.Learn(rec.Version)
	}
	return now, nil
}

// tellUnit gives a unit a new version, that of the command, and writes the change
// down for who wants it.
func tellUnit(tx *Tx, u model.UnitKey, rec *keys.UnitRecord, body []byte) {
	follows := rec.Version
	if rec.Version.Region != 0 {
		rec.History = rec.History.Learn(rec.Version)
	}
	rec.Version = model.Version{Stamp: tx.Command.Stamp}
	if rec.Copying { // the writes were taken here before all had come: this goes on from what nobody else has
		rec.Partial, follows = true, rec.Version
	}
	if !tx.wanted.log {
		rec.Unlogged = tx.Command.Stamp
	}
	rec.Run, rec.Copying, rec.Copied = 0, false, 0 // a copy that was under way ends when the writes are taken here
	tx.Set(keys.Unit(nil, tx.Command.Resource, u), rec.Append(nil))
	tx.changes.noteUnit(tx, u, rec.Version, follows, body)
}

// noteUnit writes a change of a unit into the log.
func (c *changeLog) noteUnit(tx *Tx, u model.UnitKey, v, follows model.Version, body []byte) {
	if !tx.wanted.log {
		return
	}
	c.last++
	e := model.LoggedChange{Resource: tx.Command.Resource, Change: model.Change{Version: v, Key: u.Append(nil), Item: body}}
	if follows != (model.Version{}) {
		e.History = model.History{follows}
	}
	c.total += uint64(len(e.Key) + len(body) + entryOverhead)
	e.Total = c.total
	tx.Set(keys.AppendChange(nil, c.tablet, c.last), e.Append(make([]byte, 0, len(body)+64)))
}

// copied is a unit that takes in what another region does: a slot of a queue or
// a shard. Its methods write to the command's batch and to its own head.
type copied interface {
	used() bool
	// empty reports whether it holds nothing.
	empty() bool
	// clear removes everything.
	clear() error
	// apply applies a change. While a copy is under way what it adds is left to
	// the copy. It does nothing and reports false when a copy has brought what is
	// newer and cannot be told from what the change removes.
	apply(rec *keys.UnitRecord, body []byte) (bool, error)
	// page applies a page of a copy, of numbers above rec.Copied.
	page(rec *keys.UnitRecord, p *model.UnitPage, body []byte) error
	// merge adds what a change added to a unit that takes writes here; false when
	// it takes none.
	merge(body []byte) (bool, error)
	flush(rec *keys.UnitRecord) error
}

// applyUnit applies what another region did to a unit. A repeated change or page
// is known by its version, so it may come again, late and by two ways.
func applyUnit(m *Machine, tx *Tx) (model.Result, error) {
	cmd, err := bodyOf[model.ApplyUnit](tx.Command.Body)
	if err != nil {
		return model.Result{}, err
	}
	a := applyingUnit{tx: tx, cmd: &cmd, key: model.UnitKey{Slot: tx.Command.Slot, Shard: cmd.Shard}}
	if uint32(tx.Command.Slot) < m.lo || uint32(tx.Command.Slot) >= m.hi || tx.wanted.since == 0 {
		return model.Result{Status: model.StatusStale}, nil
	}
	for i := range cmd.Changes {
		if cmd.Changes[i].Version.Stamp >= tx.Command.Stamp {
			return model.Result{Status: model.StatusInvalid}, nil // as in applyChanges
		}
	}
	if cmd.Stream {
		a.unit, err = openShardCopy(tx, cmd.Shard)
	} else {
		a.unit, err = m.openQueueCopy(tx, &cmd.Settings)
	}
	if err != nil {
		return model.Result{}, err
	}
	if a.rec, err = readUnit(tx, tx.Command.Resource, a.key, tx.wanted.since, a.unit.used()); err != nil {
		return model.Result{}, err
	}
	for i := range cmd.Changes {
		c := cmd.Changes[i]
		c.Rename(cmd.Self, 0)
		if a.res.Need, err = a.apply(&c); err != nil {
			return model.Result{}, err
		}
		if a.res.Need != model.UnitFine {
			break
		}
	}
	return model.Result{Body: a.res.Append(nil)}, a.unit.flush(&a.rec)
}

// applyingUnit is a CmdApplyUnit under way.
type applyingUnit struct {
	tx   *Tx
	cmd  *model.ApplyUnit
	key  model.UnitKey
	unit copied
	rec  keys.UnitRecord
	res  model.ApplyUnitResult
}

func (a *applyingUnit) apply(c *model.UnitChange) (model.UnitNeed, error) {
	switch {
	case c.Page != nil:
		return a.page(c)
	case a.rec.Knows(c.Version):
		a.res.Known++
		return model.UnitFine, nil
	case !a.tx.wanted.passive:
		return a.merge(c)
	case c.Follows != a.rec.Version:
		return model.UnitAgain, nil
	}
	if ok, err := a.unit.apply(&a.rec, c.Body); err != nil || !ok {
		return model.UnitAgain, err
	}
	a.advance(c.Version)
	a.tx.changes.noteUnit(a.tx, a.key, c.Version, c.Follows, c.Body) // for the region after this one
	a.res.Applied++
	return model.UnitFine, nil
}

// advance makes the content that of a version which follows it.
func (a *applyingUnit) advance(v model.Version) {
	if a.rec.Version != (model.Version{}) {
		a.rec.History = a.rec.History.Learn(a.rec.Version)
	}
	a.rec.History, a.rec.Version = a.rec.History.Without(v.Region), v
}

// merge takes in, where the writes are taken, what their last region had taken
// before it heard of that: what it added is added here as new.
func (a *applyingUnit) merge(c *model.UnitChange) (model.UnitNeed, error) {
	if !c.Own || c.Version.Region != a.cmd.From {
		return model.UnitActive, nil
	}
	ok, err := a.unit.merge(c.Body)
	if err != nil || !ok {
		return model.UnitClosed, err
	}
	a.rec.History = a.rec.History.Learn(c.Version)
	a.res.Applied++
	return model.UnitFine, nil
}

// page applies a page of a first copy.
func (a *applyingUnit) page(c *model.UnitChange) (model.UnitNeed, error) {
	p, rec := c.Page, &a.rec
	came := keys.UnitRecord{Version: c.Version, History: c.History, Partial: p.Partial}
	begins := p.After == 0 && p.Run != rec.Run
	switch {
	case rec.Knows(c.Version) && (!rec.Copying || !a.tx.wanted.passive):
		a.res.Known++
		return model.UnitHas, nil
	case !a.tx.wanted.passive && c.Own:
		a.res.Known++
		return model.UnitHas, nil // the copy is to be the other way round
	case !a.tx.wanted.passive:
		return model.UnitActive, nil
	}
	if begins && (came.Partial || !came.Knows(rec.Version)) {
		if ok, err := a.mayClear(&came); err != nil || !ok {
			return model.UnitFilled, err
		}
	}
	switch {
	case !begins && (p.Run != rec.Run || !rec.Copying || p.After > rec.Copied):
		return model.UnitAgain, nil
	case !begins && p.After < rec.Copied:
		a.res.Known++
		return model.UnitFine, nil
	case !came.Knows(rec.Version) && !begins:
		return model.UnitRetry, nil
	}
	if begins {
		if err := a.unit.clear(); err != nil {
			return 0, err
		}
		*rec = keys.UnitRecord{Since: rec.Since, Version: came.Version, History: came.History, Partial: came.Partial, Run: p.Run, Copying: true}
	}
	if err := a.unit.page(rec, p, c.Body); err != nil {
		return 0, err
	}
	if rec.Copied = p.UpTo; p.Last {
		rec.Copying = false
		if a.cmd.Stream {
			rec.Version, rec.History = came.Version, came.History // it is just that; a queue has older pages
		}
		// A region that has another content hears that it does.
		a.tx.changes.noteUnit(a.tx, a.key, rec.Version, rec.Version, nil)
	}
	a.res.Applied++
	return model.UnitFine, nil
}

// mayClear reports whether what is here may go although the copy that comes does
// not know of it, or is one of a part: there is nothing, or another region wrote it, which still has
// it; or the copy goes on from what was shipped from here, and what was not is
// in the log.
func (a *applyingUnit) mayClear(came *keys.UnitRecord) (bool, error) {
	rec := &a.rec
	switch {
	case a.unit.empty():
		return true, nil
	case came.Partial:
		return false, nil
	case rec.Version.Region != 0:
		return true, nil
	case !a.tx.wanted.log || came.History.Known(0) < rec.Unlogged:
		return false, nil
	}
	return a.logged(came)
}

// logged reports whether the log holds all that was written here and that the
// copy does not know of: what comes first of it follows something known. It is
// looked for only after a takeover by force.
func (a *applyingUnit) logged(came *keys.UnitRecord) (ok bool, err error) {
	lo, hi := keys.ChangesSpan(a.tx.changes.tablet)
	key := a.key.Append(nil)
	err = scan(a.tx, lo, hi, func(stored, value []byte) error {
		e, err := splitEntry(stored, value)
		if err != nil || e.Resource != a.tx.Command.Resource || !bytes.Equal(e.Key, key) || e.Version.Region != 0 || came.Knows(e.Version) {
			return err
		}
		ok = len(e.History) == 0 || came.Knows(e.History[0])
		return errEnough
	})
	if errors.Is(err, errEnough) {
		err = nil
	}
	return ok, err
}
