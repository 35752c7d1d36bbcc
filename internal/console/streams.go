package console

import (
	"context"
	"net/http"
	"time"

	"weir.dev/weir/internal/model"
	"weir.dev/weir/internal/service"
)

// Limits of the operations on streams.
const (
	maxStreamsShown  = 100
	maxRecordsShown  = 1000
	maxReadWait      = 15 * time.Second // less than requestTimeout
	maxShardsDetails = 10_000
)

// handleStreams registers the operations on streams.
func (c *console) handleStreams(mux *http.ServeMux) {
	c.handle(mux, "GET /api/streams", c.listStreams)
	c.handle(mux, "POST /api/streams", c.createStream)
	c.handle(mux, "GET /api/streams/{name}", c.describeStream)
	c.handle(mux, "DELETE /api/streams/{name}", c.deleteStream)
	c.handle(mux, "POST /api/streams/{name}/reshard", c.reshardStream)
	c.handle(mux, "POST /api/streams/{name}/records", c.putRecords)
	c.handle(mux, "POST /api/streams/{name}/iterators", c.shardIterator)
	c.handle(mux, "POST /api/streams/{name}/read", c.readRecords)
	c.handle(mux, "GET /api/streams/{name}/lag", c.streamLag)
	c.handle(mux, "POST /api/streams/{name}/consumers/{consumer}/lease", c.leaseShards)
	c.handle(mux, "POST /api/streams/{name}/consumers/{consumer}/commit", c.commitPosition)
	c.handle(mux, "POST /api/streams/{name}/consumers/{consumer}/seek", c.seekConsumer)
	c.handle(mux, "DELETE /api/streams/{name}/consumers/{consumer}", c.forgetConsumer)
}

// Stream is a stream in the admin API.
type Stream struct {
	Name           string            `json:"name"`
	Status         string            `json:"status"` // ACTIVE or UPDATING
	OnDemand       bool              `json:"on_demand"`
	OpenShards     int               `json:"open_shards"`
	RetentionHours int64             `json:"retention_hours"` // 0: for ever
	MaxRecordBytes int64             `json:"max_record_bytes"`
	Created        time.Time         `json:"created"`
	Tags           map[string]string `json:"tags,omitempty"`
	Registered     int               `json:"registered_consumers"`
	Shards         []Shard           `json:"shards,omitempty"` // of GET /api/streams/NAME
}

// Shard is a shard in the admin API.
type Shard struct {
	ID        string   `json:"id"`
	Parents   []string `json:"parents,omitempty"`
	HashFirst string   `json:"hash_first"`
	HashLast  string   `json:"hash_last"`
	First     string   `json:"first"`          // sequence number
	Last      string   `json:"last,omitempty"` // of a closed shard
}

// NewStream is the body of POST /api/streams.
type NewStream struct {
	Name           string            `json:"name"`
	Shards         int64             `json:"shards,omitempty"`          // 1 when neither it nor OnDemand is given
	OnDemand       bool              `json:"on_demand,omitempty"`       // the shards split and merge with the load
	RetentionHours *int64            `json:"retention_hours,omitempty"` // 24 unless given; 0: for ever
	Tags           map[string]string `json:"tags,omitempty"`
}

// Reshard is the body of POST /api/streams/NAME/reshard: one of its members.
type Reshard struct {
	Shards int64    `json:"shards,omitempty"` // that many of even size
	Split  string   `json:"split,omitempty"`  // this shard, at At
	At     string   `json:"at,omitempty"`     // the hash key that begins the second child
	Merge  []string `json:"merge,omitempty"`  // these two neighbours
}

func ref(r *http.Request) service.StreamRef { return service.StreamRef{Name: r.PathValue("name")} }

func (c *console) listStreams(ctx context.Context, r *http.Request, _ []byte) (any, error) {
	params := r.URL.Query()
	limit, err := number(params, "limit", maxStreamsShown, 1, maxStreamsShown)
	if err != nil {
		return nil, err
	}
	page, err := c.queues.ListStreams(ctx, &service.ListStreamsRequest{Start: params.Get("after"), Limit: limit})
	if err != nil {
		return nil, err
	}
	list := make([]Stream, len(page.Streams))
	for i, st := range page.Streams {
		list[i] = streamView(st)
	}
	return list, nil
}

