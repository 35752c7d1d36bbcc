package expr

import (
	"slices"

	"weir.dev/weir/internal/model"
)

// AWS's words for faults that only the item shows.
const (
	msgOperandType = "An operand in the update expression has an incorrect data type"
	msgMissing     = "The provided expression refers to an attribute that does not exist in the item"
	msgTarget      = "The document path provided in the update expression is invalid for update"
	msgTooDeep     = "One or more parameter values were invalid: Nesting Levels have exceeded supported limits: Attributes in the item have nested levels beyond supported limit"
)

// write is what an action comes down to for one item.
type write struct {
	path  Path
	value *model.Value // nil: remove what is there
}

// Apply returns the item as the update changes it. All values are worked out
// from the item as it is given, which does not change; the new item shares
// what did not change. For an item that does not exist, pass its key alone.
// The key attributes, when named, must not be touched. Errors are
// ErrValidation; the limit of an item's size is for the caller to check.
func (u *Update) Apply(item model.Item, keys ...string) (model.Item, error) {
	if err := u.CheckKeys(keys...); err != nil {
		return nil, err
	}
	var buf [4]write
	writes, err := u.writes(buf[:0], item)
	if err != nil {
		return nil, err
	}
	slices.SortStableFunc(writes, func(a, b write) int { return comparePaths(a.path, b.path) })
	return applyToMap(item, writes, 0), nil
}

// writes works out what the actions write. DynamoDB reports faults in this
// order: a target inside something of the wrong kind, an operand of the wrong
// kind, then section by section from the last one a target that is not there
// and an operand that is not there.
func (u *Update) writes(dst []write, item model.Item) ([]write, error) {
	for i := range u.actions {
		if u.actions[i].target(item) == targetWrong {
			return nil, validationf(msgTarget)
		}
	}
	missing := make([]bool, len(u.actions))
	for i := range u.actions {
		a := &u.actions[i]
		v, err := a.result(item)
		if err != nil {
			return nil, err
		}
		missing[i] = v == nil && a.verb == verbSet
		if v != nil && len(a.path)-1+v.Depth() > model.MaxNesting {
			return nil, validationf(msgTooDeep)
		}
		dst = append(dst, write{path: a.path, value: v})
	}
	for end := len(u.actions); end > 0; {
		begin := end - 1
		for begin > 0 && u.actions[begin-1].verb == u.actions[end-1].verb {
			begin--
		}
		for i := begin; i < end; i++ {
			if u.actions[i].target(item) == targetMissing {
				return nil, validationf(msgTarget)
			}
		}
		if slices.Contains(missing[begin:end], true) {
			return nil, validationf(msgMissing)
		}
		end = begin
	}
	return dst, nil
}

// target says what is where an action wants to write.
type target uint8

const (
	targetFine    target = iota
	targetMissing        // there is nothing that could hold the last step
	targetWrong          // what is there cannot hold the last step
)

func (a *action) target(item model.Item) target {
	last := len(a.path) - 1
	if last == 0 {
		return targetFine
	}
	holder := a.path[:last].find(item)
	switch {
	case holder == nil:
		return targetMissing
	case a.path[last].isIndex() && holder.Kind == model.KindL, !a.path[last].isIndex() && holder.Kind == model.KindM:
		return targetFine
	default:
		return targetWrong
	}
}

// result is the value that the action leaves at its path; nil when it leaves
// none or, for SET, when an operand is missing.
func (a *action) result(item model.Item) (*model.Value, error) {
	if a.verb == verbRemove {
		return nil, nil
	}
	if a.verb == verbSet {
		return a.value.compute(item)
	}
	operand, old := a.value.value, a.path.find(item)
	switch {
	case old == nil && a.verb == verbAdd:
		return operand, nil
	case old == nil:
		return nil, nil
	case old.Kind != operand.Kind:
		return nil, validationf(msgOperandType)
	case a.verb == verbDelete:
		if rest := old.Minus(*operand); len(rest.List) > 0 {
			return &rest, nil
		}
		return nil, nil
	case operand.Kind == model.KindN:
		return number(model.AddNumbers(old.Str, operand.Str))
	default:
		union := old.Union(*operand)
		return &union, nil
	}
}

