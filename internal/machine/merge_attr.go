package machine

import (
	"cmp"
	"slices"

	"weir.dev/weir/internal/base"
	"weir.dev/weir/internal/model"
)

// attr is all that is known of one attribute: its mark, with Had and Value
// always set. The attributes of all regions are a semilattice, and what the
// item shows is a function of them: so it does not matter in which order
// writes arrive, by which way, and how often (docs/adr/0009-regions.md).
type attr = model.Mark

// merged is an item under a merge policy, taken apart. Zero is an item that
// nobody ever wrote.
type merged struct {
	item  model.Item
	state model.MergeState
}

// takeApart reads what a record holds; the state of one that no merge policy
// left is that of a write of the whole item.
func takeApart(found bool, version model.Version, item model.Item, merge []byte) (m merged, err error) {
	if found {
		m.item = item
	}
	m.state.Base = version
	if len(merge) == 0 {
		return m, nil
	}
	state, err := bodyOf[model.MergeState](merge)
	if err == nil && len(state.Rivals) == 0 { // rivals are of another policy: the item as a whole is what is known
		m.state = state
	}
	return m, err
}

// attr is what is known of the attribute of that name.
func (m *merged) attr(name string) attr {
	at, marked := m.mark(name)
	if marked && !m.state.Marks[at].Plain() {
		return m.state.Marks[at]
	}
	a := attr{Name: name, Version: m.state.Base}
	if marked {
		a.Version = m.state.Marks[at].Version
	}
	a.Value, a.Had = m.item.Get(name)
	return a
}

func (m *merged) mark(name string) (int, bool) {
	return slices.BinarySearchFunc(m.state.Marks, name, func(k model.Mark, name string) int { return cmp.Compare(k.Name, name) })
}

// set replaces what is known of an attribute, in the state only.
func (m *merged) set(a *attr) {
	kept := *a
	if a.Plain() {
		kept = attr{Name: a.Name, Version: a.Version}
	}
	at, marked := m.mark(a.Name)
	switch plainAtBase := a.Plain() && a.Version == m.state.Base; {
	case marked && plainAtBase:
		m.state.Marks = slices.Delete(m.state.Marks, at, at+1)
	case marked:
		m.state.Marks[at] = kept
	case !plainAtBase:
		m.state.Marks = slices.Insert(m.state.Marks, at, kept)
	}
}

// encode is the state as it is stored beside a record of that version; nothing
// for a write of the whole item.
func (m *merged) encode(version model.Version) []byte {
	s := &m.state
	if !s.Joined && s.Base == version && len(s.Marks) == 0 {
		return nil
	}
	return s.Append(nil)
}

// joinAttr is what two regions know of an attribute, together.
func joinAttr(a, b *attr) attr {
	if a.Version.Compare(b.Version) < 0 {
		a, b = b, a
	}
	next := attr{Name: a.Name, Version: a.Version, Had: a.Had, Value: a.Value}
	next.Added = joinAdded(a.Added, b.Added)
	if base.Bug("mergelarger") && len(next.Added) > 1 {
		larger := slices.MaxFunc(next.Added, func(a, b model.Added) int { return model.CompareNumbers(a.Total, b.Total) })
		next.Added = []model.Added{larger}
	}
	next.Counted = joinAdded(a.Counted, b.Counted)
	if len(a.Members)+len(b.Members) > 0 {
		next.Members = joinMembers(a, b)
	}
	return next
}

func isSet(a *attr) bool { return a.Had && a.Value.Kind.IsSet() }

// joinAdded is the later of what each region says that it has added.
func joinAdded(a, b []model.Added) []model.Added {
	next := slices.Clone(a)
	for _, other := range b {
		next = putAdded(next, other)
	}
	return next
}

// putAdded files what a region has added, unless something later is there. It
// may change list.
func putAdded(list []model.Added, one model.Added) []model.Added {
	at, known := findAdded(list, one.Region)
	if !known {
		return slices.Insert(list, at, one)
	}
	if list[at].Last < one.Last {
		list[at] = one
	}
	return list
}

