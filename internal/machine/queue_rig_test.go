package machine

import (
	"encoding/binary"
	"reflect"
	"testing"

	"weir.dev/weir/internal/keys"
	"weir.dev/weir/internal/model"
)

// queueRig is a rig with the commands of queues and pipes, at a time that the
// test sets.
type queueRig struct {
	t testing.TB
	*rig
	nowMs    int64
	settings model.QueueSettings
	nonce    uint64
	lastID   uint64
	woke     bool // the last command asked for a wake-up
	log      []model.Command
	heads    Heads
}

func newQueueRig(t testing.TB) *queueRig { return &queueRig{t: t, rig: newRig(), nowMs: 1_000_000} }

func (r *queueRig) now() model.Stamp { return max(model.Stamp(uint64(r.nowMs)<<16), r.stamp+1) }

func (r *queueRig) do(kind model.CommandKind, id model.ResourceID, body []byte) model.Result {
	r.t.Helper()
	return r.run(&model.Command{Kind: kind, Resource: id, Slot: model.QueueSlot(id), Body: body})
}

func (r *queueRig) run(cmd *model.Command) model.Result {
	r.t.Helper()
	cmd.Stamp = r.now()
	out, err := r.apply(cmd)
	if err != nil {
		r.t.Fatal(err)
	}
	r.log = append(r.log, *cmd)
	r.machine.Publish(&r.heads)
	r.woke = out.Wake
	res, err := out.Expand(r.view, cmd)
	if err != nil {
		r.t.Fatal(err)
	}
	return res
}

func decodeAs[T any, P interface {
	*T
	Decode(*model.Decoder)
}](t testing.TB, body []byte) T {
	t.Helper()
	var v T
	d := model.NewDecoder(body)
	P(&v).Decode(d)
	if err := d.Done(); err != nil {
		t.Fatalf("result does not decode: %v", err)
	}
	return v
}

func (r *queueRig) entry(body string, delayMs int64) model.SendEntry {
	r.lastID++
	e := model.SendEntry{DelayMs: delayMs, Message: model.Message{Sender: "me", Body: []byte(body)}}
	binary.BigEndian.PutUint64(e.Message.ID[8:], r.lastID)
	return e
}

func (r *queueRig) send(id model.ResourceID, delayMs int64, bodies ...string) model.SendResult {
	r.t.Helper()
	cmd := model.Send{Settings: r.settings}
	for _, b := range bodies {
		cmd.Entries = append(cmd.Entries, r.entry(b, delayMs))
	}
	return decodeAs[model.SendResult](r.t, r.do(model.CmdSend, id, cmd.Append(nil)).Body)
}

func (r *queueRig) receiveCommand(id model.ResourceID, n uint32, visibilityMs int64) *model.Command {
	r.nonce++
	cmd := model.Receive{Settings: r.settings, Max: n, VisibilityMs: visibilityMs, Nonce: r.nonce}
	return &model.Command{Kind: model.CmdReceive, Resource: id, Slot: model.QueueSlot(id), Body: cmd.Append(nil)}
}

func (r *queueRig) receive(id model.ResourceID, n uint32, visibilityMs int64) []model.Received {
	r.t.Helper()
	res := r.run(r.receiveCommand(id, n, visibilityMs))
	if res.Status != model.StatusOK {
		r.t.Fatalf("receive: status %d", res.Status)
	}
	return decodeAs[model.ReceiveResult](r.t, res.Bytes()).Messages
}

func (r *queueRig) receipts(id model.ResourceID, handles []string) (rs []model.Receipt) {
	r.t.Helper()
	for _, h := range handles {
		receipt, err := model.ParseReceipt(id, h)
		if err != nil {
			r.t.Fatal(err)
		}
		rs = append(rs, receipt)
	}
	return rs
}

// delete returns what became of the receipts; nil when they are all EntryOK.
func (r *queueRig) delete(id model.ResourceID, handles ...string) model.EntryStatuses {
	r.t.Helper()
	cmd := model.DeleteMessages{Receipts: r.receipts(id, handles)}
	res := r.do(model.CmdDeleteMessages, id, cmd.Append(nil))
	if res.Status != model.StatusOK {
		r.t.Fatalf("delete: status %d", res.Status)
	}
	if len(res.Body) == 0 {
		return nil
	}
	return decodeAs[model.EntryStatuses](r.t, res.Body)
}

func (r *queueRig) changeVisibility(id model.ResourceID, ms int64, handles ...string) model.EntryStatuses {
	r.t.Helper()
	var cmd model.ChangeVisibility
	for _, receipt := range r.receipts(id, handles) {
		cmd.Changes = append(cmd.Changes, model.VisibilityChange{Receipt: receipt, VisibilityMs: ms})
	}
	return decodeAs[model.EntryStatuses](r.t, r.do(model.CmdChangeVisibility, id, cmd.Append(nil)).Body)
}

