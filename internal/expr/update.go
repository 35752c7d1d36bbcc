package expr

import (
	"slices"

	"weir.dev/weir/internal/model"
)

// Update is a compiled UpdateExpression.
type Update struct {
	actions []action // as written
}

// action is one change of an update.
type action struct {
	verb  verb
	path  Path
	value node // none for REMOVE; an opValue for ADD and DELETE
}

// verb is what an action does. The numbers are part of the stored format.
type verb uint8

const (
	verbSet    verb = 1
	verbRemove verb = 2
	verbAdd    verb = 3
	verbDelete verb = 4
)

var verbNames = [...]string{verbSet: "SET", verbRemove: "REMOVE", verbAdd: "ADD", verbDelete: "DELETE"}

// takes reports whether the action can work with the operand v, which SET does
// not look at.
func (a *action) takes(v *model.Value) bool {
	switch a.verb {
	case verbAdd:
		return v.Kind == model.KindN || v.Kind.IsSet()
	case verbDelete:
		return v.Kind.IsSet()
	default:
		return true
	}
}

// CheckKeys refuses an update that changes one of the key attributes or reads
// inside one. The error is ErrValidation.
func (u *Update) CheckKeys(keys ...string) error {
	for i := range u.actions {
		a := &u.actions[i]
		if name := a.path[0].Name; slices.Contains(keys, name) {
			return validationf("One or more parameter values were invalid: Cannot update attribute %s. This attribute is part of the key", name)
		}
		if err := a.value.eachPath(func(p Path) error { return checkScalar(p, keys) }); err != nil {
			return err
		}
	}
	return nil
}

// OnlyRemoves reports whether the update only takes away: an item that does
// not exist is then not created.
func (u *Update) OnlyRemoves() bool {
	return !slices.ContainsFunc(u.actions, func(a action) bool { return a.verb == verbSet || a.verb == verbAdd })
}

// UpdatedOld is the part of the item before the update that the update names,
// which ReturnValues=UPDATED_OLD returns.
func (u *Update) UpdatedOld(old model.Item) model.Item {
	return u.targets(true).Apply(old)
}

// UpdatedNew is the part of the item after the update that the update set,
// which ReturnValues=UPDATED_NEW returns.
func (u *Update) UpdatedNew(updated model.Item) model.Item {
	return u.targets(false).Apply(updated)
}

func (u *Update) targets(removed bool) *Projection {
	paths := make([]Path, 0, len(u.actions))
	for i := range u.actions {
		if removed || u.actions[i].verb != verbRemove {
			paths = append(paths, u.actions[i].path)
		}
	}
	return newProjection(paths)
}
