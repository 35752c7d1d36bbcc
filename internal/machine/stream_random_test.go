package machine

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"

	"weir.dev/weir/internal/keys"
	"weir.dev/weir/internal/model"
)

// oracleRecord is a record as the oracle has it.
type oracleRecord struct {
	n         uint64
	data      string
	arrivalMs int64
	before    uint64 // stored bytes of the puts before its own
}

// shardOracle is a shard as a list of records, next to the real one.
type shardOracle struct {
	*streamRig
	rng    *rand.Rand
	shard  model.ShardNumber
	all    []oracleRecord // also those that were removed
	low    int            // all[:low] were removed
	bytes  uint64
	closed bool
	// retriedMs is when a retry was last taken.
	retriedMs int64
	groups    map[string]*model.Position
}

// TestStreamAgainstModel does random things to a shard and to a list: records
// keep their order, none is lost or there twice, exactly the expired ones go, a
// closed shard takes nothing, and of two members only the holder commits.
func TestStreamAgainstModel(t *testing.T) {
	for seed := range uint64(30) {
		t.Run(fmt.Sprintf("seed %d", seed), func(t *testing.T) {
			rng := rand.New(rand.NewPCG(seed, 1))
			o := &shardOracle{streamRig: newStreamRig(t), rng: rng, shard: model.ShardNumber(rng.Uint32()), groups: map[string]*model.Position{}}
			o.nowMs += 10_000_000
			for range 300 {
				o.step()
				o.check()
			}
			if o.rng.IntN(2) == 0 {
				o.close(o.shard)
				o.closed = true
				o.putSome()
				o.check()
			}
			o.readAll()
			o.checkReplay()
		})
	}
}

func (o *shardOracle) step() {
	switch n := o.rng.IntN(100); {
	case n < 45:
		o.putSome()
	case n < 60:
		o.nowMs += int64(o.rng.IntN(4000))
	case n < 63:
		o.nowMs += 60_000
	case n < 67:
		before := o.nowMs - int64(o.rng.IntN(100_000))
		o.removeBefore(before)
		o.trim(o.shard, before)
	case n < 80:
		o.readSome()
	case n < 85:
		o.lookAt()
	default:
		o.positionSome()
	}
}

func (o *shardOracle) putSome() {
	var data []string
	for range 1 + o.rng.IntN(5) {
		data = append(data, fmt.Sprintf("%d-%0*d", len(o.all)+len(data), o.rng.IntN(20), 0))
	}
	o.retry = o.rng.IntN(8) == 0
	res, status := o.put(o.shard, data...)
	if o.closed {
		if status != model.StatusClosed {
			o.t.Fatalf("a closed shard answered %d", status)
		}
		return
	}
	if res.First != uint64(len(o.all)+1) || res.Count != uint64(len(data)) || res.ArrivalMs != o.nowMs {
		o.t.Fatalf("put %d records behind %d: %+v", len(data), len(o.all), res)
	}
	if o.retry {
		o.retriedMs = res.ArrivalMs
	}
	before := o.bytes
	for i, d := range data {
		o.all = append(o.all, oracleRecord{res.First + uint64(i), d, res.ArrivalMs, before})
		o.bytes += uint64(len(d)) + 3 // flags, and the partition key behind its length
	}
}

func (o *shardOracle) removeBefore(ms int64) {
	for o.low < len(o.all) && o.all[o.low].arrivalMs < ms {
		o.low++
	}
}

// firstAt is the index of the first kept record that arrived at ms or later.
func (o *shardOracle) firstAt(ms int64) int {
	i := slices.IndexFunc(o.all[o.low:], func(k oracleRecord) bool { return k.arrivalMs >= ms })
	if i < 0 {
		return len(o.all)
	}
	return o.low + i
}

