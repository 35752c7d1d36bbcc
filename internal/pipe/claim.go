package pipe

import (
	"time"

	"weir.dev/weir/internal/model"
	"weir.dev/weir/internal/service"
)

// claim is a claim that somebody has to roll forward, and the slot of the
// source that it was made in: each slot counts its own claims.
type claim struct {
	model.UnsettledClaim
	slot model.Slot
}

// claimID names a claim of the worker's pipe.
type claimID struct {
	slot model.Slot
	seq  model.ClaimSeq
}

func (c *claim) id() claimID { return claimID{c.slot, c.Seq} }

// claim takes a portion of messages, as the rate allows, and drives it. It
// reports false when the outcome is not known.
func (w *worker) claim(j *job) bool {
	n, wait := w.portion(j)
	if n == 0 {
		w.pause(min(wait, superviseEvery))
		return true
	}
	select {
	case w.slots <- struct{}{}:
	case <-w.ctx.Done():
		return true
	}
	took, ok := w.claimUpTo(j, n)
	w.unused(n - took)
	if took == 0 {
		<-w.slots
	}
	return ok
}

// portion is how many messages may flow now, or how long to wait.
func (w *worker) portion(j *job) (n int, wait time.Duration) {
	now := w.engine.clock.Now()
	w.mu.Lock()
	defer w.mu.Unlock()
	w.bucket.setRate(rateOf(&j.spec), now)
	return w.bucket.take(now)
}

// unused returns what of a portion was not used.
func (w *worker) unused(n int) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.bucket.giveBack(n)
}

// claimUpTo claims at most n messages and starts to drive them; whoever drives
// them frees the slot. It asks the source's slots in turn, and waits for the
// first that has something when none of them does.
func (w *worker) claimUpTo(j *job, n int) (took int, ok bool) {
	planned, err := w.plan(j)
	if err != nil {
		w.pause(retryPause)
		return 0, true
	}
	cmds := w.claimCommands(j, n, planned)
	w.turn++
	refused := false
	for i := range cmds {
		at := (w.turn + i) % len(cmds)
		wait := time.Duration(0)
		if len(cmds) == 1 && !j.mover {
			wait = claimWait
		}
		took, answer := w.claimAt(j, cmds[at], planned, wait)
		if took > 0 || answer == claimUnknown {
			return took, answer != claimUnknown
		}
		refused = refused || answer == claimRefused
	}
	if refused {
		w.pause(moverPause)
		return 0, true
	}
	if w.empty = j.mover; w.empty {
		return 0, true
	}
	if len(cmds) == 1 {
		return 0, true
	}
	at, err := service.AwaitAny(w.ctx, w.engine.cluster, cmds, claimWait)
	if err != nil || at < 0 {
		return 0, err == nil
	}
	took, answer := w.claimAt(j, cmds[at], planned, 0)
	return took, answer != claimUnknown
}

// plan is the plan of claims that are made now. A stream's open shards are part
// of it: where the claim's records begin to look for their place. It does not
// matter whether this node's catalog is up to date.
func (w *worker) plan(j *job) ([]byte, error) {
	spec := j.spec
	if spec.TargetKind == model.KindStream {
		st, err := w.engine.service.StreamByID(w.ctx, spec.Target)
		if err != nil {
			return nil, err
		}
		if st != nil {
			for _, sh := range st.Spec.OpenShards() {
				spec.TargetShards = append(spec.TargetShards, model.ShardStart{Number: sh.Number, Lo: sh.Range.Lo})
			}
		}
	}
	return plan(&spec), nil
}

func (w *worker) claimCommands(j *job, n int, planned []byte) []*model.Command {
	body := model.Claim{Settings: w.settings(j.spec.Source), Pipe: j.id, Max: uint32(n), Dead: j.mover, Nonce: w.nonce, Plan: planned}
	encoded := body.Append(nil)
	cmds := make([]*model.Command, len(j.slots))
	for i, slot := range j.slots {
		cmds[i] = &model.Command{Kind: model.CmdClaim, ID: w.engine.requestID(), Resource: j.spec.Source, Slot: slot, Body: encoded}
	}
	return cmds
}

// claimAnswer is what a slot answered to a claim.
type claimAnswer uint8

const (
	claimHeard   claimAnswer = iota
	claimRefused             // too many claims are open, or there is nothing to claim from any more
	claimUnknown             // it may have been made
)

