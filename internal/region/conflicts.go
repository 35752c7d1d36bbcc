package region

import (
	"context"
	"encoding/json"
	"fmt"
	"math"
	"strconv"
	"strings"

	"weir.dev/weir/internal/keys"
	"weir.dev/weir/internal/model"
)

// ConflictID names a conflict among those that the cluster keeps.
func ConflictID(t model.TabletID, number uint64) string {
	return t.String() + "/" + strconv.FormatUint(number, 10)
}

// parseConflictID reads what ConflictID wrote. Errors: ErrValidation.
func (e *Engine) parseConflictID(id string) (*model.Tablet, uint64, error) {
	tablet, number, _ := strings.Cut(id, "/")
	c := e.cluster.Catalog()
	n, err := strconv.ParseUint(number, 10, 64)
	for i := range c.Tablets {
		if t := &c.Tablets[i]; err == nil && n > 0 && t.Hi > t.Lo && t.ID.String() == tablet {
			return t, n, nil
		}
	}
	return nil, 0, model.Errorf(model.ErrValidation, "%.100q names no conflict: weir conflicts list shows their names, such as t3/17", id)
}

// conflictsAfter reads what one tablet keeps of conflicts behind a number.
func (e *Engine) conflictsAfter(ctx context.Context, t *model.Tablet, after uint64) (found model.ConflictsResult, err error) {
	q := model.ConflictsQuery{Tablet: t.ID, After: after, MaxBytes: shipBytes}
	res, err := e.read(ctx, &model.Query{Kind: model.QueryConflicts, Slot: model.Slot(t.Lo), Body: q.Append(nil)}, true)
	if err != nil {
		return found, err
	}
	return found, decode(res.Body, &found)
}

// KeptConflict is a conflict that a tablet keeps.
type KeptConflict struct {
	ID    string
	Table string // "(deleted)" when there is no such table any more
	Key   string // as keys.ItemString prints it
	model.Conflict
}

func (e *Engine) kept(t *model.Tablet, c *model.Conflict) *KeptConflict {
	k := &KeptConflict{ID: ConflictID(t.ID, c.Number), Table: "(deleted)", Key: keys.ItemString(c.Loser.Key), Conflict: *c}
	if r, ok := e.cluster.Catalog().ResourceByID(c.Resource); ok {
		k.Table = r.Name
	}
	return k
}

// EachConflict calls f for every conflict that is kept, tablet by tablet, and
// returns how many there ever were.
func (e *Engine) EachConflict(ctx context.Context, f func(c *KeptConflict) error) (counted uint64, err error) {
	catalog := e.cluster.Catalog()
	for i := range catalog.Tablets {
		t := &catalog.Tablets[i]
		if t.Hi <= t.Lo {
			continue
		}
		for after := uint64(0); ; {
			found, err := e.conflictsAfter(ctx, t, after)
			if err != nil {
				return counted, err
			}
			if len(found.Conflicts) == 0 {
				counted += found.Head.Counted
				break
			}
			for k := range found.Conflicts {
				if err := f(e.kept(t, &found.Conflicts[k])); err != nil {
					return counted, err
				}
				after = found.Conflicts[k].Number
			}
		}
	}
	return counted, nil
}

// ConflictsHere is how many conflicts the tablets that this node leads have ever
// counted.
func (e *Engine) ConflictsHere(ctx context.Context) (counted uint64, err error) {
	c := e.cluster.Catalog()
	for i := range c.Tablets {
		t := &c.Tablets[i]
		if t.Hi <= t.Lo || !e.cluster.Leads(model.Slot(t.Lo)) {
			continue
		}
		q := model.ConflictsQuery{Tablet: t.ID, After: math.MaxUint64 - 1} // the head alone
		res, err := e.read(ctx, &model.Query{Kind: model.QueryConflicts, Slot: model.Slot(t.Lo), Body: q.Append(nil)}, false)
		if err != nil {
			return counted, err
		}
		var found model.ConflictsResult
		if err := decode(res.Body, &found); err != nil {
			return counted, err
		}
		counted += found.Head.Counted
	}
	return counted, nil
}

