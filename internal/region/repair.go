package region

import (
	"context"

	"weir.dev/weir/internal/model"
)

// mend makes both sides of a difference equal, and reports whether they are.
// Where both regions ship, the higher version stays; where only this one does,
// what is here. What stays here is written once more, as a write of now, and
// then goes the way of all writes: the other side takes it for a conflict and
// keeps what it replaces, so that a repair can be looked up and undone.
func (v *verifying) mend(ctx context.Context, table *model.Resource, p *pair, back bool) (bool, error) {
	if v.filter.condition != nil && (p.here == nil || p.here.Delete) {
		// The delete of what does not pass the condition here would not be shipped.
		return false, nil
	}
	taken := false
	if back && versionOf(p.there).Compare(versionOf(p.here)) > 0 {
		var err error
		if taken, err = v.takeTheirs(ctx, table, p.there); err != nil {
			return false, err
		}
	}
	if !taken { // also when this side knows of theirs and holds something else
		if err := v.rewrite(ctx, table, p); err != nil {
			return false, err
		}
	}
	if _, err := v.drain(ctx); err != nil {
		return false, err
	}
	now, err := v.look(ctx, table, [][]byte{p.key})
	if err != nil {
		return false, err
	}
	differs, err := v.differ(&now[0])
	return !differs, err
}

// rewrite writes what is here again. If it has changed meanwhile, that change is
// on its way and does the same.
func (v *verifying) rewrite(ctx context.Context, table *model.Resource, p *pair) error {
	e := v.engine
	slot, err := e.service.CheckKey(table.ID, p.key)
	if err != nil {
		return err
	}
	theirs := versionOf(p.there)
	if theirs.Stamp.Time().Sub(e.clock.Now()) > maxClockLead {
		return model.Errorf(model.ErrUnavailable, "a clock of the region %s is ahead: set the clocks of all nodes", v.spec.RegionName)
	}
	body := model.Rewrite{Self: e.cluster.Catalog().Region(), Key: p.key, If: versionOf(p.here)}
	_, err = e.propose(ctx, &model.Command{Kind: model.CmdRewrite, Resource: table.ID, Slot: slot, Stamp: p.newest() + 1, Body: body.Append(nil)})
	return err
}

// takeTheirs takes in what the other region has, as if it had shipped it, and
// reports whether that changed anything.
func (v *verifying) takeTheirs(ctx context.Context, table *model.Resource, c *model.Change) (bool, error) {
	e := v.engine
	from := model.InboundSpec{Region: v.spec.Region, RegionName: v.spec.RegionName}
	res, err := e.resolutionOf(table.ID)
	if err != nil {
		return false, err
	}
	changes := tableChanges{Name: table.Name, Policy: res.agreed, Changes: []model.Change{*c}}
	var did model.ApplyChangesResult
	err = e.takeInTable(ctx, &from, &changes, e.clock.Now(), &did)
	return did.Applied > 0, err
}
