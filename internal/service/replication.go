package service

import (
	"context"
	"slices"
	"strings"

	"weir.dev/weir/internal/model"
)

// ReplicationTag is the tag of a table, queue or stream that says how durable
// its writes are at least: quorum (as without it), all-if-up or all, and of
// tables also async. It is an extension, and a tag so that every SDK can set it.
const ReplicationTag = "weir:replication"

// levelOf is the level that a resource's tags ask for.
func levelOf(kind model.ResourceKind, tags []model.Tag) (model.Level, error) {
	for _, t := range tags {
		if t.Key == ReplicationTag {
			level, err := model.ParseLevel(t.Value)
			if err == nil && level == model.LevelAsync && kind != model.KindTable {
				return 0, model.Errorf(model.ErrValidation, "only tables can be replicated at level async: what a send or a put of records answers is known only once it is agreed; quorum, all-if-up and all are for queues and streams")
			}
			return level, err
		}
	}
	return model.LevelQuorum, nil
}

// SetReplication changes how durable the writes of a table, queue or stream are
// at least; it is felt by those that arrive from now on. Errors: ErrNotFound,
// ErrValidation (pipes have no writes of their own), ErrInUse.
func (s *Service) SetReplication(ctx context.Context, kind model.ResourceKind, name string, level model.Level) error {
	r, err := s.resource(ctx, kind, name)
	if err != nil {
		return err
	}
	var spec interface {
		Append([]byte) []byte
		Decode(*model.Decoder)
	}
	var tags *[]model.Tag
	switch kind {
	case model.KindTable:
		t := &model.TableSpec{}
		spec, tags = t, &t.Tags
	case model.KindQueue:
		q := &model.QueueSpec{}
		spec, tags = q, &q.Tags
	case model.KindStream:
		st := &model.StreamSpec{}
		spec, tags = st, &st.Tags
	default:
		return model.Errorf(model.ErrValidation, "only tables, queues and streams have a replication of their own")
	}
	d := model.NewDecoder(r.Spec)
	spec.Decode(d)
	if err := d.Done(); err != nil {
		return err
	}
	*tags = slices.DeleteFunc(*tags, func(t model.Tag) bool { return t.Key == ReplicationTag })
	if level != model.LevelQuorum {
		tag := model.Tag{Key: ReplicationTag, Value: level.String()}
		at, _ := slices.BinarySearchFunc(*tags, tag, func(a, b model.Tag) int { return strings.Compare(a.Key, b.Key) })
		*tags = slices.Insert(*tags, at, tag)
	}
	_, err = s.updateResource(ctx, r.ID, r.Version, *tags, spec.Append(nil))
	return err
}

// Replication is what a table, queue or stream asks of its writes.
type Replication struct {
	Kind  model.ResourceKind
	Name  string
	Level model.Level
}

// GetReplication tells how durable the writes of one table, queue or stream are
// at least. Errors: ErrNotFound.
func (s *Service) GetReplication(ctx context.Context, kind model.ResourceKind, name string) (*Replication, error) {
	r, err := s.resource(ctx, kind, name)
	if err != nil {
		return nil, err
	}
	return &Replication{Kind: kind, Name: name, Level: r.Level}, nil
}

// ListReplication tells it of all tables, queues and streams, by kind, then
// name.
func (s *Service) ListReplication(ctx context.Context) ([]Replication, error) {
	if err := s.cluster.SyncCatalog(ctx); err != nil {
		return nil, err
	}
	var list []Replication
	for r := range s.cluster.Catalog().Resources.All() {
		if r.Kind != model.KindPipe {
			list = append(list, Replication{Kind: r.Kind, Name: r.Name, Level: r.Level})
		}
	}
	return list, nil
}