func (o *shardOracle) check() {
	o.t.Helper()
	want := model.ShardState{Next: uint64(len(o.all) + 1), Low: uint64(o.low + 1), TotalBytes: o.bytes, RetriedMs: o.retriedMs}
	if o.low < len(o.all) {
		want.LowMs, want.Bytes = o.all[o.low].arrivalMs, o.bytes-o.all[o.low].before
	}
	if len(o.all) > 0 {
		want.LastMs = o.all[len(o.all)-1].arrivalMs
	}
	got := o.state(o.shard)
	if (got.ClosedMs != 0) != o.closed {
		o.t.Fatalf("closed: %+v", got)
	}
	if got.ClosedMs = 0; got != want {
		o.t.Fatalf("the shard is %+v, want %+v", got, want)
	}
	blocks := 0
	for _, k := range o.view.keys {
		if b, ok := keys.SplitBlock([]byte(k)); ok {
			blocks++
			if b.First < want.Low || b.First >= want.Next || o.all[b.First-1].arrivalMs != b.ArrivalMs || o.all[b.First-1].before != b.Before {
				o.t.Fatalf("block %+v of %+v", b, want)
			}
		}
	}
	if blocks == 0 && o.low < len(o.all) {
		o.t.Fatal("no block is left")
	}
}

func (o *shardOracle) readSome() {
	q := model.RecordsQuery{
		Shard: o.shard, N: uint64(o.rng.IntN(len(o.all) + 4)),
		MaxRecords: 1 + o.rng.Uint32N(9), MaxBytes: 1 + o.rng.Uint32N(150),
	}
	if o.rng.IntN(2) == 0 {
		q.HorizonMs = o.nowMs - int64(o.rng.IntN(90_000))
	}
	o.checkPage(q, o.read(q))
}

func (o *shardOracle) checkPage(q model.RecordsQuery, res model.RecordsResult) {
	o.t.Helper()
	i := min(max(int(q.N)-1, o.low), len(o.all))
	if i < len(o.all) && o.all[i].arrivalMs < q.HorizonMs {
		i = o.firstAt(q.HorizonMs)
	}
	records, bytes := 0, 0
	for r := range res.Runs {
		u := &res.Runs[r]
		for j := range u.Batch.Len() {
			rec := u.Batch.Record(j)
			got := oracleRecord{u.First + uint64(j), string(rec.Data), u.ArrivalMs, o.all[i].before}
			if got != o.all[i] {
				o.t.Fatalf("%+v: read %+v, want %+v", q, got, o.all[i])
			}
			i++
			records++
		}
		bytes += u.Batch.Bytes(0, u.Batch.Len())
	}
	full := i < len(o.all) && records < int(q.MaxRecords) && bytes+len(o.all[i].data)+3 <= int(q.MaxBytes)
	if full || records > int(q.MaxRecords) || records > 1 && bytes > int(q.MaxBytes) || records == 0 && i < len(o.all) {
		o.t.Fatalf("%+v: a page of %d records, %d bytes", q, records, bytes)
	}
	wantMs := int64(0)
	if i < len(o.all) {
		wantMs = o.all[i].arrivalMs
	}
	if res.Next != uint64(i+1) || res.NextMs != wantMs || res.Tip != uint64(len(o.all)+1) || res.Closed != o.closed {
		o.t.Fatalf("%+v: %+v, want to go on at %d", q, res, i+1)
	}
	if o.readable(o.shard, q.N) != (max(int(q.N)-1, o.low) < len(o.all) || o.closed) {
		o.t.Fatalf("whether %d can be read is wrong", q.N)
	}
}

// readAll reads the shard page by page, as a consumer does.
func (o *shardOracle) readAll() {
	q := model.RecordsQuery{Shard: o.shard, MaxRecords: 7, MaxBytes: 100}
	seen := 0
	for {
		res := o.read(q)
		o.checkPage(q, res)
		for i := range res.Runs {
			seen += res.Runs[i].Batch.Len()
		}
		q.N = res.Next
		if res.Next == res.Tip {
			break
		}
	}
	if seen != len(o.all)-o.low {
		o.t.Fatalf("read %d of %d records", seen, len(o.all)-o.low)
	}
}

