package service

import (
	"context"
	"slices"
	"time"

	"weir.dev/weir/internal/model"
)

// A client that closes its connection while it is given messages does not see
// them, and nobody else would before their visibility timeout has passed. As soon
// as that is known they are made visible again: what was taken, and what may have
// been taken by a command whose answer the closing came before. The receive
// counts. What is sent to a client that closes its connection afterwards is lost
// to it, as everywhere.
//
// Nothing is given back of a call that its client may try again, by its
// invocation id: it may have closed the connection because it does, and have been
// given the same messages, by the same receipts, by another node.

// giveBackTime bounds how long the service tries. Then the visibility timeout
// does the same, later.
const giveBackTime = 5 * time.Second

// giveBack makes visible what a client that is gone was given.
func (r *receiver) giveBack(ctx context.Context, got []model.Received) {
	s := r.service
	ctx, cancel := context.WithCancel(context.WithoutCancel(ctx))
	defer cancel()
	defer s.clock.AfterFunc(giveBackTime, cancel).Stop()
	if r.doubt >= 0 {
		ask := r.cmd(r.doubt)
		ask.Body = r.nothing() // comes after the one in doubt
		if res, err := s.cluster.Propose(ctx, ask); err == nil {
			got, _ = r.taken(r.doubt, res) // what cannot be read comes back by itself
		}
	}
	if len(got) == 0 {
		return
	}
	change := model.ChangeVisibility{GiveBack: true}
	at := 0
	for i := range got { // all are from one slot
		receipt, err := model.ParseReceipt(r.queue.ID, got[i].Receipt)
		if err != nil {
			return
		}
		at = slices.Index(r.queue.slots, receipt.Slot)
		change.Changes = append(change.Changes, model.VisibilityChange{Receipt: receipt})
	}
	// What fails comes back by itself.
	_, _ = s.propose(ctx, r.queue, at, model.CmdChangeVisibility, s.newRequestID(), change.Append(nil))
}
