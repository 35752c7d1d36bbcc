package machine

import (
	"fmt"
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
	res, err := out.Expand(v, cmd)
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
		got := decodeAs[model.ReceiveResult](t, do(model.CmdReceive, r.receiveCommand(5, 2, 100).Body).Bytes())
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
	v.checkSteps(t, 10_000, most)
}

// checkSteps checks that the tombstones, of which there must be some, were
// stepped over at most once, and not many by one command.
func (v *tombView) checkSteps(t *testing.T, tombs, most int) {
	t.Helper()
	if len(v.tombs) < tombs {
		t.Fatalf("only %d tombstones", len(v.tombs))
	}
	if v.stepped > len(v.tombs) || most > 20 {
		t.Fatalf("%d steps over %d tombstones, %d by one command", v.stepped, len(v.tombs), most)
	}
}

// TestGroupsDoNotDecay is the same for the indexes of groups, priorities and
// schedules: a backlog in groups that stays, groups that come and go, messages
// that time out, die, are claimed, released and cancelled.
func TestGroupsDoNotDecay(t *testing.T) {
	for _, settings := range []model.QueueSettings{
		{Fifo: true, MaxReceives: 3},
		{MaxReceives: 3},
		{GroupRateMilli: 5_000_000},
	} {
		t.Run(fmt.Sprintf("%+v", settings), func(t *testing.T) {
			r := newQueueRig(t)
			r.settings = settings
			d := &decay{queueRig: r, v: &tombView{memView: r.view}, t: t}
			for i := range 1000 {
				d.round(i)
			}
			d.v.checkSteps(t, 5000, d.most)
			r.checkQueue(5)
		})
	}
}

// decay does the same things for ever.
type decay struct {
	*queueRig
	v    *tombView
	t    *testing.T
	most int
}

func (d *decay) do(kind model.CommandKind, body []byte) model.Result {
	before := d.v.stepped
	res := d.v.apply(d.t, d.queueRig, &model.Command{Kind: kind, Resource: 5, Slot: model.QueueSlot(5), Body: body})
	d.most = max(d.most, d.v.stepped-before)
	return res
}

func (d *decay) round(i int) {
	d.nowMs += 3
	send := model.Send{Settings: d.settings}
	for _, group := range []string{"long", fmt.Sprint("short", i)} {
		e := d.entry("x", int64(i%3)*20)
		e.Message.Group, e.Message.Dedup = group, fmt.Sprint(group, i)
		if !d.settings.Fifo {
			e.Message.Priority = uint8(i % 2 * 5)
		}
		send.Entries = append(send.Entries, e)
	}
	timed := d.entry("x", 0)
	timed.Message.Group, timed.AtMs = "timed", d.nowMs+1000
	send.Entries = append(send.Entries, timed)
	d.do(model.CmdSend, send.Append(nil))
	if i%2 == 0 {
		d.do(model.CmdCancelScheduled, (&model.CancelScheduled{IDs: []model.MessageID{timed.Message.ID}}).Append(nil))
	}
	got := decodeAs[model.ReceiveResult](d.t, d.do(model.CmdReceive, d.receiveCommand(5, 4, 100).Body).Bytes())
	for j, m := range got.Messages {
		if (i+j)%5 == 0 {
			continue // times out and comes again
		}
		d.do(model.CmdDeleteMessages, (&model.DeleteMessages{Receipts: d.receipts(5, []string{m.Receipt})}).Append(nil))
	}
	claim := model.Claim{Settings: d.settings, Pipe: 9, Max: 2, Dead: i%2 == 0}
	if got := decodeAs[model.ClaimResult](d.t, d.do(model.CmdClaim, claim.Append(nil)).Body); got.Taken > 0 {
		d.do(model.CmdSettle, (&model.Settle{Pipe: 9, Claim: got.Seq, Release: i%8 == 1}).Append(nil))
	}
}
