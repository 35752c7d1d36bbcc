package service

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"weir.dev/weir/internal/model"
)

// ResolutionTag is the tag of a table that says how conflicts between regions
// are resolved, as model.ParseResolution reads it; without it the last writer
// wins. It is an extension, and a tag so that every SDK can set it.
const ResolutionTag = "weir:conflicts"

// resolutionOf is how a resource's tags ask to resolve conflicts.
func resolutionOf(kind model.ResourceKind, tags []model.Tag) (r model.Resolution, err error) {
	for _, t := range tags {
		if t.Key != ResolutionTag {
			continue
		}
		if kind != model.KindTable {
			return r, model.Errorf(model.ErrValidation, "only tables are written in several regions at once: %s is a tag of tables", ResolutionTag)
		}
		return model.ParseResolution(t.Value)
	}
	return r, nil
}

// Resolution is how a table resolves conflicts.
type Resolution struct {
	Table string
	model.Resolution
	Keys []string // names of the table's key attributes
}

// ResolutionOf tells it of a table in the catalog. Errors: ErrNotFound.
func (s *Service) ResolutionOf(id model.ResourceID) (*Resolution, error) {
	c := s.cluster.Catalog()
	r, ok := c.ResourceByID(id)
	if !ok || r.Kind != model.KindTable {
		return nil, errTableGone()
	}
	t, err := s.tables.of(c, r)
	if err != nil {
		return nil, err
	}
	return &Resolution{Table: r.Name, Resolution: t.resolution, Keys: t.keyNames()}, nil
}

// ListResolutions tells it of all tables, by name.
func (s *Service) ListResolutions(ctx context.Context) (list []Resolution, err error) {
	all, err := s.resources(ctx, model.KindTable, "")
	if err != nil {
		return nil, err
	}
	for r := range all {
		one, err := s.ResolutionOf(r.ID)
		if err != nil {
			return nil, err
		}
		list = append(list, *one)
	}
	return list, nil
}

// SetResolution changes how a table resolves the conflicts that are met from now
// on. Errors: ErrNotFound (table or queue), ErrInUse.
func (s *Service) SetResolution(ctx context.Context, table string, res *model.Resolution) error {
	t, err := s.table(ctx, table)
	if err != nil {
		return err
	}
	if res.Policy == model.PolicyQueue {
		if _, err := s.GetQueue(ctx, res.Queue); err != nil {
			return err
		}
	}
	spec := t.spec
	spec.Tags = slices.DeleteFunc(slices.Clone(spec.Tags), func(t model.Tag) bool { return t.Key == ResolutionTag })
	if res.Policy != model.PolicyLastWriter {
		tag := model.Tag{Key: ResolutionTag, Value: res.String()}
		at, _ := slices.BinarySearchFunc(spec.Tags, tag, func(a, b model.Tag) int { return strings.Compare(a.Key, b.Key) })
		spec.Tags = slices.Insert(spec.Tags, at, tag)
	}
	_, err = s.updateResource(ctx, t.resource.ID, t.resource.Version, spec.Tags, spec.Append(nil))
	return err
}

// ConflictNotice is the message about a conflict, as JSON. Versions are told as
// plain JSON; one that would make the message too large is left out.
type ConflictNotice struct {
	Conflict string          `json:"conflict"` // TABLET/NUMBER, as weir conflicts show takes it
	Region   string          `json:"region"`   // that resolved it
	Table    string          `json:"table"`
	Key      string          `json:"key"`
	Winner   ConflictVersion `json:"winner"`
	Loser    ConflictVersion `json:"loser"`
}

// ConflictVersion is one of the two writes.
type ConflictVersion struct {
	Region  string `json:"region"` // that wrote it
	Written string `json:"written"`
	Deleted bool   `json:"deleted,omitempty"`
	Item    any    `json:"item,omitempty"`
	Omitted bool   `json:"omitted,omitempty"` // the item is too large: weir conflicts show has it
}

// TellConflict sends the message about a conflict of a tablet to a queue, once:
// it may be repeated, by whoever does it, until it succeeds. Conflicts are told
// in the order of their numbers, and told is the one up to which all are.
// Errors: ErrNotFound for the queue.
func (s *Service) TellConflict(ctx context.Context, queue string, t *model.Tablet, c *model.Conflict, told uint64, n *ConflictNotice) error {
	q, err := s.GetQueue(ctx, queue)
	if err != nil {
		return err
	}
	body, err := json.Marshal(n)
	for _, v := range []*ConflictVersion{&n.Winner, &n.Loser} {
		if err == nil && int64(len(body)) > q.Spec.MaximumMessageSize {
			v.Item, v.Omitted = nil, v.Item != nil
			body, err = json.Marshal(n)
		}
	}
	if err != nil {
		return fmt.Errorf("cannot tell of a conflict: %w", err)
	}
	m := model.Message{ID: s.newMessageID(), Body: body}
	if q.Spec.Fifo {
		m.Group, m.Dedup = n.Table, n.Conflict
	}
	entry := model.SendEntry{Message: m}
	apply := model.PipeApply{
		Settings: q.Spec.Settings(), Pipe: c.Resource, Source: model.PipeSource{Resource: c.Resource, Slot: model.Slot(t.Lo)},
		Claim: model.ClaimSeq(c.Number), Floor: model.ClaimSeq(told),
		Effects: []model.PipeEffect{{Message: c.Number, Kind: model.CmdSend, Body: entry.Append(nil)}},
	}
	res, err := s.cluster.Propose(ctx, &model.Command{Kind: model.CmdPipeApply, Resource: q.ID, Slot: model.QueueSlot(q.ID), Body: apply.Append(nil)})
	switch {
	case err != nil:
		return err
	case res.Status == model.StatusGone:
		return model.Errorf(model.ErrNotFound, "the queue %s was deleted", queue)
	case res.Status != model.StatusOK && res.Status != model.StatusStale: // stale: it was told long ago
		return model.Errorf(model.ErrInternal, "the queue %s answered with status %d", queue, res.Status)
	}
	return nil
}
