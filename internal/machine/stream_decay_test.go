package machine

import (
	"slices"
	"testing"

	"weir.dev/weir/internal/model"
)

// countView counts what a command or query does to storage.
type countView struct {
	*tombView
	gets, scans, steps int
}

func (v *countView) Get(key []byte) ([]byte, bool, error) {
	v.gets++
	return v.tombView.Get(key)
}

func (v *countView) Scan(lo, hi []byte, reverse bool) (Iterator, error) {
	v.scans++
	it, err := v.tombView.Scan(lo, hi, reverse)
	return &countIterator{it, v}, err
}

// run applies one command, read from the counting view, and notes what it
// deleted.
func (v *countView) run(t *testing.T, r *streamRig, kind model.CommandKind, body []byte) model.Result {
	t.Helper()
	r.index++
	cmd := model.Command{Kind: kind, Resource: 5, Slot: model.ShardSlot(5, 0), Stamp: r.now(), Body: body}
	r.stamp = cmd.Stamp
	var b memBatch
	out, err := r.machine.Apply(v, &b, Position{Index: r.index}, &cmd)
	if err != nil {
		t.Fatal(err)
	}
	had := slices.Clone(v.keys)
	b.commit(v.memView)
	for _, k := range had {
		if _, ok := v.values[k]; !ok {
			v.tombs = append(v.tombs, k) // a stream deletes in the order of its keys
		}
	}
	return out.Result
}

type countIterator struct {
	Iterator
	view *countView
}

func (it *countIterator) Next() bool {
	it.view.steps++
	return it.Iterator.Next()
}

// TestStreamDoesNotDecay puts and trims for a long time on a store that never
// compacts. A put reads the head and nothing else; a trim looks a few times; a reader at
// the tip, or at the low mark, does a fixed number of things; and no tombstone
// is ever stepped over.
func TestStreamDoesNotDecay(t *testing.T) {
	r := newStreamRig(t)
	r.nowMs += 10_000_000
	v := &countView{tombView: &tombView{memView: r.view}}
	const retention = 300_000
	put := model.PutRecords{Batch: model.AppendRecordBatch(nil, []model.Record{{PartitionKey: []byte("k")}})}
	read := func(n uint64) model.RecordsResult {
		q := model.RecordsQuery{N: n, MaxRecords: 3, MaxBytes: 1000, HorizonMs: r.nowMs - retention}
		res, err := Query(v, r.query(model.QueryRecords, 0, q.Append(nil)))
		if err != nil {
			t.Fatal(err)
		}
		return decodeAs[model.RecordsResult](t, res.Body)
	}
	trims, next := 0, uint64(1)
	for i := range 3000 {
		r.nowMs += 1000
		before := *v
		tombs := len(v.tombs)
		v.run(t, r, model.CmdPutRecords, put.Append(nil))
		if v.gets-before.gets != 1 || v.scans != before.scans {
			t.Fatalf("put %d reads %d keys and scans %d times", i, v.gets-before.gets, v.scans-before.scans)
		}
		if i%3 == 0 {
			v.run(t, r, model.CmdTrimShard, (&model.TrimShard{BeforeMs: r.nowMs - retention - 60_000}).Append(nil))
		}
		if len(v.tombs) > tombs {
			trims++
		}
		if v.scans-before.scans > 13 { // a block three seconds away is found in few looks
			t.Fatalf("trim %d scans %d times", i, v.scans-before.scans)
		}
		before = *v
		next = read(next).Next
		if v.gets-before.gets != 1 || v.scans-before.scans > 2 || v.steps-before.steps > 3 {
			t.Fatalf("reading put %d: %d gets, %d scans, %d steps", i, v.gets-before.gets, v.scans-before.scans, v.steps-before.steps)
		}
		before = *v
		if page := read(0); len(page.Runs) != min(i+1, 3) || v.scans-before.scans > 25 || v.steps-before.steps > 30 {
			t.Fatalf("reading from the horizon after put %d: %d runs, %d scans, %d steps", i, len(page.Runs), v.scans-before.scans, v.steps-before.steps)
		}
	}
	if trims < 500 || len(v.tombs) < 2500 || v.stepped != 0 {
		t.Fatalf("%d trims, %d tombstones, %d steps over them", trims, len(v.tombs), v.stepped)
	}
}

// TestStreamTrimOnce: however much has expired, one command with a few looks
// removes it.
func TestStreamTrimOnce(t *testing.T) {
	r := newStreamRig(t)
	for range 5000 {
		r.nowMs += 10
		r.put(0, "x")
	}
	v := &countView{tombView: &tombView{memView: r.view}}
	state := decodeAs[model.ShardState](t, v.run(t, r, model.CmdTrimShard, (&model.TrimShard{BeforeMs: r.nowMs - 5}).Append(nil)).Body)
	if state.Low != 5000 || v.scans > 30 || v.steps > 30 {
		t.Fatalf("%+v after %d scans, %d steps", state, v.scans, v.steps)
	}
}
