package machine

import (
	"slices"

	"weir.dev/weir/internal/expr"
	"weir.dev/weir/internal/keys"
	"weir.dev/weir/internal/model"
)

// maxForgotten bounds what an item remembers of attributes and members that are
// no longer there. An update that leaves more counts as a write of the whole
// item, which needs to remember none.
const maxForgotten = 1000

// remember is the merge state of what a write here leaves: up is nil for a
// write of the whole item, and next is nil for a delete.
func remember(tx *Tx, old *storedItem, next model.Item, up *expr.Update, partly bool) ([]byte, error) {
	before, err := old.decode()
	if err != nil {
		return nil, err
	}
	m, err := takeApart(old.found, old.Version(), before, old.Merge)
	if err != nil {
		return nil, err
	}
	now := model.Version{Stamp: tx.Command.Stamp}
	m.state.Joined, m.state.Deleted = false, false
	switch {
	case !partly || tx.wanted.policy == model.PolicyLastWriter:
		m.replace(tx.wanted.policy, now, next)
	case up == nil:
		m.item = next
	default:
		m.update(tx.wanted.policy, now, next, up.Touches(before))
	}
	return m.encode(now), nil
}

// replace is a write of the whole item, or its delete.
func (m *merged) replace(policy model.Policy, now model.Version, next model.Item) {
	was := *m
	m.item, m.state = next, model.MergeState{Base: now}
	for i := range was.state.Marks {
		if k := &was.state.Marks[i]; len(k.Added) > 0 {
			a := replaced(k, now, next)
			m.set(&a)
		}
	}
	if policy != model.PolicyUnion {
		return
	}
	for i := range next {
		if next[i].Value.Kind.IsSet() {
			a := was.attr(next[i].Name)
			a = spoken(&a, now, next[i].Value)
			m.set(&a)
		}
	}
}

// replaced is an attribute after a write that knew of everything there was to
// it: what was added up to here counts no longer.
func replaced(old *attr, now model.Version, next model.Item) attr {
	a := attr{Name: old.Name, Version: now, Added: old.Added, Counted: old.Added}
	a.Value, a.Had = next.Get(old.Name)
	return a
}

// spoken is an attribute after a set was written in its place: a word about
// each member that came or went, and none about the others.
func spoken(old *attr, now model.Version, set model.Value) attr {
	before, there := shows(old)
	if there && before.Kind != set.Kind || len(old.Added) > 0 {
		return attr{Name: old.Name, Version: now, Had: true, Value: set}
	}
	a := *old
	if there {
		a = say(a, now, before.Minus(set), true)
		set = set.Minus(before)
	}
	return say(a, now, set, false)
}

// say notes a word about each member of a set: that it is there, or gone.
func say(a attr, now model.Version, set model.Value, gone bool) attr {
	a.Members = slices.Clone(a.Members)
	for _, v := range set.List {
		e := model.Member{Kind: set.Kind.Member(), Text: v.Str, Version: now, Gone: gone}
		if at, known := slices.BinarySearchFunc(a.Members, e, model.Member.Compare); known {
			a.Members[at] = e
		} else {
			a.Members = slices.Insert(a.Members, at, e)
		}
	}
	return a
}

// update is a write of some attributes; next is the item after it.
func (m *merged) update(policy model.Policy, now model.Version, next model.Item, touches []expr.Touch) {
	forgotten := m.forgotten()
	for i := range touches {
		t := &touches[i]
		old := m.attr(t.Name)
		a, ok := touched(policy, &old, now, next, t, forgotten < maxForgotten)
		if v, there := shows(&a); !ok || there != (next.Find(t.Name) != nil) || there && !v.Equal(*next.Find(t.Name)) {
			a = replaced(&old, now, next)
		}
		m.set(&a)
	}
	if m.item = next; m.forgotten() > maxForgotten {
		m.replace(model.PolicyCounter, now, next)
	}
}

// touched is an attribute after an update that the policy knows more of than
// that it replaces the attribute; else it is not ok.
func touched(policy model.Policy, old *attr, now model.Version, next model.Item, t *expr.Touch, room bool) (a attr, ok bool) {
	value, there := next.Get(t.Name)
	switch {
	case policy == model.PolicyCounter && t.Plus != "":
		return added(old, now.Stamp, t.Plus, room)
	case policy != model.PolicyUnion || len(old.Added) > 0:
		return attr{}, false
	case t.Join != nil:
		return say(*old, now, *t.Join, false), true
	case t.Leave != nil:
		return say(*old, now, *t.Leave, true), true
	case there && value.Kind.IsSet():
		return spoken(old, now, value), true
	default:
		return attr{}, false
	}
}

// added is an attribute after this region, which is zero to itself, has added
// to it.
func added(old *attr, now model.Stamp, n string, room bool) (a attr, ok bool) {
	one := model.Added{First: now, Last: now, Total: n}
	if at, known := findAdded(old.Added, 0); known {
		total, err := model.AddNumbers(old.Added[at].Total, n)
		if err != nil {
			return a, false
		}
		one.First, one.Total = old.Added[at].First, total
	} else if !room && !old.Had && len(old.Added) == 0 {
		return a, false
	}
	a = *old
	a.Added = putAdded(slices.Clone(old.Added), one)
	return a, true
}

// forgotten counts what is remembered of what is not there.
func (m *merged) forgotten() (n int) {
	for i := range m.state.Marks {
		k := &m.state.Marks[i]
		if m.item.Find(k.Name) == nil {
			n++
		}
		for _, e := range k.Members {
			if e.Gone {
				n++
			}
		}
	}
	return n
}

// rememberWrite sets a record's merge state, where the table has a policy that
// needs one, or the item has one: other regions may have set the policy first,
// and what they added must not count again. It reads nothing else.
func rememberWrite(tx *Tx, record *keys.ItemRecord, old *storedItem, how *written) (err error) {
	if !tx.wanted.keep || tx.wanted.policy == model.PolicyLastWriter && len(old.Merge) == 0 {
		return nil
	}
	next := how.next
	if next == nil && !record.Tombstone {
		if next, err = decodeItem(record.Item); err != nil {
			return err
		}
	}
	record.Merge, err = remember(tx, old, next, how.update, how.partly)
	return err
}

// written says how an item was written.
type written struct {
	partly bool         // by update, which is nil when it was empty; else as a whole
	update *expr.Update // of the attributes
	next   model.Item   // decoded, if somebody has done that
}

// wholly is how a put or a delete writes.
var wholly written
