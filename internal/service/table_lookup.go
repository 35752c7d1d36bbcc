package service

import (
	"context"
	"fmt"
	"sync/atomic"

	"weir.dev/weir/internal/model"
)

// table is a table as requests use it: its catalog entry with the spec
// decoded. It is shared and read-only.
type table struct {
	resource model.Resource
	spec     model.TableSpec
}

// tableCache holds the decoded tables, so that a request does not decode a
// spec. Readers take no lock; a miss makes a new map of the tables that still
// exist, which bounds it by the catalog. Its zero value is ready.
type tableCache struct {
	tables atomic.Pointer[map[model.ResourceID]*table]
}

// of returns the table of a resource in the catalog.
func (c *tableCache) of(cat *model.Catalog, r *model.Resource) (*table, error) {
	var known map[model.ResourceID]*table
	if p := c.tables.Load(); p != nil {
		known = *p
	}
	if t, ok := known[r.ID]; ok && t.resource.Version == r.Version {
		return t, nil
	}
	t, err := newTable(r)
	if err != nil {
		return nil, err
	}
	next := make(map[model.ResourceID]*table, len(known)+1)
	for i := range cat.Resources {
		if old, ok := known[cat.Resources[i].ID]; ok {
			next[old.resource.ID] = old
		}
	}
	next[r.ID] = t
	c.tables.Store(&next) // two misses at once may lose one; it is decoded again
	return t, nil
}

func newTable(r *model.Resource) (*table, error) {
	t := &table{resource: *r}
	d := model.NewDecoder(r.Spec)
	t.spec.Decode(d)
	if err := d.Done(); err != nil {
		return nil, fmt.Errorf("cannot decode the spec of table %s: %w", r.Name, err)
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
