package machine

import (
	"slices"

	"weir.dev/weir/internal/base"
	"weir.dev/weir/internal/keys"
	"weir.dev/weir/internal/model"
)

// covers reports whether a's writer knew of everything that b's knew of. What a
// record holds under a merge policy is decided by the writes that it knows of.
func covers(a, b *keys.ItemRecord) bool {
	return a.Knows(b.Version()) && !slices.ContainsFunc(b.History, func(v model.Version) bool { return !a.Knows(v) })
}

// renameRecord calls one region by another name wherever the record names it.
func renameRecord(r *keys.ItemRecord, from, to model.RegionID) {
	c := changeOf(nil, r)
	c.Rename(from, to)
	r.Stamp, r.Region, r.History, r.Merge = c.Version.Stamp, c.Version.Region, c.History, c.Merge
}

// join is what two records of one key are together, neither of which covers the
// other. Both call regions by the names that regions have among each other, or
// equal versions could not be told in the same way everywhere.
func join(cmd *model.ApplyChanges, a, b *keys.ItemRecord) (next keys.ItemRecord, err error) {
	if cmd.Policy == model.PolicyRegions {
		next, err = joinRivals(cmd, a, b)
	} else {
		next, err = joinAttrs(cmd, a, b)
	}
	next.History = union(union(nil, a), b).Without(next.Region)
	return next, err
}

// joinAttrs joins attribute by attribute.
func joinAttrs(cmd *model.ApplyChanges, a, b *keys.ItemRecord) (next keys.ItemRecord, err error) {
	if a.Version().Compare(b.Version()) < 0 {
		a, b = b, a
	}
	x, err := recordApart(a)
	if err != nil {
		return next, err
	}
	y, err := recordApart(b)
	if err != nil {
		return next, err
	}
	out := merged{state: model.MergeState{Joined: true, Base: x.state.Base}}
	if y.state.Base.Compare(x.state.Base) > 0 {
		out.state.Base = y.state.Base
	}
	deleted := a.Tombstone || x.state.Deleted
	live := !deleted
	for _, name := range attrNames(&x, &y, cmd.Keys) {
		p, q := x.attr(name), y.attr(name)
		if base.Bug("mergewhole") {
			q = p
		}
		one := joinAttr(&p, &q)
		live = live || uncounted(&one)
		if v, there := shows(&one); there {
			out.item = append(out.item, model.Attr{Name: name, Value: v})
		}
		out.set(&one)
	}
	next = keys.ItemRecord{Stamp: a.Stamp, Region: a.Region, Tombstone: !live}
	if live {
		out.state.Deleted = deleted
		for _, name := range cmd.Keys {
			v, there := x.item.Get(name)
			if !there {
				v, there = y.item.Get(name)
			}
			if there {
				out.item = append(out.item, model.Attr{Name: name, Value: v})
			}
		}
		out.item, _ = model.NewItem(out.item)
		next.Size = uint64(out.item.Size())
		next.Item = model.AppendItem(nil, out.item)
	}
	next.Merge = out.encode(next.Version())
	return next, nil
}

func recordApart(r *keys.ItemRecord) (merged, error) {
	var item model.Item
	if !r.Tombstone {
		var err error
		if item, err = decodeItem(r.Item); err != nil {
			return merged{}, err
		}
	}
	return takeApart(!r.Tombstone, r.Version(), item, r.Merge)
}

// attrNames are all attributes that one of them knows, but for the key's,
// ascending.
func attrNames(x, y *merged, except []string) (names []string) {
	for _, m := range []*merged{x, y} {
		for i := range m.item {
			names = append(names, m.item[i].Name)
		}
		for i := range m.state.Marks {
			names = append(names, m.state.Marks[i].Name)
		}
	}
	slices.Sort(names)
	names = slices.Compact(names)
	return slices.DeleteFunc(names, func(n string) bool { return slices.Contains(except, n) })
}

// joinRivals keeps all writes of which no other one knew, and shows the one of
// the region that is named first, of one region's or of regions that are not
// named the one with the highest version; see bestRival for deletes.
func joinRivals(cmd *model.ApplyChanges, a, b *keys.ItemRecord) (next keys.ItemRecord, err error) {
	x, err := rivalsOf(a)
	if err != nil {
		return next, err
	}
	y, err := rivalsOf(b)
	if err != nil {
		return next, err
	}
	var all []model.Rival
	keep := func(own, others []model.Rival, other *keys.ItemRecord) {
		for _, r := range own {
			has := func(list []model.Rival) bool {
				return slices.ContainsFunc(list, func(o model.Rival) bool { return o.Version == r.Version })
			}
			if !has(all) && (has(others) || !other.Knows(r.Version)) {
				all = append(all, r)
			}
		}
	}
	keep(x, y, b)
	keep(y, x, a)
	best := bestRival(cmd, all)
	w := all[best]
	next = keys.ItemRecord{Stamp: w.Version.Stamp, Region: w.Version.Region, Tombstone: w.Delete, Size: w.Size, Item: w.Item}
	all = slices.Delete(all, best, best+1)
	slices.SortFunc(all, func(a, b model.Rival) int { return a.Version.Compare(b.Version) })
	next.Merge = (&model.MergeState{Joined: true, Rivals: all}).Append(nil)
	return next, nil
}

// bestRival chooses the write that is shown. A delete gives way to every later
// write: a region that has forgotten the delete cannot say that it knew of it.
func bestRival(cmd *model.ApplyChanges, all []model.Rival) int {
	var lastPut model.Version
	for i := range all {
		if v := all[i].Version; !all[i].Delete && v.Compare(lastPut) > 0 {
			lastPut = v
		}
	}
	best := -1
	for i := range all {
		if all[i].Delete && all[i].Version.Compare(lastPut) < 0 {
			continue
		}
		if best < 0 || wins(cmd, all[i].Version, all[best].Version) {
			best = i
		}
	}
	return best
}

// rivalsOf are the writes that a record keeps.
func rivalsOf(r *keys.ItemRecord) ([]model.Rival, error) {
	all := []model.Rival{{Version: r.Version(), Delete: r.Tombstone, Size: r.Size, Item: r.Item}}
	if len(r.Merge) == 0 {
		return all, nil
	}
	state, err := bodyOf[model.MergeState](r.Merge)
	return append(all, state.Rivals...), err
}

// wins reports whether the write a is shown rather than b.
func wins(cmd *model.ApplyChanges, a, b model.Version) bool {
	if x, y := rankOf(cmd, a.Region), rankOf(cmd, b.Region); x != y {
		return x < y
	}
	return a.Compare(b) > 0
}

func rankOf(cmd *model.ApplyChanges, region model.RegionID) int {
	if at := slices.Index(cmd.Rank, region); cmd.Policy == model.PolicyRegions && at >= 0 {
		return at
	}
	return len(cmd.Rank)
}

// keepsRivals reports whether a record keeps writes that lost to its own. A
// tombstone that does is not forgotten, or they might win over the next write,
// which would not know of them any more.
func keepsRivals(merge []byte) (bool, error) {
	if len(merge) == 0 {
		return false, nil
	}
	state, err := bodyOf[model.MergeState](merge)
	return len(state.Rivals) > 0, err
}
