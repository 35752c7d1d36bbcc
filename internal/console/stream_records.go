package console

import (
	"context"
	"net/http"
	"time"

	"weir.dev/weir/internal/model"
	"weir.dev/weir/internal/service"
)

// PutRecords is the body of POST /api/streams/NAME/records.
type PutRecords struct {
	Records []NewRecord `json:"records"` // 1 to 500
}

// NewRecord is a record to put.
type NewRecord struct {
	Key     string `json:"key"`
	Data    []byte `json:"data"`               // base64
	HashKey string `json:"hash_key,omitempty"` // decimal; instead of the key's
}

// PutResult says what became of a record.
type PutResult struct {
	Shard    string `json:"shard,omitempty"`
	Sequence string `json:"sequence,omitempty"`
	Error    string `json:"error,omitempty"`
}

// Position is the body of POST /api/streams/NAME/iterators.
type Position struct {
	Shard    string     `json:"shard"`
	Type     string     `json:"type"`               // as Kinesis names them: TRIM_HORIZON, LATEST ...
	Sequence string     `json:"sequence,omitempty"` // of AT_SEQUENCE_NUMBER and AFTER_SEQUENCE_NUMBER
	Time     *time.Time `json:"time,omitempty"`     // of AT_TIMESTAMP
}

// Read is the body of POST /api/streams/NAME/read.
type Read struct {
	Iterator string `json:"iterator"`
	Limit    int    `json:"limit,omitempty"`   // 1 to 1,000
	WaitMs   int64  `json:"wait_ms,omitempty"` // for the first record, to 15,000
}

// Records is the answer to a Read.
type Records struct {
	Records  []Record `json:"records"`
	Next     string   `json:"next,omitempty"` // the next iterator; "" at the end of a closed shard
	BehindMs int64    `json:"behind_ms"`
}

// Record is a record as it is read.
type Record struct {
	Sequence string    `json:"sequence"`
	Arrived  time.Time `json:"arrived"`
	Key      string    `json:"key"`
	Data     []byte    `json:"data"` // base64
}

// Lag is how far a named consumer has come in a shard.
type Lag struct {
	Consumer string     `json:"consumer"`
	Shard    string     `json:"shard"`
	Position uint64     `json:"position"` // the number of the next record
	Tip      uint64     `json:"tip"`      // the number that the shard's next record will get
	Records  uint64     `json:"records"`  // still to be read
	Bytes    uint64     `json:"bytes"`
	LagMs    int64      `json:"lag_ms"`           // how long the next one has been there
	Member   string     `json:"member,omitempty"` // who holds the shard
	Closed   bool       `json:"closed,omitempty"`
	Commit   *time.Time `json:"commit,omitempty"` // when the position was last set
}

// Lease is the body of POST /api/streams/NAME/consumers/CONSUMER/lease.
type Lease struct {
	Member  string     `json:"member"`
	LeaseMs int64      `json:"lease_ms,omitempty"`
	Start   string     `json:"start,omitempty"` // of a new consumer: TRIM_HORIZON, LATEST, AT_TIMESTAMP
	Time    *time.Time `json:"time,omitempty"`  // of AT_TIMESTAMP
}

// Leases is the answer to a Lease.
type Leases struct {
	Leases []ShardLease `json:"leases"`
	Shards int          `json:"shards"` // of all members
}

// ShardLease is a shard that a member holds.
type ShardLease struct {
	Shard      string    `json:"shard"`
	Generation uint64    `json:"generation"`
	Iterator   string    `json:"iterator"`
	Expires    time.Time `json:"expires"`
	Wanted     bool      `json:"wanted,omitempty"` // release it soon
}

// Commit is the body of POST /api/streams/NAME/consumers/CONSUMER/commit.
type Commit struct {
	Shard      string `json:"shard"`
	Generation uint64 `json:"generation"`
	Sequence   string `json:"sequence,omitempty"` // of the last record that is done
	End        bool   `json:"end,omitempty"`      // all of a closed shard is done
	LeaseMs    int64  `json:"lease_ms,omitempty"`
	Release    bool   `json:"release,omitempty"`
}

// Seek is the body of POST /api/streams/NAME/consumers/CONSUMER/seek.
type Seek struct {
	To   string     `json:"to"`             // TRIM_HORIZON, LATEST or AT_TIMESTAMP
	Time *time.Time `json:"time,omitempty"` // with AT_TIMESTAMP
}

func (c *console) putRecords(ctx context.Context, r *http.Request, body []byte) (any, error) {
	var b PutRecords
	if err := unmarshal(body, &b); err != nil {
		return nil, err
	}
	req := &service.PutRecordsRequest{StreamRef: ref(r)}
	for _, n := range b.Records {
		req.Records = append(req.Records, service.OutgoingRecord{Key: n.Key, Data: n.Data, HashKey: n.HashKey})
	}
	res, err := c.queues.PutRecords(ctx, req)
	if err != nil {
		return nil, err
	}
	results := make([]PutResult, len(res.Records))
	for i, p := range res.Records {
		results[i] = PutResult{Shard: p.Shard, Sequence: p.Sequence}
		if p.Err != nil {
			results[i].Error = p.Err.Error()
		}
	}
	return results, nil
}

