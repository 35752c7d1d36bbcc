package service

import (
	"context"
	"fmt"

	"weir.dev/weir/internal/model"
)

// table is a table as requests use it: its catalog entry with the spec
// decoded. It is shared and read-only.
type table struct {
	resource model.Resource
	spec     model.TableSpec

	resolution model.Resolution // of conflicts between regions
}

// tableCache holds the decoded tables. Its zero value is ready.
type tableCache struct{ specs specCache[*table] }

// of returns the table of a resource in the catalog.
func (c *tableCache) of(cat *model.Catalog, r *model.Resource) (*table, error) {
	return c.specs.of(cat, r, func(*table) (*table, error) { return newTable(r) })
}

func newTable(r *model.Resource) (*table, error) {
	t := &table{resource: *r}
	d := model.NewDecoder(r.Spec)
	t.spec.Decode(d)
	if err := d.Done(); err != nil {
		return nil, fmt.Errorf("cannot decode the spec of table %s: %w", r.Name, err)
	}
	var err error
	if t.resolution, err = resolutionOf(r.Kind, t.spec.Tags); err != nil {
		return nil, fmt.Errorf("cannot read the tags of table %s: %w", r.Name, err)
	}
	return t, nil
}

// table returns the table of that name. Errors: ErrNotFound.
func (s *Service) table(ctx context.Context, name string) (*table, error) {
	r, err := s.resource(ctx, model.KindTable, name)
	if err != nil {
		return nil, err
	}
	return s.tables.of(s.cluster.Catalog(), r)
}

// errTableGone is the answer when a table was deleted under a request.
func errTableGone() error { return model.Errorf(model.ErrNotFound, "Requested resource not found") }

// errPassive is the answer of a table whose writes another region takes. It is
// worth a retry: during a planned failover the roles change within a second.
func errPassive() error {
	return model.Errorf(model.ErrUnavailable, "The table takes no writes in this region: another region does (weir region status says which). The request was not carried out")
}

// invalidf is an ErrValidation in AWS's words.
func invalidf(format string, args ...any) error {
	return model.Errorf(model.ErrValidation, format, args...)
}

// describe is the table as clients see it.
func (t *table) describe() *Table {
	return &Table{
		ID: t.resource.ID, Name: t.resource.Name, CreatedMs: t.resource.CreatedMs,
		Deleting: t.resource.Deleting, Spec: &t.spec,
	}
}
