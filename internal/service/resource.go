package service

import (
	"context"
	"iter"

	"weir.dev/weir/internal/model"
)

// resource returns the resource of that kind and name. Before it says
// ErrNotFound it waits until this node's catalog is up to date, so a name
// that another node has just created is found.
func (s *Service) resource(ctx context.Context, kind model.ResourceKind, name string) (*model.Resource, error) {
	if r, ok := s.cluster.Catalog().Resource(kind, name); ok {
		return r, nil
	}
	if err := s.cluster.SyncCatalog(ctx); err != nil {
		return nil, err
	}
	if r, ok := s.cluster.Catalog().Resource(kind, name); ok {
		return r, nil
	}
	return nil, model.Errorf(model.ErrNotFound, "%s not found", name)
}

// resources returns the resources of a kind that are in use, by name,
// from that name on.
func (s *Service) resources(ctx context.Context, kind model.ResourceKind, from string) (iter.Seq[*model.Resource], error) {
	if err := s.cluster.SyncCatalog(ctx); err != nil {
		return nil, err
	}
	return s.cluster.Catalog().Resources.From(kind, from), nil
}

// createResource creates a resource; tags are those in its spec. When the name
// is taken it returns the resource that has it and ErrInUse.
func (s *Service) createResource(ctx context.Context, kind model.ResourceKind, name string, tags []model.Tag, spec []byte) (*model.Resource, error) {
	level, err := levelOf(kind, tags)
	if err != nil {
		return nil, err
	}
	if _, err := resolutionOf(kind, tags); err != nil {
		return nil, err
	}
	op := model.CatalogOp{Kind: model.OpCreateResource, Resource: model.Resource{Kind: kind, Name: name, Level: level, Spec: spec}}
	return s.changeCatalog(ctx, &op)
}

// updateResource replaces a resource's spec, provided that its version is
// still the one given; tags are those in the spec. Errors: ErrNotFound, ErrInUse
// (changed meanwhile).
func (s *Service) updateResource(ctx context.Context, id model.ResourceID, version uint64, tags []model.Tag, spec []byte) (*model.Resource, error) {
	kind := s.kindOf(id)
	level, err := levelOf(kind, tags)
	if err != nil {
		return nil, err
	}
	if _, err := resolutionOf(kind, tags); err != nil {
		return nil, err
	}
	op := model.CatalogOp{Kind: model.OpUpdateResource, Resource: model.Resource{ID: id, Version: version, Level: level, Spec: spec}}
	return s.changeCatalog(ctx, &op)
}

// kindOf is the kind of a resource; zero when it is not there.
func (s *Service) kindOf(id model.ResourceID) model.ResourceKind {
	if r, ok := s.cluster.Catalog().ResourceByID(id); ok {
		return r.Kind
	}
	return 0
}

// deleteResource frees the resource's name at once; its data is removed in
// the background.
func (s *Service) deleteResource(ctx context.Context, r *model.Resource) error {
	op := model.CatalogOp{Kind: model.OpDeleteResource, Resource: model.Resource{ID: r.ID}}
	_, err := s.changeCatalog(ctx, &op)
	return err
}

// changeCatalog proposes the change and returns the resource it answers with.
func (s *Service) changeCatalog(ctx context.Context, op *model.CatalogOp) (*model.Resource, error) {
	cmd := model.Command{Kind: model.CmdCatalog, ID: s.newRequestID(), Body: op.Append(nil)}
	res, err := s.cluster.ProposeCatalog(ctx, &cmd)
	if err != nil {
		return nil, err
	}
	switch res.Status {
	case model.StatusOK, model.StatusExists:
		var r model.Resource
		d := model.NewDecoder(res.Body)
		r.Decode(d)
		if err := d.Done(); err != nil {
			return nil, err
		}
		if res.Status == model.StatusExists {
			return &r, model.Errorf(model.ErrInUse, "%s already exists", r.Name)
		}
		return &r, nil
	case model.StatusNotFound:
		return nil, model.Errorf(model.ErrNotFound, "the resource does not exist")
	case model.StatusStale:
		return nil, model.Errorf(model.ErrInUse, "the resource was changed by another request at the same time")
	default:
		return nil, model.Errorf(model.ErrInternal, "the catalog answered with status %d", res.Status)
	}
}

// newRequestID returns a request id for a command that no client named.
func (s *Service) newRequestID() model.RequestID { return model.RequestID(s.rand.Bytes16()) }