func number(text string, err error) (*model.Value, error) {
	if err != nil {
		return nil, err
	}
	return &model.Value{Kind: model.KindN, Str: text}, nil
}

// compute is the value of an operand of SET; nil when an attribute that it
// needs is missing.
func (n *node) compute(item model.Item) (*model.Value, error) {
	switch n.op {
	case opPath:
		return n.path.find(item), nil
	case opValue:
		return n.value, nil
	case opIfNotExists:
		if v := n.kids[0].path.find(item); v != nil {
			return v, nil
		}
		return n.kids[1].compute(item)
	case opListAppend:
		left, right, err := n.computeBoth(item, model.KindL)
		if err != nil || left == nil || right == nil {
			return nil, err
		}
		return &model.Value{Kind: model.KindL, List: slices.Concat(left.List, right.List)}, nil
	case opPlus, opMinus:
		left, right, err := n.computeBoth(item, model.KindN)
		if err != nil || left == nil || right == nil {
			return nil, err
		}
		if n.op == opMinus {
			return number(model.SubNumbers(left.Str, right.Str))
		}
		return number(model.AddNumbers(left.Str, right.Str))
	default:
		return nil, nil
	}
}

// computeBoth computes two operands that must be of the kind, if they are
// there.
func (n *node) computeBoth(item model.Item, kind model.Kind) (left, right *model.Value, err error) {
	if left, err = n.kids[0].compute(item); err != nil {
		return nil, nil, err
	}
	if right, err = n.kids[1].compute(item); err != nil {
		return nil, nil, err
	}
	if left != nil && left.Kind != kind || right != nil && right.Kind != kind {
		return nil, nil, validationf(msgOperandType)
	}
	return left, right, nil
}

// sameStep is the number of writes at the beginning of writes that share the
// step at depth.
func sameStep(writes []write, depth int) int {
	n := 1
	for n < len(writes) && writes[n].path[depth] == writes[0].path[depth] {
		n++
	}
	return n
}

// applyToMap returns the map with the writes, which are sorted by path and
// agree on the steps before depth. It reads the map and the writes in step.
func applyToMap(m model.Item, writes []write, depth int) model.Item {
	next := make(model.Item, 0, len(m)+len(writes))
	for len(writes) > 0 {
		group := writes[:sameStep(writes, depth)]
		writes = writes[len(group):]
		name := group[0].path[depth].Name
		for len(m) > 0 && m[0].Name < name {
			next, m = append(next, m[0]), m[1:]
		}
		var old *model.Value
		if len(m) > 0 && m[0].Name == name {
			old, m = &m[0].Value, m[1:]
		}
		if v := applyToValue(old, group, depth+1); v != nil {
			next = append(next, model.Attr{Name: name, Value: *v})
		}
	}
	return append(next, m...)
}

// applyToValue returns what the writes make of old; nil when they remove it.
func applyToValue(old *model.Value, group []write, depth int) *model.Value {
	switch {
	case len(group[0].path) == depth:
		return group[0].value
	case old.Kind == model.KindM:
		return &model.Value{Kind: model.KindM, Map: applyToMap(old.Map, group, depth)}
	default:
		return &model.Value{Kind: model.KindL, List: applyToList(old.List, group, depth)}
	}
}

// applyToList is applyToMap for lists. Indexes are those of the list before
// the update; what is set beyond its end is appended in the order of the
// indexes.
func applyToList(list []model.Value, writes []write, depth int) []model.Value {
	next := make([]model.Value, 0, len(list)+len(writes))
	at := 0
	for len(writes) > 0 {
		group := writes[:sameStep(writes, depth)]
		writes = writes[len(group):]
		var old *model.Value
		if index := group[0].path[depth].Index; index < len(list) {
			next = append(next, list[at:index]...)
			at, old = index+1, &list[index]
		} else {
			next = append(next, list[at:]...)
			at = len(list)
		}
		if v := applyToValue(old, group, depth+1); v != nil {
			next = append(next, *v)
		}
	}
	return append(next, list[at:]...)
}
