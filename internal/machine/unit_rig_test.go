package machine

import (
	"fmt"
	"math/rand/v2"
	"testing"

	"weir.dev/weir/internal/keys"
	"weir.dev/weir/internal/model"
)

// unitRegion is a region with the queue or stream 5, its link (a reader of the
// log) and its inbound link.
type unitRegion struct {
	*streamRig
	self    model.RegionID
	stream  bool
	version uint64 // of its link and inbound link
	sent    model.ChangeNumber
	run     uint64
	copying *unitCopying // under way to the other region
}

// unitCopying is a first copy of one unit after the other.
type unitCopying struct {
	units []model.UnitKey
	after uint64
}

const (
	unitLink    = model.ReaderID(90)
	unitInbound = model.ReaderID(91)
)

func newUnitRegion(t testing.TB, self model.RegionID, stream bool) *unitRegion {
	return &unitRegion{streamRig: newStreamRig(t), self: self, stream: stream}
}

func (u *unitRegion) units() []model.UnitKey {
	if !u.stream {
		return []model.UnitKey{{Slot: model.QueueSlot(5)}}
	}
	var all []model.UnitKey
	for n := range model.ShardNumber(3) {
		all = append(all, model.UnitKey{Slot: model.ShardSlot(5, n), Shard: n})
	}
	return all
}

func (u *unitRegion) record(k model.UnitKey) (rec keys.UnitRecord) {
	u.t.Helper()
	if value, ok := u.view.values[string(keys.Unit(nil, 5, k))]; ok {
		rec = decodeAs[keys.UnitRecord](u.t, value)
	}
	return rec
}

// watch begins to ship from here.
func (u *unitRegion) watch(log bool) {
	u.t.Helper()
	u.version++
	w := model.Watch{Reader: unitInbound, Version: u.version, Keep: true}
	if log {
		w = model.Watch{Reader: unitLink, Version: u.version, Log: true, Keep: true}
	}
	if res := u.do(model.CmdWatch, 5, w.Append(nil)); res.Status != model.StatusOK {
		u.t.Fatal(res.Status)
	}
}

// role makes the queue or stream passive here or active.
func (u *unitRegion) role(passive bool) {
	u.t.Helper()
	u.version++
	body := model.Role{Version: u.version, Passive: passive}
	for _, reader := range []model.ReaderID{unitLink, unitInbound} {
		if res := u.do(model.CmdRole, reader, body.Append(nil)); res.Status != model.StatusOK {
			u.t.Fatal(res.Status)
		}
	}
}

func (u *unitRegion) copyAnew() {
	u.run = max(u.run, uint64(u.self)<<32) + 1
	u.copying = &unitCopying{units: u.units()}
}

// apply has this region take in a change.
func (u *unitRegion) takeIn(from *unitRegion, key model.UnitKey, changes ...model.UnitChange) model.ApplyUnitResult {
	u.t.Helper()
	body := model.ApplyUnit{Self: u.self, From: from.self, Stream: u.stream, Shard: key.Shard, Settings: u.settings}
	stamp := u.now()
	for i := range changes {
		c := changes[i]
		c.Rename(0, from.self)
		body.Changes = append(body.Changes, c)
		stamp = max(stamp, c.Version.Stamp+1)
	}
	u.nowMs = max(u.nowMs, stamp.Millis()+1)
	res := u.run1(&model.Command{Kind: model.CmdApplyUnit, Resource: 5, Slot: key.Slot, Body: body.Append(nil)})
	if res.Status != model.StatusOK {
		u.t.Fatalf("a change was refused with status %d", res.Status)
	}
	return decodeAs[model.ApplyUnitResult](u.t, res.Body)
}

func (u *unitRegion) run1(cmd *model.Command) model.Result { return u.queueRig.run(cmd) }

// logged are the changes that were not shipped, at most n.
func (u *unitRegion) logged(n int) (at []model.UnitKey, changes []model.UnitChange, to model.ChangeNumber) {
	to = u.sent
	for _, e := range logOf(u.t, u.rig, u.sent) {
		if len(changes) == n {
			break
		}
		key, ok := model.ParseUnitKey(e.Key)
		if !ok {
			u.t.Fatal("the log has a malformed key")
		}
		c := model.UnitChange{Version: e.Version, Body: e.Item}
		if len(e.History) > 0 {
			c.Follows = e.History[0]
		}
		at, changes, to = append(at, key), append(changes, c), e.Number
	}
	return at, changes, to
}

