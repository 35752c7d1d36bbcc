package region

import (
	"context"
	"fmt"
	"maps"
	"strconv"
	"time"

	"weir.dev/weir/internal/keys"
	"weir.dev/weir/internal/model"
	"weir.dev/weir/internal/service"
)

// resolution is how a table resolves conflicts, with the ids of the regions that
// it names.
type resolution struct {
	*service.Resolution
	rank   []model.RegionID
	agreed string // what the other region has to have in common
}

// resolutionOf finds it. Errors: ErrNotFound, ErrUnavailable for a name of a
// region that this cluster does not know.
func (e *Engine) resolutionOf(table model.ResourceID) (*resolution, error) {
	r, err := e.service.ResolutionOf(table)
	if err != nil {
		return nil, err
	}
	res := &resolution{Resolution: r}
	for _, name := range r.Regions {
		id, err := e.regionID(name)
		if err != nil {
			return nil, fmt.Errorf("the table %s: %w", r.Table, err)
		}
		res.rank = append(res.rank, id)
	}
	res.agreed = r.Agreed(res.rank)
	return res, nil
}

// regionID is the id of a region by its name, as this one or its links know it,
// or by the id itself in 16 hexadecimal digits.
func (e *Engine) regionID(name string) (model.RegionID, error) {
	c := e.cluster.Catalog()
	found := map[model.RegionID]bool{}
	if c.Settings.RegionName == name {
		found[c.Region()] = true
	}
	for r := range c.Resources.Of(model.KindLink) {
		if spec, err := decodeLink(r); err == nil && spec.RegionName == name {
			found[spec.Region] = true
		}
	}
	for r := range c.Resources.Of(model.KindInbound) {
		if spec, err := decodeInbound(r); err == nil && spec.Region != 0 && spec.RegionName == name {
			found[spec.Region] = true
		}
	}
	if len(found) == 1 {
		for id := range maps.Keys(found) {
			return id, nil
		}
	}
	if id, err := strconv.ParseUint(name, 16, 64); err == nil && len(name) == 16 && len(found) == 0 {
		return model.RegionID(id), nil
	}
	return 0, model.Errorf(model.ErrUnavailable, "its conflicts are won by the region %s, and %d regions of that name are known here: name it by its id, which weir region status shows there", name, len(found))
}

// agree holds what another region says of a table to what is so here.
func (r *resolution) agree(theirs string) error {
	if r.agreed == theirs {
		return nil
	}
	return model.Errorf(model.ErrValidation, "the table %s resolves conflicts by %s there and by %s here: set both alike, weir conflicts policy %s %s", r.Table, theirs, r.agreed, r.Table, r.Resolution.String())
}

// checkMerge holds what a change brings of other writes to what the tablet takes
// for granted.
func (e *Engine) checkMerge(table model.ResourceID, c *model.Change) error {
	if len(c.Merge) == 0 {
		return nil
	}
	var s model.MergeState
	if err := decode(c.Merge, &s); err != nil {
		return err
	}
	if s.Newest() > c.Newest() {
		return model.Errorf(model.ErrValidation, "a change knows of the future")
	}
	for i := range s.Rivals {
		if s.Rivals[i].Delete {
			continue
		}
		var item model.Item
		d := model.NewDecoder(s.Rivals[i].Item)
		if item = model.DecodeItem(d); d.Done() != nil {
			return model.Errorf(model.ErrValidation, "a change holds a malformed item")
		}
		if _, err := e.service.CheckItem(table, c.Key, item); err != nil {
			return err
		}
	}
	return nil
}

// tellEvery is how soon a conflict is told to the queue of its table.
const tellEvery = time.Second

// tellConflicts tells the conflicts of the tablets that this node leads to the
// queues that their tables name.
func (e *Engine) tellConflicts() {
	seen := map[model.TabletID]uint64{} // conflicts up to this one need not be told
	looked, wanted := uint64(0), false  // the catalog's version, and whether any table wants it
	for e.sleep(e.ctx, tellEvery) {
		c := e.cluster.Catalog()
		if looked != c.Version {
			looked, wanted = c.Version, e.tells(c)
		}
		if !wanted {
			continue
		}
		for i := range c.Tablets {
			t := &c.Tablets[i]
			if t.Hi <= t.Lo || !e.cluster.Leads(model.Slot(t.Lo)) {
				delete(seen, t.ID)
				continue
			}
			if err := e.tellTablet(e.ctx, t, seen); err != nil && e.ctx.Err() == nil && e.noteProblem(place{tablet: t.ID}, err) {
				e.log.Warn("cannot tell of conflicts; trying again", "tablet", t.ID, "error", err)
			}
		}
	}
}

// tells reports whether any table tells its conflicts to a queue.
func (e *Engine) tells(c *model.Catalog) bool {
	for r := range c.Resources.Of(model.KindTable) {
		if res, err := e.service.ResolutionOf(r.ID); err == nil && res.Policy == model.PolicyQueue {
			return true
		}
	}
	return false
}

