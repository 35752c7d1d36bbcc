package machine

import (
	"testing"

	"weir.dev/weir/internal/model"
)

// streamRig is a queueRig with the commands of streams: of stream 5.
type streamRig struct {
	*queueRig
	retry bool // what is put is a retry
}

func newStreamRig(t testing.TB) *streamRig { return &streamRig{queueRig: newQueueRig(t)} }

func (r *streamRig) on(kind model.CommandKind, shard model.ShardNumber, body []byte) model.Result {
	r.t.Helper()
	return r.run(&model.Command{Kind: kind, Resource: 5, Slot: model.ShardSlot(5, shard), Body: body})
}

func (r *streamRig) query(kind model.QueryKind, shard model.ShardNumber, body []byte) *model.Query {
	return &model.Query{Kind: kind, Resource: 5, Slot: model.ShardSlot(5, shard), Body: body}
}

func (r *streamRig) ask(kind model.QueryKind, shard model.ShardNumber, body []byte) []byte {
	r.t.Helper()
	res, err := Query(r.view, r.query(kind, shard, body))
	if err != nil || res.Status != model.StatusOK {
		r.t.Fatalf("query %d: status %d, %v", kind, res.Status, err)
	}
	return res.Body
}

// put puts records whose data is given; their partition key is "k".
func (r *streamRig) put(shard model.ShardNumber, data ...string) (model.PutRecordsResult, model.Status) {
	r.t.Helper()
	var records []model.Record
	for _, d := range data {
		records = append(records, model.Record{PartitionKey: []byte("k"), Data: []byte(d)})
	}
	cmd := model.PutRecords{Shard: shard, Retry: r.retry}
	res := r.on(model.CmdPutRecords, shard, cmd.AppendRecords(nil, records))
	if res.Status != model.StatusOK {
		return model.PutRecordsResult{}, res.Status
	}
	return decodeAs[model.PutRecordsResult](r.t, res.Body), res.Status
}

func (r *streamRig) close(shard model.ShardNumber) model.ShardState {
	r.t.Helper()
	return decodeAs[model.ShardState](r.t, r.on(model.CmdCloseShard, shard, (&model.CloseShard{Shard: shard}).Append(nil)).Body)
}

func (r *streamRig) trim(shard model.ShardNumber, beforeMs int64) model.ShardState {
	r.t.Helper()
	return decodeAs[model.ShardState](r.t, r.on(model.CmdTrimShard, shard, (&model.TrimShard{Shard: shard, BeforeMs: beforeMs}).Append(nil)).Body)
}

func (r *streamRig) read(q model.RecordsQuery) model.RecordsResult {
	r.t.Helper()
	return decodeAs[model.RecordsResult](r.t, r.ask(model.QueryRecords, q.Shard, q.Append(nil)))
}

func (r *streamRig) state(shard model.ShardNumber) model.ShardState {
	r.t.Helper()
	return decodeAs[model.ShardState](r.t, r.ask(model.QueryShard, shard, (&model.ShardQuery{Shard: shard}).Append(nil)))
}

func (r *streamRig) at(shard model.ShardNumber, ms int64) model.ShardAtResult {
	r.t.Helper()
	q := model.ShardAtQuery{Shard: shard, AtMs: ms}
	return decodeAs[model.ShardAtResult](r.t, r.ask(model.QueryShardAt, shard, q.Append(nil)))
}

func (r *streamRig) set(c model.SetPosition) (model.Position, model.Status) {
	r.t.Helper()
	res := r.on(model.CmdSetPosition, c.Shard, c.Append(nil))
	if len(res.Body) == 0 {
		return model.Position{}, res.Status
	}
	return decodeAs[model.Position](r.t, res.Body), res.Status
}

func (r *streamRig) positions(shard model.ShardNumber, group string) model.PositionsResult {
	r.t.Helper()
	q := model.PositionsQuery{Shard: shard, Group: group}
	return decodeAs[model.PositionsResult](r.t, r.ask(model.QueryPositions, shard, q.Append(nil)))
}

func (r *streamRig) readable(shard model.ShardNumber, n uint64) bool {
	r.t.Helper()
	ok, err := QueryReady(r.view, r.query(model.QueryRecords, shard, (&model.RecordsQuery{Shard: shard, N: n}).Append(nil)))
	if err != nil {
		r.t.Fatal(err)
	}
	return ok
}