func findAdded(list []model.Added, region model.RegionID) (int, bool) {
	return slices.BinarySearchFunc(list, region, func(a model.Added, r model.RegionID) int { return cmp.Compare(a.Region, r) })
}

// joinMembers keeps the later word about each member, of those that are later
// than a's version, which is not before b's.
func joinMembers(a, b *attr) []model.Member {
	var next []model.Member
	add := func(e model.Member) {
		if e.Version.Compare(a.Version) <= 0 || e.Gone && base.Bug("mergegone") {
			return // the write that replaced the attribute is later
		}
		at, known := slices.BinarySearchFunc(next, e, model.Member.Compare)
		switch {
		case !known:
			next = slices.Insert(next, at, e)
		case next[at].Version.Compare(e.Version) < 0:
			next[at] = e
		}
	}
	for _, e := range a.Members {
		add(e)
	}
	for _, e := range b.Members {
		add(e)
	}
	return next
}

// shows is what the item shows of an attribute.
func shows(a *attr) (v model.Value, there bool) {
	switch {
	case len(a.Members) > 0:
		return showsMembers(a)
	case len(a.Added) > 0 && (!a.Had || a.Value.Kind == model.KindN):
		return showsSum(a)
	default:
		return a.Value, a.Had
	}
}

// showsSum is what the last SET left and all that was added since. An attribute
// that was removed is there again when somebody adds who had not heard of that.
func showsSum(a *attr) (model.Value, bool) {
	there, parts := a.Had, make([]string, 0, 2*len(a.Added)+1)
	if a.Had {
		parts = append(parts, a.Value.Str)
	}
	for _, one := range a.Added {
		parts = append(parts, one.Total)
		if at, known := findAdded(a.Counted, one.Region); known && a.Counted[at].First == one.First {
			there = there || a.Counted[at].Last < one.Last
			negative, err := model.SubNumbers("0", a.Counted[at].Total)
			if err != nil {
				return a.Value, a.Had
			}
			parts = append(parts, negative)
		} else {
			there = true
		}
	}
	if !there {
		return model.Value{}, false
	}
	sum, err := model.SumNumbers(parts)
	if err != nil { // more digits than a number can have: what was set stays
		return a.Value, a.Had
	}
	return model.Value{Kind: model.KindN, Str: sum}, true
}

// uncounted reports whether somebody added to the attribute who had not heard
// that it was removed or replaced.
func uncounted(a *attr) bool {
	return slices.ContainsFunc(a.Added, func(one model.Added) bool {
		at, known := findAdded(a.Counted, one.Region)
		return !known || a.Counted[at].First != one.First || a.Counted[at].Last < one.Last
	})
}

// showsMembers is the set of the members that are there. Of members of several
// kinds those of the kind that was added last are shown.
func showsMembers(a *attr) (model.Value, bool) {
	var last model.Version
	kind := model.Kind(0)
	if isSet(a) {
		kind, last = a.Value.Kind.Member(), a.Version
	}
	for _, e := range a.Members {
		if !e.Gone && e.Version.Compare(last) > 0 {
			kind, last = e.Kind, e.Version
		}
	}
	var all []model.Value
	if isSet(a) && a.Value.Kind.Member() == kind {
		for _, v := range a.Value.List {
			if _, spoken := findMember(a.Members, v); !spoken {
				all = append(all, v)
			}
		}
	}
	for _, e := range a.Members {
		if !e.Gone && e.Kind == kind {
			all = append(all, model.Value{Kind: e.Kind, Str: e.Text})
		}
	}
	if len(all) == 0 {
		return model.Value{}, false
	}
	set, _ := model.NewSet(setOf(kind), all)
	return set, true
}

func findMember(list []model.Member, v model.Value) (int, bool) {
	return slices.BinarySearchFunc(list, model.Member{Kind: v.Kind, Text: v.Str}, model.Member.Compare)
}

// setOf is the kind of the sets whose members are of a kind.
func setOf(member model.Kind) model.Kind {
	switch member {
	case model.KindN:
		return model.KindNS
	case model.KindB:
		return model.KindBS
	default:
		return model.KindSS
	}
}
