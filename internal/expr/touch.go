package expr

import "weir.dev/weir/internal/model"

// Touch is what an update does to one attribute of the item, for those who
// merge what several regions did to it.
type Touch struct {
	Name string
	// At most one of these is set; none says that the attribute is replaced,
	// removed, or changed somewhere inside.
	Plus  string       // a canonical number that is added
	Join  *model.Value // members that a set gets
	Leave *model.Value // members that a set loses
}

// Touches lists what the update does to the item's attributes, given the item
// as it was, by attribute in the order of the update, each once. An addition to
// a number is one whether it is written as ADD or as SET of the attribute plus
// or minus a number.
func (u *Update) Touches(old model.Item) []Touch {
	list := make([]Touch, 0, len(u.actions))
	for i := range u.actions {
		t := u.actions[i].touch(old)
		known := false
		for k := range list {
			if list[k].Name == t.Name {
				list[k], known = Touch{Name: t.Name}, true // several actions inside of one
			}
		}
		if !known {
			list = append(list, t)
		}
	}
	return list
}

func (a *action) touch(old model.Item) Touch {
	t := Touch{Name: a.path[0].Name}
	if len(a.path) > 1 {
		return t
	}
	switch v := a.value.value; {
	case a.verb == verbAdd && v.Kind == model.KindN:
		t.Plus = v.Str
	case a.verb == verbAdd:
		t.Join = v
	case a.verb == verbDelete:
		t.Leave = v
	case a.verb == verbSet:
		t.Plus = a.value.addition(a.path, old)
	}
	return t
}

// addition is the number that an operand of SET adds to what is at the path;
// empty when it does something else.
func (n *node) addition(to Path, old model.Item) string {
	if n.op != opPlus && n.op != opMinus {
		return ""
	}
	left, right := &n.kids[0], &n.kids[1]
	if n.op == opPlus && left.op == opValue {
		left, right = right, left
	}
	if right.op != opValue || right.value.Kind != model.KindN || !left.standsFor(to, old) {
		return ""
	}
	if n.op == opPlus {
		return right.value.Str
	}
	negative, err := model.SubNumbers("0", right.value.Str)
	if err != nil {
		return ""
	}
	return negative
}

// standsFor reports whether an operand is what is at the path, where nothing
// counts as zero.
func (n *node) standsFor(to Path, old model.Item) bool {
	if n.op == opPath {
		return n.path.equal(to)
	}
	if n.op != opIfNotExists || !n.kids[0].path.equal(to) {
		return false
	}
	start := &n.kids[1]
	return to.find(old) != nil || start.op == opValue && start.value.Kind == model.KindN && start.value.Str == "0"
}