// TellProblem is why a tablet that this node leads cannot tell its conflicts to
// the queue of their table; "" when none has that trouble.
func (e *Engine) TellProblem() string {
	c := e.cluster.Catalog()
	text := ""
	for i := range c.Tablets {
		text = e.problemOf(place{tablet: c.Tablets[i].ID}, text)
	}
	return text
}

// Conflict is one that is kept, by its id. Errors: ErrValidation, ErrNotFound.
func (e *Engine) Conflict(ctx context.Context, id string) (*KeptConflict, error) {
	t, n, err := e.parseConflictID(id)
	if err != nil {
		return nil, err
	}
	found, err := e.conflictsAfter(ctx, t, n-1)
	if err != nil {
		return nil, err
	}
	if len(found.Conflicts) == 0 || found.Conflicts[0].Number != n {
		return nil, model.Errorf(model.ErrNotFound, "the conflict %s is not kept: each tablet keeps its last %d for %d days", id, model.MaxConflicts, model.ConflictLife/(24*60*60*1e9))
	}
	return e.kept(t, &found.Conflicts[0]), nil
}

// Restore writes what lost in a conflict once more, as a write of now of the
// whole item: a delete deletes the item. What it replaces is lost for good.
// Errors: ErrValidation, ErrNotFound, ErrUnavailable where the table takes no
// writes.
func (e *Engine) Restore(ctx context.Context, id string) error {
	c, err := e.Conflict(ctx, id)
	if err != nil {
		return err
	}
	slot, err := e.service.CheckKey(c.Resource, c.Loser.Key)
	if err != nil {
		return err
	}
	cmd := &model.Command{Kind: model.CmdPutItem, Resource: c.Resource, Slot: slot}
	if c.Loser.Delete {
		cmd.Kind = model.CmdDeleteItem
		cmd.Body = (&model.DeleteItem{Key: c.Loser.Key}).Append(nil)
	} else {
		cmd.Body = (&model.PutItem{Key: c.Loser.Key, Size: c.Loser.Size, Item: c.Loser.Item}).Append(nil)
	}
	res, err := e.propose(ctx, cmd)
	switch {
	case err != nil:
		return err
	case res.Status == model.StatusPassive:
		return model.Errorf(model.ErrUnavailable, "the table %s takes no writes in this region: restore it in the one that does", c.Table)
	case res.Status == model.StatusTooLarge:
		return model.Errorf(model.ErrValidation, "what lost was merged of several regions' parts, and is larger than an item may be that is written at once")
	case res.Status == model.StatusGone:
		return model.Errorf(model.ErrNotFound, "the table was deleted")
	case res.Status != model.StatusOK:
		return model.Errorf(model.ErrInternal, "the write was refused with status %d", res.Status)
	}
	return nil
}

// RegionName is what a region is called in texts: its name, or else its id.
func (e *Engine) RegionName(id model.RegionID) string {
	c := e.cluster.Catalog()
	name := ""
	if id == 0 || id == c.Region() {
		id, name = c.Region(), c.Settings.RegionName
	}
	for r := range c.Resources.Of(model.KindLink) {
		if spec, err := decodeLink(r); err == nil && spec.Region == id && name == "" {
			name = spec.RegionName
		}
	}
	for r := range c.Resources.Of(model.KindInbound) {
		if spec, err := decodeInbound(r); err == nil && spec.Region == id && name == "" {
			name = spec.RegionName
		}
	}
	if name == "" {
		name = fmt.Sprintf("%016x", uint64(id))
	}
	return name
}

func decodeItem(encoded []byte) (model.Item, error) {
	d := model.NewDecoder(encoded)
	item := model.DecodeItem(d)
	return item, d.Done()
}

// Plain is a value as JSON without the names of its types; bytes and sets are
// shown as texts and lists.
func Plain(v model.Value) any {
	switch v.Kind {
	case model.KindM:
		m := map[string]any{}
		for _, a := range v.Map {
			m[a.Name] = Plain(a.Value)
		}
		return m
	case model.KindL, model.KindSS, model.KindNS, model.KindBS:
		list := []any{}
		for _, e := range v.List {
			list = append(list, Plain(e))
		}
		return list
	case model.KindN:
		return json.Number(v.Str)
	case model.KindBool:
		return v.Bool
	case model.KindNull:
		return nil
	case model.KindS:
		return v.Str
	default:
		return []byte(v.Str)
	}
}
