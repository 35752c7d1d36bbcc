package service

import (
	"context"
	"errors"
	"slices"

	"weir.dev/weir/internal/keys"
	"weir.dev/weir/internal/model"
)

// maxLinkTries bounds how often a change of a link starts over because another
// one came first.
const maxLinkTries = 8

// CreateTied adds a link or an inbound link to the catalog. Errors: ErrInUse
// when the name is taken; then it returns the one that has it.
func (s *Service) CreateTied(ctx context.Context, kind model.ResourceKind, name string, spec []byte) (*model.Resource, error) {
	return s.createResource(ctx, kind, name, nil, spec)
}

// GetTied returns a link or an inbound link by name. Errors: ErrNotFound.
func (s *Service) GetTied(ctx context.Context, kind model.ResourceKind, name string) (*model.Resource, error) {
	return s.resource(ctx, kind, name)
}

// ListTied returns all links or inbound links, by name.
func (s *Service) ListTied(ctx context.Context, kind model.ResourceKind) ([]*model.Resource, error) {
	all, err := s.resources(ctx, kind, "")
	if err != nil {
		return nil, err
	}
	return slices.Collect(all), nil
}

// UpdateTied replaces a link's or inbound link's spec, provided that its
// version is still the one given. Errors: ErrInUse, ErrNotFound.
func (s *Service) UpdateTied(ctx context.Context, r *model.Resource, spec []byte) (*model.Resource, error) {
	return s.updateResource(ctx, r.ID, r.Version, nil, spec)
}

// UpdateLink changes a link's spec. When another change comes between, it reads
// again and repeats change, a few times. An error of change ends it.
func (s *Service) UpdateLink(ctx context.Context, name string, change func(*model.LinkSpec) error) error {
	return updateTied(ctx, s, model.KindLink, name, change)
}

// UpdateInbound is UpdateLink for an inbound link.
func (s *Service) UpdateInbound(ctx context.Context, name string, change func(*model.InboundSpec) error) error {
	return updateTied(ctx, s, model.KindInbound, name, change)
}

// tiedSpec is a pointer to the spec of a link or an inbound link.
type tiedSpec[T any] interface {
	*T
	Append([]byte) []byte
	Decode(*model.Decoder)
}

func updateTied[T any, S tiedSpec[T]](ctx context.Context, s *Service, kind model.ResourceKind, name string, change func(S) error) error {
	for try := 1; ; try++ {
		r, err := s.resource(ctx, kind, name)
		if err != nil {
			return err
		}
		spec := S(new(T))
		d := model.NewDecoder(r.Spec)
		spec.Decode(d)
		if err := d.Done(); err != nil {
			return err
		}
		if err := change(spec); err != nil {
			return err
		}
		_, err = s.UpdateTied(ctx, r, spec.Append(nil))
		var known *model.Error
		if err == nil || try == maxLinkTries || !errors.As(err, &known) || known.Kind != model.ErrInUse {
			return err
		}
		if err := s.cluster.SyncCatalog(ctx); err != nil {
			return err
		}
	}
}

// DeleteTied removes a link or an inbound link; every tablet then forgets how
// far it had come.
func (s *Service) DeleteTied(ctx context.Context, kind model.ResourceKind, name string) error {
	r, err := s.resource(ctx, kind, name)
	if err != nil {
		return err
	}
	return s.deleteResource(ctx, r)
}

// CopyTable makes a table with the spec of another region's, unless there is
// one of that name; then its keys must be the same. Errors: ErrValidation.
func (s *Service) CopyTable(ctx context.Context, name string, spec *model.TableSpec) error {
	r, ok := s.cluster.Catalog().Resource(model.KindTable, name)
	if !ok {
		var err error
		r, err = s.createResource(ctx, model.KindTable, name, spec.Tags, spec.Append(nil))
		var known *model.Error
		if err == nil || !errors.As(err, &known) || known.Kind != model.ErrInUse || r == nil {
			return err
		}
	}
	t, err := newTable(r)
	if err != nil {
		return err
	}
	if t.spec.Partition != spec.Partition || t.spec.Sort != spec.Sort {
		return model.Errorf(model.ErrValidation, "the table %s has other keys there than here", name)
	}
	return nil
}

// CheckItem holds an item of another region to its table's keys, and returns its
// slot. The encoded key must be the item's own.
func (s *Service) CheckItem(id model.ResourceID, key []byte, item model.Item) (model.Slot, error) {
	c := s.cluster.Catalog()
	r, ok := c.ResourceByID(id)
	if !ok {
		return 0, errTableGone()
	}
	t, err := s.tables.of(c, r)
	if err != nil {
		return 0, err
	}
	var keyItem model.Item
	for _, name := range t.keyNames() {
		v, ok := item.Get(name)
		if !ok {
			return 0, model.Errorf(model.ErrValidation, "an item has no key attribute %s", name)
		}
		keyItem = append(keyItem, model.Attr{Name: name, Value: v})
	}
	keyItem, _ = model.NewItem(keyItem)
	var buf keyBuffer
	encoded, slot, err := t.appendKey(buf[:0], keyItem)
	if err == nil && string(encoded) != string(key) {
		err = model.Errorf(model.ErrValidation, "an item stands under the key of another")
	}
	return slot, err
}

// CheckKey holds the encoded key of a deleted item to its table's keys, and
// returns its slot.
func (s *Service) CheckKey(id model.ResourceID, key []byte) (model.Slot, error) {
	c := s.cluster.Catalog()
	r, ok := c.ResourceByID(id)
	if !ok {
		return 0, errTableGone()
	}
	t, err := s.tables.of(c, r)
	if err != nil {
		return 0, err
	}
	kinds := []model.KeyAttr{t.spec.Partition}
	if t.spec.HasSort() {
		kinds = append(kinds, t.spec.Sort)
	}
	rest := key
	for _, k := range kinds {
		v, after, ok := keys.SplitValue(rest)
		if !ok || v.Kind != k.Kind {
			return 0, model.Errorf(model.ErrValidation, "a key does not fit its table")
		}
		rest = after
	}
	partition, _, ok := keys.SplitPartition(key)
	if !ok || len(rest) > 0 {
		return 0, model.Errorf(model.ErrValidation, "a key does not fit its table")
	}
	return model.SlotOf(partition), nil
}

// NameRegion says what this cluster is called among regions.
func (s *Service) NameRegion(ctx context.Context, name string) error {
	if err := s.cluster.SyncCatalog(ctx); err != nil {
		return err
	}
	op := model.CatalogOp{Kind: model.OpSetSettings, Settings: s.cluster.Catalog().Settings}
	op.Settings.RegionName = name
	cmd := model.Command{Kind: model.CmdCatalog, ID: s.newRequestID(), Body: op.Append(nil)}
	_, err := s.cluster.ProposeCatalog(ctx, &cmd)
	return err
}
