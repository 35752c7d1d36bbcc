package machine

import (
	"sort"
	"testing"

	"weir.dev/weir/internal/model"
)

// tombView remembers deleted keys, as an LSM tree does until it compacts, and
// counts how many of them scans step over.
type tombView struct {
	*memView
	tombs   []string // ascending
	stepped int
}

func (v *tombView) Scan(lo, hi []byte, reverse bool) (Iterator, error) {
	it, err := v.memView.Scan(lo, hi, reverse)
	return &tombIterator{Iterator: it, view: v, lo: string(lo), hi: string(hi)}, err
}

// tombIterator steps over the tombstones before each key that it comes to, and
// at the end over the rest.
type tombIterator struct {
	Iterator
	view   *tombView
	lo, hi string
}

func (it *tombIterator) Next() bool {
	ok := it.Iterator.Next()
	end := it.hi
	if ok {
		end = string(it.Key())
	}
	i, j := sort.SearchStrings(it.view.tombs, it.lo), sort.SearchStrings(it.view.tombs, end)
	it.view.stepped += max(0, j-i)
	it.lo = end
	return ok
}

// apply applies one command and notes what it deleted.
func (v *tombView) apply(t *testing.T, r *queueRig, cmd *model.Command) model.Result {
	t.Helper()
	r.index++
	cmd.Stamp = r.now()
	r.stamp = cmd.Stamp
	var b memBatch
	out, err := r.machine.Apply(v, &b, Position{Index: r.index}, cmd)
	if err != nil {
		t.Fatal(err)
	}
	before := v.memView.keys
	had := make([]string, len(before))
	copy(had, before)
	b.commit(v.memView)
	for _, k := range had {
		if _, ok := v.values[k]; !ok {
			i := sort.SearchStrings(v.tombs, k)
			if i == len(v.tombs) || v.tombs[i] != k {
				v.tombs = append(v.tombs, "")
				copy(v.tombs[i+1:], v.tombs[i:])
				v.tombs[i] = k
			}
		}
	}
	res, err := Expand(v, cmd, out.Result)
	if err != nil {
		t.Fatal(err)
	}
	return res
}

// TestQueueDoesNotDecay sends, receives and deletes for a long time on a store
// that never compacts. No tombstone is stepped over more than once, nor many
// by one command: what a command costs does not grow with what was deleted.
func TestQueueDoesNotDecay(t *testing.T) {
	r := newQueueRig(t)
	v := &tombView{memView: r.view}
	slot := model.QueueSlot(5)
	most := 0
	do := func(kind model.CommandKind, body []byte) model.Result {
		before := v.stepped
		res := v.apply(t, r, &model.Command{Kind: kind, Resource: 5, Slot: slot, Body: body})
		most = max(most, v.stepped-before)
		return res
	}
	for i := range 4000 {
		r.nowMs += 3
		cmd := model.Send{Entries: []model.SendEntry{r.entry("x", int64(i%3)*20)}}
		do(model.CmdSend, cmd.Append(nil))
		got := decodeAs[model.ReceiveResult](t, do(model.CmdReceive, r.receiveCommand(5, 2, 100).Body).Body)
		if i%2 == 0 {
			if claim := decodeAs[model.ClaimResult](t, do(model.CmdClaim, (&model.Claim{Pipe: 9, Max: 1}).Append(nil)).Body); claim.Taken > 0 {
				do(model.CmdSettle, (&model.Settle{Pipe: 9, Claim: claim.Seq}).Append(nil))
			}
		}
		for j, m := range got.Messages {
			if j%5 == i%5 {
				continue // times out and comes again
			}
			body := model.DeleteMessages{Receipts: r.receipts(5, []string{m.Receipt})}
			do(model.CmdDeleteMessages, body.Append(nil))
		}
	}
	if len(v.tombs) < 10_000 {
		t.Fatalf("only %d tombstones", len(v.tombs))
	}
	if v.stepped > len(v.tombs) || most > 20 {
		t.Fatalf("%d steps over %d tombstones, %d by one command", v.stepped, len(v.tombs), most)
	}
}
