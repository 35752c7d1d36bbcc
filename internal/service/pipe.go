package service

import (
	"context"

	"weir.dev/weir/internal/expr"
	"weir.dev/weir/internal/model"
)

// Pipe is a pipe as the catalog has it.
type Pipe struct {
	Resource model.Resource
	Spec     model.PipeSpec
}

// NewPipe decodes a pipe's catalog entry.
func NewPipe(r *model.Resource) (*Pipe, error) {
	p := &Pipe{Resource: *r}
	d := model.NewDecoder(r.Spec)
	p.Spec.Decode(d)
	return p, d.Done()
}

// CreatePipe adds a pipe to the catalog. Errors: ErrInUse when the name is
// taken.
func (s *Service) CreatePipe(ctx context.Context, name string, spec *model.PipeSpec) (*Pipe, error) {
	r, err := s.createResource(ctx, model.KindPipe, name, spec.Tags, spec.Append(nil))
	if err != nil {
		return nil, err
	}
	return NewPipe(r)
}

// GetPipe returns the pipe of that name. Errors: ErrNotFound.
func (s *Service) GetPipe(ctx context.Context, name string) (*Pipe, error) {
	if IsMoveTask(name) {
		return nil, model.Errorf(model.ErrNotFound, "%s not found", name)
	}
	return s.getPipe(ctx, name)
}

func (s *Service) getPipe(ctx context.Context, name string) (*Pipe, error) {
	r, err := s.resource(ctx, model.KindPipe, name)
	if err != nil {
		return nil, err
	}
	return NewPipe(r)
}

// ListPipes returns all pipes by name, but for tasks that move messages.
func (s *Service) ListPipes(ctx context.Context) ([]*Pipe, error) {
	rs, err := s.resources(ctx, model.KindPipe, "")
	if err != nil {
		return nil, err
	}
	var pipes []*Pipe
	for r := range rs {
		if IsMoveTask(r.Name) {
			continue
		}
		p, err := NewPipe(r)
		if err != nil {
			return nil, err
		}
		pipes = append(pipes, p)
	}
	return pipes, nil
}

// UpdatePipe changes a pipe's spec. When another change comes between, it
// reads again and repeats change, a few times.
func (s *Service) UpdatePipe(ctx context.Context, name string, change func(*model.PipeSpec)) (*Pipe, error) {
	if _, err := s.GetPipe(ctx, name); err != nil {
		return nil, err
	}
	return s.updatePipe(ctx, name, change)
}

func (s *Service) updatePipe(ctx context.Context, name string, change func(*model.PipeSpec)) (*Pipe, error) {
	for try := 0; ; try++ {
		p, err := s.getPipe(ctx, name)
		if err != nil {
			return nil, err
		}
		change(&p.Spec)
		r, err := s.updateResource(ctx, p.Resource.ID, p.Resource.Version, p.Spec.Tags, p.Spec.Append(nil))
		if err == nil {
			return NewPipe(r)
		}
		if try == 5 {
			return nil, err
		}
		if err := s.cluster.SyncCatalog(ctx); err != nil {
			return nil, err
		}
	}
}

// DeletePipe removes a pipe from the catalog; its worker rolls open claims
// forward and then forgets it.
func (s *Service) DeletePipe(ctx context.Context, name string) error {
	p, err := s.GetPipe(ctx, name)
	if err != nil {
		return err
	}
	return s.deleteResource(ctx, &p.Resource)
}

// ForgetResource tells the catalog that nothing is left of a deleted resource.
func (s *Service) ForgetResource(ctx context.Context, id model.ResourceID) error {
	op := model.CatalogOp{Kind: model.OpForgetResource, Resource: model.Resource{ID: id}}
	cmd := model.Command{Kind: model.CmdCatalog, ID: s.newRequestID(), Body: op.Append(nil)}
	_, err := s.cluster.ProposeCatalog(ctx, &cmd)
	return err
}

// ResourceID returns the id of a resource by kind and name. Errors: ErrNotFound.
func (s *Service) ResourceID(ctx context.Context, kind model.ResourceKind, name string) (model.ResourceID, error) {
	r, err := s.resource(ctx, kind, name)
	if err != nil {
		return 0, err
	}
	return r.ID, nil
}

// UpdateBody builds the body of the update of one item and names its slot, as
// UpdateItem would send it. Errors: ErrNotFound when the table is not there,
// ErrValidation in AWS's words when the key or the update does not fit it.
func (s *Service) UpdateBody(id model.ResourceID, key model.Item, update *expr.Update) (body []byte, slot model.Slot, err error) {
	c := s.cluster.Catalog()
	r, ok := c.ResourceByID(id)
	if !ok {
		return nil, 0, errTableGone()
	}
	t, err := s.tables.of(c, r)
	if err != nil {
		return nil, 0, err
	}
	if err := update.CheckKeys(t.keyNames()...); err != nil {
		return nil, 0, err
	}
	var buf keyBuffer
	encoded, slot, err := t.appendKey(buf[:0], key)
	if err != nil {
		return nil, 0, err
	}
	up := model.UpdateItem{Key: encoded, KeyItem: model.AppendItem(nil, key), Update: update.Append(nil)}
	return up.Append(nil), slot, nil
}