// tellTablet tells the conflicts of one tablet that are not told yet.
func (e *Engine) tellTablet(ctx context.Context, t *model.Tablet, seen map[model.TabletID]uint64) error {
	for {
		found, err := e.conflictsAfter(ctx, t, seen[t.ID])
		if err != nil {
			return err
		}
		if after := max(seen[t.ID], found.Head.Told); after > seen[t.ID] && seen[t.ID] == 0 {
			seen[t.ID] = after // what was told before this node led
			continue
		}
		told := uint64(0)
		for i := range found.Conflicts {
			one := &found.Conflicts[i]
			if gone := one.Number - seen[t.ID] - 1; gone > 0 {
				e.log.Error("conflicts were forgotten before they were told: there was no room for more", "tablet", t.ID, "conflicts", gone)
			}
			did, err := e.tellOne(ctx, t, one, found.Head.Told)
			if err != nil {
				return err
			}
			if seen[t.ID] = one.Number; did {
				told = one.Number
			}
		}
		if told > 0 {
			body := model.TellConflicts{UpTo: told}
			if _, err := e.propose(ctx, &model.Command{Kind: model.CmdTellConflicts, Slot: model.Slot(t.Lo), Body: body.Append(nil)}); err != nil {
				return err
			}
		}
		if len(found.Conflicts) == 0 {
			e.noteProblem(place{tablet: t.ID}, nil)
			return nil
		}
	}
}

// tellOne tells one conflict, if that is wanted.
func (e *Engine) tellOne(ctx context.Context, t *model.Tablet, c *model.Conflict, told uint64) (did bool, err error) {
	if c.Policy != model.PolicyQueue || c.Number <= told {
		return false, nil
	}
	res, err := e.service.ResolutionOf(c.Resource)
	if err != nil || res.Policy != model.PolicyQueue {
		return false, nil // the table is gone, or wants it no longer
	}
	version := func(v *model.Change) service.ConflictVersion {
		out := service.ConflictVersion{Region: e.RegionName(v.Version.Region), Written: v.Version.Stamp.Time().Format(time.RFC3339Nano), Deleted: v.Delete}
		if item, err := decodeItem(v.Item); err == nil && !v.Delete {
			out.Item = Plain(model.MapValue(item))
		}
		return out
	}
	n := service.ConflictNotice{
		Conflict: ConflictID(t.ID, c.Number), Region: e.RegionName(0), Table: res.Table, Key: keys.ItemString(c.Loser.Key), Winner: version(&c.Winner), Loser: version(&c.Loser),
	}
	ctx, cancel := e.within(ctx, clusterTimeout)
	defer cancel()
	return true, e.service.TellConflict(ctx, res.Queue, t, c, told, &n)
}

// SetResolution changes how a table resolves the conflicts that are met from now
// on, and returns when writes of it keep what that needs. Errors: ErrNotFound,
// ErrInUse; after others the policy may be set and not be known to all tablets
// yet, which their leaders mend.
func (e *Engine) SetResolution(ctx context.Context, table string, res *model.Resolution) error {
	if err := e.service.SetResolution(ctx, table, res); err != nil {
		return err
	}
	c := e.cluster.Catalog()
	for _, kind := range tiedKinds {
		for r := range c.Resources.Of(kind) {
			for i := range c.Tablets {
				if t := &c.Tablets[i]; t.Hi > t.Lo {
					if err := e.bringPolicies(ctx, r, t); err != nil {
						return err
					}
				}
			}
		}
	}
	return nil
}

// tiedKinds are the resources that watch tables.
var tiedKinds = []model.ResourceKind{model.KindLink, model.KindInbound}

// keepPolicies has the writes of the tables that links and inbound links watch
// keep what their policies need, in the tablets that this node leads.
func (e *Engine) keepPolicies() {
	done := map[place]string{}               // what was brought
	looked, tracked := uint64(0), []string{} // the catalog's version, and its tables with policies
	for e.sleep(e.ctx, superviseEvery) {
		led := map[place]bool{}
		c := e.cluster.Catalog()
		if looked != c.Version {
			looked, tracked = c.Version, e.tracked(c)
		}
		for _, kind := range tiedKinds {
			for r := range c.Resources.Of(kind) {
				e.keepPolicy(r, c.Tablets, fmt.Sprint(r.Version, tracked), done, led)
			}
		}
		maps.DeleteFunc(done, func(p place, _ string) bool { return !led[p] })
	}
}

func (e *Engine) keepPolicy(r *model.Resource, tablets []model.Tablet, want string, done map[place]string, led map[place]bool) {
	for i := range tablets {
		t := &tablets[i]
		p := place{r.ID, t.ID}
		if t.Hi <= t.Lo || !e.cluster.Leads(model.Slot(t.Lo)) {
			continue
		}
		if led[p] = true; done[p] != want && e.bringPolicies(e.ctx, r, t) == nil {
			done[p] = want
		}
	}
}

// tracked lists the tables whose writes keep merge state, with what for.
func (e *Engine) tracked(c *model.Catalog) (list []string) {
	for r := range c.Resources.Of(model.KindTable) {
		if p := e.policyOf(r.ID); p != model.PolicyLastWriter {
			list = append(list, fmt.Sprint(r.ID, p))
		}
	}
	return list
}

// policyOf is the policy that writes of a table keep merge state for.
func (e *Engine) policyOf(table model.ResourceID) model.Policy {
	r, err := e.service.ResolutionOf(table)
	if err != nil {
		return model.PolicyLastWriter // the table is gone
	}
	return r.Policy.Tracked()
}

// bringPolicies tells one tablet what the tables need that a link or an inbound
// link watches.
func (e *Engine) bringPolicies(ctx context.Context, r *model.Resource, t *model.Tablet) error {
	s, err := e.strongState(ctx, r.ID, t)
	if err != nil {
		return err
	}
	for _, w := range s.Tables {
		want := e.policyOf(w.Table)
		if w.Policy == want {
			continue
		}
		body := model.Watch{Reader: r.ID, Version: s.Version, Policy: want, PolicyOnly: true}
		if _, err := e.propose(ctx, &model.Command{Kind: model.CmdWatch, Resource: w.Table, Slot: model.Slot(t.Lo), Body: body.Append(nil)}); err != nil {
			return err
		}
	}
	return nil
}
