package service

import (
	"context"
	"errors"
	"fmt"
	"hash/crc32"
	"strconv"

	"weir.dev/weir/internal/model"
)

// Limits of the stream operations.
const (
	maxStreamName = 128
	// onDemandShards is how many shards an on-demand stream begins with, as in
	// Kinesis, and the least that it goes back to.
	onDemandShards = 4
	// maxStreamTries bounds how often a request begins anew because its stream was
	// deleted, changed or resharded under it.
	maxStreamTries = 64
	// defaultStreamPage is how many streams, or shards of DescribeStream, make a
	// page when the client does not say.
	defaultStreamPage = 100
)

// streamRoom is what a Service keeps about streams. Its zero value is ready.
type streamRoom struct {
	specs  specCache[*Stream]
	finish flights
	meters shardMeters
}

// of returns the stream of a resource in the catalog.
func (c *streamRoom) of(cat *model.Catalog, r *model.Resource) (*Stream, error) {
	return c.specs.of(cat, r, func(*Stream) (*Stream, error) { return newStream(r) })
}

func newStream(r *model.Resource) (*Stream, error) {
	spec := &model.StreamSpec{}
	d := model.NewDecoder(r.Spec)
	spec.Decode(d)
	if err := d.Done(); err != nil {
		return nil, fmt.Errorf("cannot decode the spec of stream %s: %w", r.Name, err)
	}
	st := &Stream{
		ID: r.ID, Name: r.Name, CreatedMs: spec.CreatedMs, Status: StreamActive, Spec: spec,
		Consumers: len(spec.Consumers), OnDemand: spec.Mode == model.ModeOnDemand, Retention: int64(spec.RetentionHours),
		Metrics: spec.Metrics, MaxRecordKi: int64(spec.MaxRecordBytes >> 10),
		Warm:    WarmThroughput{TargetMiBps: int64(spec.WarmMiBps), CurrentMiBps: int64(spec.WarmMiBps)},
		version: r.Version, open: spec.OpenShards(),
	}
	st.OpenShards = len(st.open)
	if spec.Reshard.Kind != 0 {
		st.Status = StreamUpdating
	}
	if spec.Encrypted {
		st.KeyID = spec.KmsKey
	}
	return st, nil
}

// StreamID is the stream's StreamId, which stays its own when another stream
// takes its name: the resource's number with a check, in the form that Kinesis
// gives it.
func (st *Stream) StreamID() string {
	n := fmt.Sprintf("%020x", uint64(st.ID))
	return fmt.Sprintf("%s-%03x", n, crc32.ChecksumIEEE([]byte(n))&0xfff)
}

// parseStreamID reads what StreamID wrote.
func parseStreamID(text string) (model.ResourceID, bool) {
	if len(text) != 24 {
		return 0, false
	}
	n, err := strconv.ParseUint(text[:20], 16, 64)
	st := Stream{ID: model.ResourceID(n)}
	return st.ID, err == nil && st.StreamID() == text
}

// stream returns the stream that a request names. Before it says that there is
// none it waits until this node's catalog is up to date.
func (s *Service) stream(ctx context.Context, ref *StreamRef) (*Stream, error) {
	var r *model.Resource
	var err error
	if ref.Name != "" {
		r, err = s.resource(ctx, model.KindStream, ref.Name)
	} else {
		id, ok := parseStreamID(ref.ID)
		if !ok {
			return nil, noStream(ref)
		}
		r, err = s.resourceByID(ctx, id)
	}
	if isKind(err, model.ErrNotFound) {
		return nil, noStream(ref)
	}
	if err != nil {
		return nil, err
	}
	st, err := s.streams.of(s.cluster.Catalog(), r)
	if err == nil && ref.Name != "" && ref.ID != "" && st.StreamID() != ref.ID {
		return nil, noStream(ref)
	}
	return st, err
}

// resourceByID is the stream of that id, or ErrNotFound.
func (s *Service) resourceByID(ctx context.Context, id model.ResourceID) (*model.Resource, error) {
	if r := s.streamByID(id); r != nil {
		return r, nil
	}
	if err := s.cluster.SyncCatalog(ctx); err != nil {
		return nil, err
	}
	if r := s.streamByID(id); r != nil {
		return r, nil
	}
	return nil, model.Errorf(model.ErrNotFound, "the stream does not exist")
}

// streamByID is the stream of that id as this node's catalog has it, or nil.
func (s *Service) streamByID(id model.ResourceID) *model.Resource {
	if r, ok := s.cluster.Catalog().ResourceByID(id); ok && r.Kind == model.KindStream {
		return r
	}
	return nil
}