func (c *console) shardIterator(ctx context.Context, r *http.Request, body []byte) (any, error) {
	var b Position
	if err := unmarshal(body, &b); err != nil {
		return nil, err
	}
	req := &service.ShardIteratorRequest{StreamRef: ref(r), Shard: b.Shard, Position: service.ShardPosition{Type: b.Type, Sequence: b.Sequence, TimestampMs: millis(b.Time)}}
	it, err := c.queues.GetShardIterator(ctx, req)
	return Read{Iterator: it}, err
}

func millis(t *time.Time) *int64 {
	if t == nil {
		return nil
	}
	ms := t.UnixMilli()
	return &ms
}

func (c *console) readRecords(ctx context.Context, r *http.Request, body []byte) (any, error) {
	var b Read
	if err := unmarshal(body, &b); err != nil {
		return nil, err
	}
	if b.Limit < 1 || b.Limit > maxRecordsShown {
		b.Limit = maxRecordsShown
	}
	res, err := c.queues.GetRecords(ctx, &service.GetRecordsRequest{
		StreamRef: ref(r), Iterator: b.Iterator, Limit: b.Limit, WaitMs: min(b.WaitMs, maxReadWait.Milliseconds()),
	})
	if err != nil {
		return nil, err
	}
	out := Records{Records: make([]Record, len(res.Records)), Next: res.Next, BehindMs: res.MillisBehind}
	for i, rec := range res.Records {
		out.Records[i] = Record{Sequence: rec.Sequence, Arrived: atMs(rec.ArrivedMs), Key: rec.Key, Data: rec.Data}
	}
	return out, nil
}

func (c *console) streamLag(ctx context.Context, r *http.Request, _ []byte) (any, error) {
	return c.lags(ctx, ref(r), r.URL.Query().Get("consumer"))
}

func (c *console) lags(ctx context.Context, stream service.StreamRef, consumer string) ([]Lag, error) {
	lags, err := c.queues.StreamLag(ctx, stream, consumer)
	if err != nil {
		return nil, err
	}
	out := make([]Lag, len(lags))
	for i, l := range lags {
		out[i] = Lag{
			Consumer: l.Group, Shard: l.Shard, Position: l.Position, Tip: l.Tip, Records: l.Records, Bytes: l.Bytes,
			LagMs: l.LagMs, Member: l.Member, Closed: !l.Open,
		}
		if l.CommitMs != 0 {
			t := atMs(l.CommitMs)
			out[i].Commit = &t
		}
	}
	return out, nil
}

func (c *console) leaseShards(ctx context.Context, r *http.Request, body []byte) (any, error) {
	var b Lease
	if err := unmarshal(body, &b); err != nil {
		return nil, err
	}
	res, err := c.queues.LeaseShards(ctx, &service.LeaseRequest{
		StreamRef: ref(r), Group: r.PathValue("consumer"), Member: b.Member, LeaseMs: b.LeaseMs,
		Start: service.ShardPosition{Type: b.Start, TimestampMs: millis(b.Time)},
	})
	if err != nil {
		return nil, err
	}
	out := Leases{Leases: make([]ShardLease, len(res.Leases)), Shards: res.Shards}
	for i := range res.Leases {
		out.Leases[i] = leaseView(&res.Leases[i])
	}
	return out, nil
}

func leaseView(l *service.ShardLease) ShardLease {
	return ShardLease{Shard: l.Shard, Generation: l.Generation, Iterator: l.Iterator, Expires: atMs(l.ExpiresMs), Wanted: l.Wanted}
}

func (c *console) commitPosition(ctx context.Context, r *http.Request, body []byte) (any, error) {
	var b Commit
	if err := unmarshal(body, &b); err != nil {
		return nil, err
	}
	if b.Sequence == "" && !b.End && !b.Release && b.LeaseMs == 0 {
		return nil, model.Errorf(model.ErrValidation, "the request says nothing: give a sequence, end, release or lease_ms")
	}
	l, err := c.queues.CommitPosition(ctx, &service.CommitRequest{
		StreamRef: ref(r), Group: r.PathValue("consumer"), Shard: b.Shard, Generation: b.Generation,
		Sequence: b.Sequence, End: b.End, LeaseMs: b.LeaseMs, Release: b.Release,
	})
	if err != nil {
		return nil, err
	}
	return leaseView(l), nil
}

// seekConsumer answers with the lag as it is then.
func (c *console) seekConsumer(ctx context.Context, r *http.Request, body []byte) (any, error) {
	var b Seek
	if err := unmarshal(body, &b); err != nil {
		return nil, err
	}
	err := c.queues.SeekConsumer(ctx, &service.SeekRequest{
		StreamRef: ref(r), Group: r.PathValue("consumer"), To: service.ShardPosition{Type: b.To, TimestampMs: millis(b.Time)},
	})
	if err != nil {
		return nil, err
	}
	return c.lags(ctx, ref(r), r.PathValue("consumer"))
}

func (c *console) forgetConsumer(ctx context.Context, r *http.Request, _ []byte) (any, error) {
	return struct{}{}, c.queues.ForgetNamedConsumer(ctx, ref(r), r.PathValue("consumer"))
}