func (o *shardOracle) lookAt() {
	ms := o.nowMs - int64(o.rng.IntN(200_000))
	i := o.firstAt(ms)
	want := model.ShardAtResult{N: uint64(i + 1)}
	if i < len(o.all) {
		want.ArrivalMs = o.all[i].arrivalMs
	}
	if got := o.at(o.shard, ms); got != want {
		o.t.Fatalf("at %d: %+v, want %+v", ms, got, want)
	}
}

// positionSome does something in the name of one of three members of one of
// two groups, each with the generation that it or somebody else last got.
func (o *shardOracle) positionSome() {
	group := fmt.Sprint("g", o.rng.IntN(2))
	owner := fmt.Sprint("w", o.rng.IntN(3))
	c := model.SetPosition{Shard: o.shard, Group: group, LeaseMs: 1 + int64(o.rng.IntN(5000)), N: uint64(o.rng.IntN(len(o.all) + 3))}
	p := o.groups[group]
	if p != nil {
		c.Generation = p.Generation - uint64(o.rng.IntN(2))
	}
	switch c.Op = model.PositionOp(1 + o.rng.IntN(5)); c.Op {
	case model.PositionAcquire:
		c.Owner, c.StartMs = owner, o.nowMs-50_000
	case model.PositionRelease:
		c.N = 0
	}
	got, status := o.set(c)
	if p == nil {
		if made := c.Op == model.PositionAcquire || c.Op == model.PositionSeek && c.N <= uint64(len(o.all)+1); made != (status == model.StatusOK) {
			o.t.Fatalf("%+v without a position: %d", c, status)
		}
		if c.Op == model.PositionAcquire && got.N != uint64(o.firstAt(c.StartMs)+1) {
			o.t.Fatalf("%+v begins at %+v", c, got)
		}
		if status == model.StatusOK {
			o.groups[group] = &got
		}
		return
	}
	o.checkChange(&c, p, &got, status)
	o.groups[group] = &got
	lag := o.positions(o.shard, group)
	i := min(max(int(got.N)-1, o.low), len(o.all))
	if len(lag.Groups) != 1 || lag.Groups[0].Position != got || lag.Groups[0].Records != uint64(len(o.all)-i) ||
		i < len(o.all) && (lag.Groups[0].Bytes != o.bytes-o.all[i].before || lag.Groups[0].NextMs != o.all[i].arrivalMs) {
		o.t.Fatalf("the lag of %+v is %+v", got, lag)
	}
}

// checkChange: only the holder moves a position, and only forward; a shard is
// taken only from nobody, from a dead holder, or by an operator.
func (o *shardOracle) checkChange(c *model.SetPosition, was, got *model.Position, status model.Status) {
	o.t.Helper()
	fail := func(what string) { o.t.Fatalf("%s: %+v made %+v of %+v, status %d", what, c, got, was, status) }
	mine := was.Owner != "" && c.Generation == was.Generation
	if got.N != was.N {
		byHolder := mine && c.Op == model.PositionCommit && got.N > was.N
		if status != model.StatusOK || got.N > uint64(len(o.all)+1) || !byHolder && c.Op != model.PositionSeek {
			fail("the position moved")
		}
	}
	if got.Owner != was.Owner {
		if got.Generation != was.Generation+1 {
			fail("the generation did not grow")
		}
		switch {
		case c.Op == model.PositionAcquire && !was.HeldAt(o.nowMs) && got.Owner == c.Owner:
		case c.Op == model.PositionRelease && mine && got.Owner == was.Wanted:
		case c.Op == model.PositionSeek && got.Owner == "":
		default:
			fail("the shard was taken")
		}
	}
	again := o.groups[c.Group].Owner == "" && c.Op == model.PositionRelease && c.Generation+1 == was.Generation
	switch c.Op {
	case model.PositionRenew, model.PositionCommit, model.PositionRelease:
		if !mine && !again && status != model.StatusStale || mine && status == model.StatusStale {
			fail("the fence failed")
		}
	}
}