func streamView(st *service.Stream) Stream {
	view := Stream{
		Name: st.Name, Status: string(st.Status), OnDemand: st.OnDemand, OpenShards: st.OpenShards, RetentionHours: st.Retention,
		MaxRecordBytes: st.MaxRecordKi << 10, Created: atMs(st.CreatedMs), Registered: st.Consumers,
	}
	for _, t := range st.Spec.Tags {
		if view.Tags == nil {
			view.Tags = map[string]string{}
		}
		view.Tags[t.Key] = t.Value
	}
	return view
}

func (c *console) describeStream(ctx context.Context, r *http.Request, _ []byte) (any, error) {
	return c.stream(ctx, ref(r))
}

func (c *console) stream(ctx context.Context, ref service.StreamRef) (*Stream, error) {
	res, err := c.queues.DescribeStream(ctx, &service.DescribeStreamRequest{StreamRef: ref, Limit: maxShardsDetails})
	if err != nil {
		return nil, err
	}
	view := streamView(res.Stream)
	for _, sh := range res.Shards {
		s := Shard{ID: sh.ID, HashFirst: sh.HashFirst, HashLast: sh.HashLast, First: sh.First, Last: sh.Last}
		for _, p := range []string{sh.Parent, sh.AdjacentParent} {
			if p != "" {
				s.Parents = append(s.Parents, p)
			}
		}
		view.Shards = append(view.Shards, s)
	}
	return &view, nil
}

func (c *console) createStream(ctx context.Context, _ *http.Request, body []byte) (any, error) {
	var n NewStream
	if err := unmarshal(body, &n); err != nil {
		return nil, err
	}
	req := &service.CreateStreamRequest{StreamRef: service.StreamRef{Name: n.Name}, OnDemand: n.OnDemand, RetentionHours: n.RetentionHours}
	if n.Shards == 0 && !n.OnDemand {
		n.Shards = 1
	}
	if n.Shards != 0 {
		req.ShardCount = &n.Shards
	}
	for _, key := range sortedKeys(n.Tags) {
		req.Tags = append(req.Tags, model.Tag{Key: key, Value: n.Tags[key]})
	}
	if err := c.queues.CreateStream(ctx, req); err != nil {
		return nil, err
	}
	return c.stream(ctx, req.StreamRef)
}

func (c *console) deleteStream(ctx context.Context, r *http.Request, _ []byte) (any, error) {
	return struct{}{}, c.queues.DeleteStream(ctx, &service.DeleteStreamRequest{StreamRef: ref(r), EnforceConsumerDeletion: true})
}

func (c *console) reshardStream(ctx context.Context, r *http.Request, body []byte) (any, error) {
	var b Reshard
	if err := unmarshal(body, &b); err != nil {
		return nil, err
	}
	var err error
	switch {
	case b.Shards != 0 && b.Split == "" && b.Merge == nil:
		_, err = c.queues.UpdateShardCount(ctx, &service.UpdateShardCountRequest{StreamRef: ref(r), Target: b.Shards})
	case b.Split != "" && b.Shards == 0 && b.Merge == nil:
		err = c.queues.SplitShard(ctx, &service.SplitShardRequest{StreamRef: ref(r), Shard: b.Split, HashKey: b.At})
	case len(b.Merge) == 2 && b.Shards == 0 && b.Split == "":
		err = c.queues.MergeShards(ctx, &service.MergeShardsRequest{StreamRef: ref(r), Shard: b.Merge[0], Adjacent: b.Merge[1]})
	default:
		err = model.Errorf(model.ErrValidation, "say one of: shards, split with at, merge with two shards")
	}
	if err != nil {
		return nil, err
	}
	return c.stream(ctx, ref(r))
}