func (r *queueRig) counts(id model.ResourceID) model.QueueCounts {
	r.t.Helper()
	q := model.Query{Kind: model.QueryQueue, Resource: id, Slot: model.QueueSlot(id), Body: (&model.QueueQuery{NowMs: r.nowMs}).Append(nil)}
	res, err := Query(r.view, &q)
	if err != nil {
		r.t.Fatal(err)
	}
	return decodeAs[model.QueueCounts](r.t, res.Body)
}

func (r *queueRig) peek(id model.ResourceID, body model.PeekQuery) model.PeekResult {
	r.t.Helper()
	res, err := Query(r.view, &model.Query{Kind: model.QueryPeek, Resource: id, Slot: model.QueueSlot(id), Body: body.Append(nil)})
	if err != nil {
		r.t.Fatal(err)
	}
	return decodeAs[model.PeekResult](r.t, res.Body)
}

// stores reports whether a message of queue 5 is there, alone or in its block.
func (r *queueRig) stores(seq uint64) bool {
	r.t.Helper()
	if _, ok := r.view.values[string(messageKey(seq))]; ok {
		return true
	}
	number, i, ok := keys.SplitInBlock(seq)
	if !ok {
		return false
	}
	_, ok, err := readBlock(r.view, 5, model.QueueSlot(5), number)
	state, _, stateErr := readBlockState(r.view, 5, model.QueueSlot(5), number)
	if err != nil || stateErr != nil {
		r.t.Fatal(err, stateErr)
	}
	return ok && !state.Gone.Has(i)
}

func messageKey(seq uint64) []byte { return keys.Message(nil, 5, model.QueueSlot(5), seq) }

func (r *queueRig) ready(cmd *model.Command) (bool, int64) {
	r.t.Helper()
	ok, next, err := Ready(r.view, nil, cmd, r.now())
	if err != nil {
		r.t.Fatal(err)
	}
	okByHead, nextByHead, err := Ready(r.view, r.heads.Of(cmd, &Head{}), cmd, r.now())
	if err != nil || ok != okByHead || next != nextByHead {
		r.t.Fatalf("ready %v, next %d; by the head in memory %v, %d, %v", ok, next, okByHead, nextByHead, err)
	}
	return ok, next
}

func (r *queueRig) claim(id, pipe model.ResourceID, n uint32, dead bool, plan string) (model.ClaimResult, model.Status) {
	r.t.Helper()
	r.nonce++
	cmd := model.Claim{Settings: r.settings, Pipe: pipe, Max: n, Dead: dead, Nonce: r.nonce, Plan: []byte(plan)}
	res := r.do(model.CmdClaim, id, cmd.Append(nil))
	if res.Status != model.StatusOK {
		return model.ClaimResult{}, res.Status
	}
	return decodeAs[model.ClaimResult](r.t, res.Body), res.Status
}

func (r *queueRig) settle(id, pipe model.ResourceID, claim model.ClaimSeq, release bool) {
	r.t.Helper()
	cmd := model.Settle{Pipe: pipe, Claim: claim, Release: release}
	if res := r.do(model.CmdSettle, id, cmd.Append(nil)); res.Status != model.StatusOK {
		r.t.Fatalf("settle: status %d", res.Status)
	}
}

func (r *queueRig) claims(id, pipe model.ResourceID, after model.ClaimSeq) model.ClaimsResult {
	r.t.Helper()
	q := model.Query{Kind: model.QueryClaims, Resource: id, Slot: model.QueueSlot(id), Body: (&model.ClaimsQuery{Pipe: pipe, After: after}).Append(nil)}
	res, err := Query(r.view, &q)
	if err != nil {
		r.t.Fatal(err)
	}
	return decodeAs[model.ClaimsResult](r.t, res.Body)
}

// checkReplay applies the same commands on two other replicas and compares the
// states: on one that restarts on the way, and on one that keeps no head in memory.
func (r *queueRig) checkReplay() {
	r.t.Helper()
	r.replay(false)
	r.replay(true)
}

func (r *queueRig) replay(forgetful bool) {
	r.t.Helper()
	other := newRig()
	for i := range r.log {
		if forgetful {
			other.machine.heads.forget()
		}
		if i == len(r.log)/2 {
			other.machine = New(1, 0, model.SlotCount)
			if err := other.machine.Load(other.view); err != nil {
				r.t.Fatal(err)
			}
		}
		if _, err := other.apply(&r.log[i]); err != nil {
			r.t.Fatal(err)
		}
	}
	if !reflect.DeepEqual(r.view.values, other.view.values) {
		r.t.Fatal("another replica has another state")
	}
}

func (r *queueRig) head(id model.ResourceID) (head keys.QueueRecord) {
	r.t.Helper()
	if err := readQueueHead(r.view, id, model.QueueSlot(id), &head); err != nil {
		r.t.Fatal(err)
	}
	return head
}