// claimAt claims in one slot.
func (w *worker) claimAt(j *job, cmd *model.Command, planned []byte, wait time.Duration) (took int, answer claimAnswer) {
	res, proposed, err := w.engine.cluster.ProposeWhenReady(w.ctx, cmd, wait)
	switch {
	case err != nil:
		return 0, claimUnknown
	case !proposed:
		return 0, claimHeard
	case res.Status != model.StatusOK:
		return 0, claimRefused
	}
	var claimed model.ClaimResult
	d := model.NewDecoder(res.Body)
	claimed.Decode(d)
	if d.Done() != nil {
		return 0, claimUnknown
	}
	if claimed.Taken == 0 {
		return 0, claimHeard
	}
	w.noteFloor(cmd.Slot, claimed.Floor)
	c := claim{slot: cmd.Slot}
	c.UnsettledClaim = model.UnsettledClaim{Pipe: j.id, Seq: claimed.Seq, Nonce: w.nonce, Dead: j.mover, Plan: planned, Messages: claimed.Messages}
	w.drive(c)
	return int(claimed.Taken), claimHeard
}

// settings are the settings of a queue that commands on it carry; none for
// other resources.
func (w *worker) settings(id model.ResourceID) model.QueueSettings {
	var q model.QueueSpec
	if r, ok := w.engine.cluster.Catalog().ResourceByID(id); ok && r.Kind == model.KindQueue {
		q.Decode(model.NewDecoder(r.Spec))
	}
	return q.Settings()
}

// claims reads the pipe's unsettled claims in a slot, behind a claim. ok is
// false when the source is gone.
func (w *worker) claims(j *job, slot model.Slot, after model.ClaimSeq) (page model.ClaimsResult, ok bool, err error) {
	q := model.ClaimsQuery{Pipe: j.id, After: after}
	res, err := w.engine.cluster.Read(w.ctx, &model.Query{Kind: model.QueryClaims, Resource: j.spec.Source, Slot: slot, Body: q.Append(nil)}, true)
	if err != nil || res.Status == model.StatusGone {
		return page, false, err
	}
	d := model.NewDecoder(res.Body)
	page.Decode(d)
	return page, true, d.Done()
}

// recover drives the unsettled claims that nobody here drives.
func (w *worker) recover(j *job) error {
	slots, err := w.claimSlots(j)
	if err != nil {
		return err
	}
	for _, slot := range slots {
		if err := w.eachClaim(j, slot, func(c *claim) error { return w.takeOver(*c) }); err != nil {
			return err
		}
	}
	return nil
}

// eachClaim calls do with the pipe's unsettled claims in a slot.
func (w *worker) eachClaim(j *job, slot model.Slot, do func(c *claim) error) error {
	for after := model.ClaimSeq(0); ; {
		page, ok, err := w.claims(j, slot, after)
		if err != nil || !ok {
			return err
		}
		w.noteFloor(slot, page.Floor)
		for _, c := range page.Claims {
			after = c.Seq
			if err := do(&claim{c, slot}); err != nil {
				return err
			}
		}
		if !page.More || len(page.Claims) == 0 {
			return nil
		}
	}
}

// takeOver drives a claim unless it is being driven.
func (w *worker) takeOver(c claim) error {
	if w.isOpen(c.id()) {
		return nil
	}
	select {
	case w.slots <- struct{}{}:
		w.drive(c)
		return nil
	case <-w.ctx.Done():
		return w.ctx.Err()
	}
}

// allSettled reports that the pipe has no unsettled claim, and how many
// messages it has settled.
func (w *worker) allSettled(j *job) (settled uint64, ok bool) {
	slots, err := w.claimSlots(j)
	if err != nil {
		return 0, false
	}
	for _, slot := range slots {
		page, found, err := w.claims(j, slot, 0)
		if err != nil || found && len(page.Claims) > 0 {
			return 0, false
		}
		settled += page.Settled
	}
	return settled, true
}

func (w *worker) isOpen(id claimID) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.open[id]
}

// drive rolls a claim forward on a goroutine of its own, which then frees the
// slot that the caller took.
func (w *worker) drive(c claim) {
	w.setOpen(c.id(), true)
	w.drives.Go(func() {
		w.rollForward(&c)
		w.setOpen(c.id(), false)
		<-w.slots
	})
}

func (w *worker) setOpen(id claimID, open bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if open {
		w.open[id] = true
	} else {
		delete(w.open, id)
	}
}

// noteFloor keeps what the source said last: every claim in the slot below it
// is settled. The worker's own picture would not do: a claim whose answer was
// lost is unsettled too.
func (w *worker) noteFloor(slot model.Slot, floor model.ClaimSeq) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.floors[slot] = max(w.floors[slot], floor)
}

func (w *worker) knownFloor(slot model.Slot) model.ClaimSeq {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.floors[slot]
}