// ship ships up to n changes to another region, and a page of a copy. It reports
// whether there was anything to ship. rng may be nil.
func (u *unitRegion) ship(to *unitRegion, n int, own bool, rng *rand.Rand) bool {
	u.t.Helper()
	at, changes, end := u.logged(n)
	for i := range changes {
		if changes[i].Version.Region == to.self {
			continue
		}
		changes[i].Own = own
		need := to.takeIn(u, at[i], changes[i]).Need
		if rng != nil && rng.IntN(4) == 0 {
			to.takeIn(u, at[i], changes[i]) // once more
		}
		if need == model.UnitAgain {
			u.copyAnew()
		} else if need != model.UnitFine {
			u.t.Fatalf("a change needs %d", need)
		}
	}
	u.sent = end
	if u.copying == nil {
		return len(changes) > 0
	}
	u.shipPage(to, rng)
	return true
}

func (u *unitRegion) page(key model.UnitKey, after, maxBytes uint64) model.UnitChange {
	u.t.Helper()
	body := model.UnitQuery{Tablet: 1, Stream: u.stream, Shard: key.Shard, After: after, MaxBytes: maxBytes}
	res, err := Query(u.view, &model.Query{Kind: model.QueryUnit, Resource: 5, Slot: key.Slot, Body: body.Append(nil)})
	if err != nil || res.Status != model.StatusOK {
		u.t.Fatal(err, res.Status)
	}
	c := decodeAs[model.UnitChange](u.t, res.Body)
	c.Page.Run = u.run
	return c
}

func (u *unitRegion) shipPage(to *unitRegion, rng *rand.Rand) {
	u.t.Helper()
	c := u.copying
	page := u.page(c.units[0], c.after, 200)
	res := to.takeIn(u, c.units[0], page)
	if rng != nil && rng.IntN(4) == 0 {
		to.takeIn(u, c.units[0], page)
	}
	switch {
	case res.Need == model.UnitHas, res.Need == model.UnitFine && page.Page.Last:
		if c.units, c.after = c.units[1:], 0; len(c.units) == 0 {
			u.copying = nil
		}
	case res.Need == model.UnitFine:
		c.after = page.Page.UpTo
	case res.Need == model.UnitAgain:
		u.copyAnew()
	default:
		u.t.Fatalf("a page needs %d", res.Need)
	}
}

// shipAll ships until there is no more.
func (u *unitRegion) shipAll(to *unitRegion) {
	u.t.Helper()
	for n := 0; u.ship(to, 100, false, nil); n++ {
		if n > 10_000 {
			u.t.Fatal("the copy has no end")
		}
	}
}

// messages lists what the queue holds, with numbers. The next number is above them;
// it is not always that of a copy, since places in lines count, too.
func (u *unitRegion) messages() (all []string) {
	u.t.Helper()
	for after := uint64(0); ; {
		page := u.page(u.units()[0], after, 1<<20)
		change := decodeAs[model.QueueChange](u.t, page.Body)
		for _, m := range change.Added {
			message := decodeAs[model.Message](u.t, m.Message)
			if m.Seq >= change.NextSeq {
				u.t.Fatalf("message %d is there, and the next is %d", m.Seq, change.NextSeq)
			}
			all = append(all, fmt.Sprintf("%d %x %s %s %d", m.Seq, message.ID[12:], message.Group, message.Body, m.DueMs))
		}
		if after = page.Page.UpTo; page.Page.Last {
			return all
		}
	}
}

// shards lists what the stream holds: its states, blocks and positions.
func (u *unitRegion) shards() (all []string) {
	u.t.Helper()
	for _, key := range u.units() {
		change := decodeAs[model.ShardChange](u.t, u.page(key, 0, 1<<30).Body)
		for i := range change.Positions {
			p := &change.Positions[i]
			p.Generation, p.CommitMs = 0, 0 // who holds a shard, and when, is not told
		}
		all = append(all, fmt.Sprintf("%+v %d %+v", change.State, change.Groups, change.Positions))
		for _, b := range change.Blocks {
			all = append(all, fmt.Sprintf("%d %d %d %x", b.First, b.ArrivalMs, b.Before, b.Batch))
		}
	}
	return all
}
