package region

import (
	"cmp"
	"context"
	"maps"
	"sync"

	"weir.dev/weir/internal/model"
)

// A link or an inbound link may be passive: then the tables that it watches
// take no writes of clients here, since the other region takes them. What the
// catalog says is brought to every tablet by a command (model.CmdRole), by
// whoever changes it and, should that one fail half-way, by the leaders of the
// tablets.

// SetPassive makes the tables of a link or an inbound link passive here, or
// active again, in all tablets. Errors: ErrNotFound.
func (e *Engine) SetPassive(ctx context.Context, name string, passive bool) error {
	r, err := e.tied(ctx, name)
	if err != nil {
		return err
	}
	if err := e.updatePassive(ctx, r, passive); err != nil {
		return err
	}
	if r, err = e.service.GetTied(ctx, r.Kind, name); err != nil {
		return err
	}
	return e.bringRole(ctx, r)
}

// tied finds a link, or else an inbound link, by name.
func (e *Engine) tied(ctx context.Context, name string) (*model.Resource, error) {
	if r, err := e.service.GetTied(ctx, model.KindLink, name); err == nil {
		return r, nil
	}
	r, err := e.service.GetTied(ctx, model.KindInbound, name)
	if err != nil {
		return nil, model.Errorf(model.ErrNotFound, "there is no link and no inbound link named %s", name)
	}
	return r, nil
}

func (e *Engine) updatePassive(ctx context.Context, r *model.Resource, passive bool) error {
	if r.Kind == model.KindLink {
		return e.service.UpdateLink(ctx, r.Name, func(s *model.LinkSpec) error {
			s.Passive = passive
			return nil
		})
	}
	return e.service.UpdateInbound(ctx, r.Name, func(s *model.InboundSpec) error {
		s.Passive = passive
		return nil
	})
}

// passive is what the catalog says of a link or an inbound link.
func passive(r *model.Resource) (bool, error) {
	if r.Kind == model.KindLink {
		spec, err := decodeLink(r)
		return spec.Passive, err
	}
	spec, err := decodeInbound(r)
	return spec.Passive, err
}

// bringRole brings a role to all tablets at one time, and waits until they have
// it.
func (e *Engine) bringRole(ctx context.Context, r *model.Resource) error {
	c := e.cluster.Catalog()
	errs := make([]error, len(c.Tablets))
	var under sync.WaitGroup
	for i := range c.Tablets {
		if t := &c.Tablets[i]; t.Hi > t.Lo {
			under.Go(func() { errs[i] = e.bringRoleTo(ctx, r, t) })
		}
	}
	under.Wait()
	return cmp.Or(errs...)
}

// bringRoleTo brings a role to one tablet. A tablet that has heard of a newer
// version of the resource keeps that.
func (e *Engine) bringRoleTo(ctx context.Context, r *model.Resource, t *model.Tablet) error {
	want, err := passive(r)
	if err != nil {
		return err
	}
	s, err := e.strongState(ctx, r.ID, t)
	if err != nil {
		return err
	}
	if s.Passive == want && (s.Version >= r.Version || s.Version == 0 && !want) {
		return nil // a tablet that knows nothing of the reader has no tables of it either
	}
	body := model.Role{Version: r.Version, Passive: want}
	_, err = e.propose(ctx, &model.Command{Kind: model.CmdRole, Resource: r.ID, Slot: model.Slot(t.Lo), Body: body.Append(nil)})
	return err
}

// keepRoles brings roles to the tablets that this node leads, each once for
// every version of its link.
func (e *Engine) keepRoles() {
	done := map[place]uint64{} // the version that was brought
	for e.sleep(e.ctx, superviseEvery) {
		led := map[place]bool{}
		c := e.cluster.Catalog()
		for _, kind := range []model.ResourceKind{model.KindLink, model.KindInbound} {
			for r := range c.Resources.Of(kind) {
				e.keepRole(r, c.Tablets, done, led)
			}
		}
		maps.DeleteFunc(done, func(p place, _ uint64) bool { return !led[p] })
	}
}

func (e *Engine) keepRole(r *model.Resource, tablets []model.Tablet, done map[place]uint64, led map[place]bool) {
	for i := range tablets {
		t := &tablets[i]
		p := place{r.ID, t.ID}
		if t.Hi <= t.Lo || !e.cluster.Leads(model.Slot(t.Lo)) {
			continue
		}
		led[p] = true
		if done[p] != r.Version && e.bringRoleTo(e.ctx, r, t) == nil {
			done[p] = r.Version
		}
	}
}
