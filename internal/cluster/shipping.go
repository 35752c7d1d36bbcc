package cluster

import (
	"slices"
	"sync/atomic"

	"weir.dev/weir/internal/machine"
	"weir.dev/weir/internal/model"
)

// need is how many of some links must have shipped a write before it is
// answered.
type need struct {
	links []model.ResourceID
	count int
	soft  bool // it is answered all the same when they have not in time, and at once while they are behind
	mode  bool // the links' modes ask for it, not the request
}

// shipping is what the newest catalog says of the resources that links ship by
// themselves: mostly of none.
type shipping struct {
	noted atomic.Pointer[shipped]
}

type shipped struct {
	catalog *model.Catalog
	by      map[model.ResourceID]*shippedBy
}

// shippedBy are the links that ship a resource by themselves, and what their
// modes ask of its writes.
type shippedBy struct {
	links []model.ResourceID
	needs []need
}

// note takes it from a newer catalog.
func (s *shipping) note(c *model.Catalog) {
	last := s.noted.Load()
	if last == nil {
		last = &shipped{catalog: &model.Catalog{}}
	}
	now := &shipped{c, last.by}
	for was, is := range c.Resources.Since(&last.catalog.Resources) {
		if changesShipping(was, is, len(last.by) > 0) {
			now.by = shippedOf(c)
			break
		}
	}
	s.noted.Store(now)
}

// changesShipping reports whether a change of a resource may change what is
// shipped: that of a link, and, where there are links, of anything new or gone.
func changesShipping(was, is *model.Resource, links bool) bool {
	isLink := func(r *model.Resource) bool { return r != nil && r.Kind == model.KindLink }
	return isLink(was) || isLink(is) || links && (was == nil || is == nil)
}

// shippedOf goes through the whole catalog.
func shippedOf(c *model.Catalog) map[model.ResourceID]*shippedBy {
	type link struct {
		id   model.ResourceID
		spec model.LinkSpec
	}
	var links []link
	for r := range c.Resources.Of(model.KindLink) {
		l := link{id: r.ID}
		d := model.NewDecoder(r.Spec)
		if l.spec.Decode(d); d.Done() == nil && l.spec.Mode != model.LinkManual {
			links = append(links, l)
		}
	}
	if len(links) == 0 {
		return nil
	}
	by := map[model.ResourceID]*shippedBy{}
	for r := range c.Resources.All() {
		s := &shippedBy{}
		sync, ifUp := need{mode: true}, need{mode: true, soft: true}
		for i := range links {
			l := &links[i]
			if !l.spec.Ships(r) {
				continue
			}
			s.links = append(s.links, l.id)
			switch l.spec.Mode {
			case model.LinkSync:
				sync.add(l.id, l.spec.RegionsRequired)
			case model.LinkSyncIfUp:
				ifUp.add(l.id, l.spec.RegionsRequired)
			}
		}
		for _, x := range []need{sync, ifUp} {
			if len(x.links) > 0 {
				if x.count == 0 {
					x.count = len(x.links)
				}
				s.needs = append(s.needs, x)
			}
		}
		if len(s.links) > 0 {
			by[r.ID] = s
		}
	}
	return by
}

func (x *need) add(link model.ResourceID, required uint64) {
	x.links = append(x.links, link)
	x.count = max(x.count, int(required))
}

// of is what a command needs of other regions, as links' modes and the request
// ask; nothing, as a rule.
func (s *shipping) of(cmd *model.Command, regions int) (links []model.ResourceID, needs []need, err error) {
	noted := s.noted.Load()
	if regions == 0 && (noted == nil || len(noted.by) == 0) || !machine.AwaitsRegions(cmd) {
		return nil, nil, nil
	}
	var by shippedBy
	if noted != nil && noted.by[cmd.Resource] != nil {
		by = *noted.by[cmd.Resource]
	}
	needs = by.needs
	if regions > 0 {
		if regions > len(by.links) {
			why := model.Errorf(model.ErrValidation, "the request asks that %d other regions have its writes, and links ship them to %d", regions, len(by.links))
			return nil, nil, &refusal{why, false}
		}
		needs = append(slices.Clone(needs), need{links: by.links, count: regions})
	}
	return by.links, needs, nil
}
