package pipe

import (
	"slices"
	"time"

	"weir.dev/weir/internal/base"
	"weir.dev/weir/internal/model"
)

// A pipe from a stream goes through each shard by itself: one claim at a time,
// so that the records of a shard take effect in their order, and a shard only
// when its parents were read to their end, so that those of a partition key do
// across reshardings. The pipe's position in a shard is with the shard, and
// moves when a claim is settled. Where it runs does not matter to the shards: a
// claim goes to whoever leads the shard.

// shardWait is how long a shard is waited at for records.
const shardWait = time.Second

// runStream reads the shards until the worker is stopped or its pipe forgotten.
func (w *worker) runStream() {
	defer close(w.ended)
	defer w.drives.Wait()
	defer w.cancel()
	for w.ctx.Err() == nil {
		j := w.current()
		if j.ending {
			if w.idle() && w.end(j) {
				return
			}
			w.pause(retryPause)
			continue
		}
		_ = w.startShards(j) // the next round tries again
		w.pause(superviseEvery)
	}
}

// startShards begins with the shards whose parents are finished.
func (w *worker) startShards(j *job) error {
	st, err := w.engine.service.StreamByID(w.ctx, j.spec.Source)
	if err != nil || st == nil {
		return err
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	unfinished := func(n model.ShardNumber) bool {
		_, known := st.Spec.Shard(n) // those that are not have expired
		return known && !w.finished[n] && !base.Bug("pipeparents")
	}
	for i := range st.Spec.Shards {
		sh := &st.Spec.Shards[i]
		n := sh.Number
		if w.running[n] || w.finished[n] || slices.ContainsFunc(sh.Parents, unfinished) {
			continue
		}
		w.running[n] = true
		w.drives.Go(func() {
			finished := w.runShard(n)
			w.mu.Lock()
			defer w.mu.Unlock()
			delete(w.running, n)
			w.finished[n] = finished
		})
	}
	return nil
}

// runShard claims and applies a shard's records, until it was read to its end,
// the worker stops or the pipe ends. It reports the first of these.
func (w *worker) runShard(n model.ShardNumber) (finished bool) {
	var looked time.Time
	more := false // the last claim left something
	for w.ctx.Err() == nil {
		j := w.current()
		if j.ending {
			return false
		}
		if now := w.engine.clock.Now(); (now.Sub(looked) >= recoverEvery || now.Before(looked)) && !base.Bug("claimtwice") {
			if err := w.rollShard(j, n); err != nil {
				w.pause(retryPause)
				continue
			}
			looked = now
		}
		if j.spec.Paused || !w.targetExists(j) {
			w.pause(superviseEvery)
			continue
		}
		status, took, err := w.claimShard(j, n, more)
		more = took > 0
		switch {
		case err != nil || status == model.StatusStale: // a claim may have been made unheard, or be another worker's
			looked = time.Time{}
			w.pause(retryPause)
		case status == model.StatusClosed:
			return true
		case status != model.StatusOK: // too many claims, or the stream is gone
			w.pause(moverPause)
		}
	}
	return false
}

// rollShard rolls forward the claims that there are on a shard.
func (w *worker) rollShard(j *job, n model.ShardNumber) error {
	return w.eachClaim(j, model.ShardSlot(j.spec.Source, n), func(c *claim) error {
		if c.Shard == n {
			w.driveShard(c)
		}
		return w.ctx.Err()
	})
}

// driveShard rolls a claim forward.
func (w *worker) driveShard(c *claim) {
	select {
	case w.slots <- struct{}{}:
	case <-w.ctx.Done():
		return
	}
	w.setOpen(c.id(), true)
	w.rollForward(c)
	w.setOpen(c.id(), false)
	<-w.slots
}

// claimShard waits for records, unless there surely are some, claims a portion
// and applies it. An error says that the outcome is not known.
func (w *worker) claimShard(j *job, n model.ShardNumber, more bool) (status model.Status, took int, err error) {
	body := model.ClaimRecords{Pipe: j.id, Shard: n, Max: 1, Nonce: w.nonce, StartMs: j.spec.StartMs}
	cmd := &model.Command{Kind: model.CmdClaimRecords, ID: w.engine.requestID(), Resource: j.spec.Source, Slot: model.ShardSlot(j.spec.Source, n)}
	cmd.Body = body.Append(nil)
	if !more {
		if ready, err := w.engine.cluster.AwaitReady(w.ctx, cmd, shardWait); err != nil || !ready {
			return model.StatusOK, 0, err
		}
	}
	st, err := w.engine.service.StreamByID(w.ctx, j.spec.Source)
	if err != nil || st == nil {
		return model.StatusGone, 0, err
	}
	if body.Plan, err = w.plan(j); err != nil {
		return 0, 0, err
	}
	room, wait := w.portion(j)
	if room == 0 {
		w.pause(min(wait, superviseEvery))
		return model.StatusOK, 0, nil
	}
	defer func() { w.unused(room - took) }()
	body.Max, body.HorizonMs = uint32(room), st.Spec.HorizonMs(w.engine.clock.Now().UnixMilli())
	cmd.Body = body.Append(nil)
	res, err := w.engine.cluster.Propose(w.ctx, cmd)
	if err != nil || res.Status != model.StatusOK {
		return res.Status, 0, err
	}
	var claimed model.ClaimResult
	d := model.NewDecoder(res.Body)
	claimed.Decode(d)
	if err := d.Done(); err != nil || claimed.Taken == 0 {
		return model.StatusOK, 0, err
	}
	w.noteFloor(cmd.Slot, claimed.Floor)
	c := claim{slot: cmd.Slot}
	c.UnsettledClaim = model.UnsettledClaim{Pipe: j.id, Shard: n, Seq: claimed.Seq, Nonce: w.nonce, Plan: body.Plan, Messages: claimed.Messages}
	w.driveShard(&c)
	return model.StatusOK, int(claimed.Taken), nil
}

// claimSlots are the slots of the source that may hold claims of the pipe.
func (w *worker) claimSlots(j *job) ([]model.Slot, error) {
	if !j.fromStream() {
		return j.slots, nil
	}
	st, err := w.engine.service.StreamByID(w.ctx, j.spec.Source)
	if err != nil || st == nil {
		return nil, err
	}
	var slots []model.Slot
	for i := range st.Spec.Shards {
		slots = append(slots, model.ShardSlot(j.spec.Source, st.Spec.Shards[i].Number))
	}
	slices.Sort(slots)
	return slices.Compact(slots), nil
}

// forgetPositions removes what the shards know of a pipe that has ended.
func (w *worker) forgetPositions(j *job) error {
	st, err := w.engine.service.StreamByID(w.ctx, j.spec.Source)
	if err != nil || st == nil {
		return err
	}
	for i := range st.Spec.Shards {
		n := st.Spec.Shards[i].Number
		body := model.SetPosition{Op: model.PositionForget, Shard: n, Group: model.PipeGroup(j.id)}
		cmd := &model.Command{Kind: model.CmdSetPosition, Resource: st.ID, Slot: model.ShardSlot(st.ID, n), Body: body.Append(nil)}
		if _, err := w.propose(cmd); err != nil {
			return err
		}
	}
	return nil
}