// streamOf is the stream of that id; a *StreamError says that there is none.
func (s *Service) streamOf(ctx context.Context, ref *StreamRef, id model.ResourceID) (*Stream, error) {
	r, err := s.resourceByID(ctx, id)
	if isKind(err, model.ErrNotFound) {
		return nil, noStream(ref)
	}
	if err != nil {
		return nil, err
	}
	return s.streams.of(s.cluster.Catalog(), r)
}

// shardOf is the shard of that number, and the stream as it is then. A shard
// that this node's catalog does not have may be a child that another node has
// told of already: before it returns nil it waits until the catalog is up to
// date.
func (s *Service) shardOf(ctx context.Context, ref *StreamRef, st *Stream, n model.ShardNumber) (*Stream, *model.Shard, error) {
	if sh, ok := st.Spec.Shard(n); ok {
		return st, sh, nil
	}
	if err := s.cluster.SyncCatalog(ctx); err != nil {
		return nil, nil, err
	}
	st, err := s.streamOf(ctx, ref, st.ID)
	if err != nil {
		return nil, nil, err
	}
	sh, _ := st.Spec.Shard(n)
	return st, sh, nil
}

// namedShard is shardOf for a shard's id as a client gives it.
func (s *Service) namedShard(ctx context.Context, ref *StreamRef, st *Stream, id string) (*Stream, *model.Shard, error) {
	n, err := model.ParseShardID(id)
	if err != nil {
		return st, nil, nil // what is no id is the id of no shard
	}
	return s.shardOf(ctx, ref, st, n)
}

// GetStream returns the stream that ref names. Errors: *StreamError, and the
// cluster's.
func (s *Service) GetStream(ctx context.Context, ref StreamRef) (*Stream, error) {
	return s.stream(ctx, &ref)
}

// errUnchanged ends a change of a stream that leaves it as it is.
var errUnchanged = errors.New("nothing is to be changed")

// changeStream changes a copy of the stream's spec and stores it. change may be
// called several times, each time with the stream as it is and a fresh copy,
// whose slices it must not write into. It returns the stream as it is
// afterwards.
func (s *Service) changeStream(ctx context.Context, ref *StreamRef, change func(st *Stream, spec *model.StreamSpec) error) (*Stream, error) {
	for range maxStreamTries {
		st, err := s.stream(ctx, ref)
		if err == nil {
			err = s.checkWrites(model.KindStream, st.Name)
		}
		if err != nil {
			return nil, err
		}
		spec := *st.Spec
		if err := change(st, &spec); errors.Is(err, errUnchanged) {
			return st, nil
		} else if err != nil {
			return nil, err
		}
		spec.ModifiedMs = s.nowMs()
		r, err := s.updateResource(ctx, st.ID, st.version, spec.Tags, spec.Append(nil))
		switch {
		case err == nil:
			return s.streams.of(s.cluster.Catalog(), r)
		case isKind(err, model.ErrInUse), isKind(err, model.ErrNotFound): // our catalog was behind
			if err := s.cluster.SyncCatalog(ctx); err != nil {
				return nil, err
			}
		default:
			return nil, err
		}
	}
	return nil, model.Errorf(model.ErrUnavailable, "The stream is being changed by many requests at once. Try again.")
}

// nowMs is the time in Unix milliseconds.
func (s *Service) nowMs() int64 { return s.clock.Now().UnixMilli() }

// askShard sends a query to the slot of a shard and decodes its answer.
// StatusGone is noStream.
func (s *Service) askShard(ctx context.Context, ref *StreamRef, st *Stream, n model.ShardNumber, kind model.QueryKind, body []byte, strong bool, into interface{ Decode(*model.Decoder) }) error {
	q := &model.Query{Kind: kind, Resource: st.ID, Slot: model.ShardSlot(st.ID, n), Body: body}
	res, err := s.cluster.Read(ctx, q, strong)
	if err != nil {
		return err
	}
	if res.Status == model.StatusGone {
		return noStream(ref)
	}
	return decodeResult(res, into)
}

// StreamByID returns the stream of that id as this node's catalog has it; nil
// when there is none, by a catalog that is up to date.
func (s *Service) StreamByID(ctx context.Context, id model.ResourceID) (*Stream, error) {
	r, err := s.resourceByID(ctx, id)
	if isKind(err, model.ErrNotFound) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	return s.streams.of(s.cluster.Catalog(), r)
}

// AfterReshard waits until this node's catalog has the children of shards that
// were found closed, and finishes the resharding if nobody else does.
func (s *Service) AfterReshard(ctx context.Context, id model.ResourceID) error {
	_, err := s.afterReshard(ctx, refOf(id), &Stream{ID: id})
	return err
}
