package machine

import (
	"testing"

	"weir.dev/weir/internal/model"
)

const recordsPipe = model.ResourceID(9)

func (r *streamRig) claimRecords(shard model.ShardNumber, max uint32, change ...func(*model.ClaimRecords)) (model.ClaimResult, model.Status) {
	r.t.Helper()
	body := model.ClaimRecords{Pipe: recordsPipe, Shard: shard, Max: max, Nonce: 4, Plan: []byte("plan")}
	for _, f := range change {
		f(&body)
	}
	res := r.on(model.CmdClaimRecords, shard, body.Append(nil))
	if res.Status != model.StatusOK {
		return model.ClaimResult{}, res.Status
	}
	return decodeAs[model.ClaimResult](r.t, res.Body), res.Status
}

func (r *streamRig) settleRecords(shard model.ShardNumber, seq model.ClaimSeq, release bool) {
	r.t.Helper()
	body := model.Settle{Pipe: recordsPipe, Claim: seq, Release: release}
	if res := r.on(model.CmdSettleRecords, shard, body.Append(nil)); res.Status != model.StatusOK {
		r.t.Fatalf("settle: %+v", res)
	}
}

func (r *streamRig) recordClaims(shard model.ShardNumber) model.ClaimsResult {
	r.t.Helper()
	return decodeAs[model.ClaimsResult](r.t, r.ask(model.QueryClaims, shard, (&model.ClaimsQuery{Pipe: recordsPipe}).Append(nil)))
}

func (r *streamRig) claimable(shard model.ShardNumber) bool {
	r.t.Helper()
	body := model.ClaimRecords{Pipe: recordsPipe, Shard: shard}
	cmd := &model.Command{Kind: model.CmdClaimRecords, Resource: 5, Slot: model.ShardSlot(5, shard), Body: body.Append(nil)}
	ready, next, err := Ready(r.view, nil, cmd, 1)
	if err != nil || next != 0 {
		r.t.Fatal(next, err)
	}
	return ready
}

func bodiesOf(ms []model.Received) (s string) {
	for i := range ms {
		s += string(ms[i].Body)
	}
	return s
}

// TestClaimRecords: a claim holds the pipe's position, which moves when it is
// settled and not when it is released; the shard's end comes after the last one.
func TestClaimRecords(t *testing.T) {
	r := newStreamRig(t)
	if res, status := r.claimRecords(0, 9); status != model.StatusOK || res.Taken != 0 || r.claimable(0) {
		t.Fatalf("of nothing: %+v, status %d", res, status)
	}
	r.put(0, "a", "b")
	r.put(0, "c", "d", "e")
	res, _ := r.claimRecords(0, 3)
	if res.Taken != 3 || res.Seq != 1 || res.Floor != 1 || bodiesOf(res.Messages) != "abc" || res.Messages[2].Seq != 3 || res.Messages[0].Group != "k" {
		t.Fatalf("first: %+v", res)
	}
	if _, status := r.claimRecords(0, 3); status != model.StatusStale || r.claimable(0) {
		t.Errorf("while it is unsettled: status %d", status)
	}
	if got := r.recordClaims(0); len(got.Claims) != 1 || got.Claims[0].Seq != 1 || string(got.Claims[0].Plan) != "plan" || bodiesOf(got.Claims[0].Messages) != "abc" {
		t.Errorf("unsettled: %+v", got)
	}
	r.settleRecords(0, 1, true)
	if res, _ = r.claimRecords(0, 3); res.Seq != 2 || res.Floor != 2 || bodiesOf(res.Messages) != "abc" {
		t.Fatalf("after a release: %+v", res)
	}
	r.settleRecords(0, 2, false)
	r.settleRecords(0, 2, false)
	r.settleRecords(0, 1, false)
	if lag := r.positions(0, model.PipeGroup(recordsPipe)).Groups; len(lag) != 1 || lag[0].N != 4 || lag[0].Records != 2 {
		t.Errorf("position: %+v", lag)
	}
	if got := r.recordClaims(0); len(got.Claims) != 0 || got.Floor != 3 || got.Settled != 3 {
		t.Errorf("settled: %+v", got)
	}
	r.close(0)
	if res, _ = r.claimRecords(0, 9); bodiesOf(res.Messages) != "de" {
		t.Fatalf("the rest: %+v", res)
	}
	if _, status := r.claimRecords(0, 9); status != model.StatusStale {
		t.Errorf("at the end, while the last claim is unsettled: status %d", status)
	}
	r.settleRecords(0, 3, false)
	if _, status := r.claimRecords(0, 9); status != model.StatusClosed || !r.claimable(0) {
		t.Errorf("at the end: status %d", status)
	}
}

// TestClaimRecordsFrom: where a pipe begins, what has expired or is gone, how
// much a claim takes, and another pipe.
func TestClaimRecordsFrom(t *testing.T) {
	r := newStreamRig(t)
	for i := range 5 {
		r.nowMs = int64(1000 * (i + 1))
		r.put(0, string(rune('a'+i)), "-")
	}
	at := func(start, horizon int64) func(*model.ClaimRecords) {
		return func(c *model.ClaimRecords) { c.StartMs, c.HorizonMs, c.Pipe = start, horizon, 77 }
	}
	if _, status := r.claimRecords(0, 9, at(9000, 0)); status != model.StatusOK {
		t.Fatal(status)
	}
	if res, _ := r.claimRecords(0, 2, at(3000, 0)); bodiesOf(res.Messages) != "c-" {
		t.Errorf("from a time on: %+v", res)
	}
	if res, _ := r.claimRecords(0, 3, func(c *model.ClaimRecords) { c.HorizonMs = 2000 }); bodiesOf(res.Messages) != "b-c" {
		t.Errorf("behind the horizon: %+v", res)
	}
	r.trim(0, 3000)
	if got := r.recordClaims(0).Claims; len(got) != 1 || bodiesOf(got[0].Messages) != "c" {
		t.Errorf("when some were removed: %+v", got)
	}
	r.settleRecords(0, 1, false)
	if res, _ := r.claimRecords(0, 1000); bodiesOf(res.Messages) != "-d-e-" {
		t.Errorf("from the middle of a block: %+v", res)
	}
	r.settleRecords(0, 2, false)
	big := string(make([]byte, model.MaxClaimBytes))
	r.put(0, big, big, "x")
	if res, _ := r.claimRecords(0, 1000); len(res.Messages) != 1 || len(res.Messages[0].Body) != len(big) {
		t.Errorf("%d large ones at once", len(res.Messages))
	}
	drop := &model.Command{Kind: model.CmdDropResource, Resource: recordsPipe, Slot: 1}
	r.run(drop)
	if _, status := r.claimRecords(0, 9); status != model.StatusGone {
		t.Errorf("of a pipe that was dropped: status %d", status)
	}
}
