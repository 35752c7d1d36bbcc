package pipe

import "weir.dev/weir/internal/model"

// end finishes a deleted pipe: no claim is left, so the targets may forget its
// results, and the catalog the pipe. It reports false when it must try again.
func (w *worker) end(j *job) bool {
	if _, ok := w.close(j); !ok {
		return false
	}
	return w.engine.service.ForgetResource(w.ctx, j.id) == nil
}

// close sees to it that the pipe makes no more claims, rolls those that it made
// forward, and lets the targets forget their results. It returns how many
// messages the pipe has settled; ok is false when it must be tried again.
func (w *worker) close(j *job) (settled uint64, ok bool) {
	slots, err := w.claimSlots(j)
	if err != nil {
		return 0, false
	}
	for _, slot := range w.dropSlots(j) {
		drop := &model.Command{Kind: model.CmdDropResource, Resource: j.id, Slot: slot}
		if _, err := w.propose(drop); err != nil {
			return 0, false
		}
	}
	// From here on the source makes no claim for the pipe. Some may have been
	// made in the meantime.
	if err := w.recover(j); err != nil || !w.idle() {
		return 0, false
	}
	if settled, ok = w.allSettled(j); !ok {
		return 0, false
	}
	for _, t := range w.targets(j) {
		for _, slot := range slots {
			body := model.PipeApply{Pipe: j.id, Source: w.source(slot), Floor: model.FloorEnd, Part: t.number}
			if _, err := w.propose(&model.Command{Kind: model.CmdPipeApply, Resource: t.target, Slot: t.slot, Body: body.Append(nil)}); err != nil {
				return 0, false
			}
		}
	}
	return settled, !j.fromStream() || w.forgetPositions(j) == nil
}

// dropSlots are slots of all tablets in which the pipe may make claims: of a
// stream's, whose shards come and go, all there are.
func (w *worker) dropSlots(j *job) []model.Slot {
	if !j.fromStream() {
		return j.slots
	}
	var slots []model.Slot
	for _, t := range w.engine.cluster.Catalog().Tablets {
		if t.Hi > t.Lo {
			slots = append(slots, model.Slot(t.Lo))
		}
	}
	return slots
}

// targets are the parts that may hold results of the pipe.
func (w *worker) targets(j *job) (parts []part) {
	if j.spec.TargetKind == model.KindQueue {
		parts = w.targetQueues(j)
	}
	if j.spec.TargetKind == model.KindStream {
		parts = w.targetShards(j)
	}
	for i, slot := range j.spec.Bounds {
		parts = append(parts, part{number: uint32(i), target: j.spec.Target, slot: slot})
	}
	if j.spec.DeadLetters != 0 {
		parts = append(parts, part{number: model.DeadPart, target: j.spec.DeadLetters, slot: model.QueueSlot(j.spec.DeadLetters)})
	}
	return parts
}

// targetShards are the shards of a target stream that are known, open or not.
// What others remember goes with the stream.
func (w *worker) targetShards(j *job) (parts []part) {
	st, err := w.engine.service.StreamByID(w.ctx, j.spec.Target)
	if err != nil || st == nil {
		return nil
	}
	for i := range st.Spec.Shards {
		n := st.Spec.Shards[i].Number
		parts = append(parts, part{number: uint32(n), target: st.ID, slot: model.ShardSlot(st.ID, n)})
	}
	return parts
}
