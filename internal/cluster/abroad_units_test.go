package cluster

import (
	"context"
	"testing"
	"time"

	"weir.dev/weir/internal/model"
	"weir.dev/weir/internal/terms"
)

// TestSyncUnits: of what clients do with queues and streams the answers wait
// that a region which takes over must know of, and no others; while the link is
// behind, or at its first copy, the ones are refused and the others go on.
func TestSyncUnits(t *testing.T) {
	inWorld(t, 3, 1, func(w *world) {
		ctx := context.Background()
		l := &linked{w: w, table: w.create(model.KindQueue, "jobs", nil)}
		stream := w.create(model.KindStream, "clicks", nil)
		link := model.LinkSpec{Mode: model.LinkSync, Queues: []string{"jo*"}, Streams: []string{"clicks"}}
		l.links = []model.ResourceID{w.create(model.KindLink, "a", link.Append(nil))}
		for _, id := range []model.ResourceID{l.table, stream} {
			watch := model.Watch{Reader: l.links[0], Version: 1, Log: true}
			if _, err := w.room(1).Propose(ctx, &model.Command{Kind: model.CmdWatch, Resource: id, Body: watch.Append(nil)}); err != nil {
				t.Fatal(err)
			}
		}
		copied := model.Shipped{Tables: []model.ShippedTable{{ID: l.table, Copied: true}, {ID: stream, Copied: true}}}
		do := func(cmd *model.Command) (model.Result, terms.Given, time.Duration, error) {
			x, begun := &terms.Terms{}, time.Now()
			res, err := w.room(2).Propose(terms.With(ctx, x), cmd)
			return res, x.Given(), time.Since(begun).Round(100 * time.Millisecond), err
		}
		number := byte(0)
		inQueue := func(kind model.CommandKind, body []byte) *model.Command {
			number++
			return &model.Command{Kind: kind, ID: model.RequestID{number, 7}, Resource: l.table, Slot: 5, Body: body}
		}
		send := func() *model.Command {
			cmd := sendCommand(number, 5, "m")
			return inQueue(model.CmdSend, cmd.Body)
		}
		position := func(op model.PositionOp, n uint64) *model.Command {
			body := model.SetPosition{Op: op, Shard: 0, Group: "g", Generation: 1, N: n, LeaseMs: 60_000}
			if op == model.PositionAcquire {
				body.Owner, body.Generation = "me", 0
			}
			return &model.Command{Kind: model.CmdSetPosition, Resource: stream, Slot: 5, Body: body.Append(nil)}
		}

		if _, _, took, err := do(send()); kindOf(err) != model.ErrUnavailable || took != model.RegionPatience {
			t.Errorf("before its first copy: %v after %v", err, took)
		}
		l.say(0, copied)
		waits := func(what string, cmd *model.Command) model.Result {
			t.Helper()
			time.AfterFunc(300*time.Millisecond, func() { l.say(0, copied) })
			res, g, took, err := do(cmd)
			if err != nil || res.Status != model.StatusOK || !g.Shipped || g.Regions != 1 || took != 300*time.Millisecond {
				t.Errorf("%s: status %d, %+v after %v, %v", what, res.Status, g, took, err)
			}
			return res
		}
		goesOn := func(what string, cmd *model.Command) model.Result {
			t.Helper()
			res, g, took, err := do(cmd)
			if err != nil || res.Status != model.StatusOK || g.Shipped || took != 0 {
				t.Errorf("%s: status %d, %+v after %v, %v", what, res.Status, g, took, err)
			}
			return res
		}
		waits("a send", send())
		receive := model.Receive{Settings: model.QueueSettings{RetentionMs: 3_600_000}, Max: 1, VisibilityMs: 30_000, Nonce: 1}
		res := goesOn("a receive", inQueue(model.CmdReceive, receive.Append(nil)))
		var got model.ReceiveResult
		got.Decode(model.NewDecoder(res.Bytes()))
		if len(got.Messages) != 1 {
			t.Fatalf("received %d messages", len(got.Messages))
		}
		receipt, err := model.ParseReceipt(l.table, got.Messages[0].Receipt)
		if err != nil {
			t.Fatal(err)
		}
		hide := model.ChangeVisibility{Changes: []model.VisibilityChange{{Receipt: receipt, VisibilityMs: 60_000}}}
		goesOn("a change of visibility", inQueue(model.CmdChangeVisibility, hide.Append(nil)))
		gone := model.DeleteMessages{Receipts: []model.Receipt{receipt}}
		waits("a delete", inQueue(model.CmdDeleteMessages, gone.Append(nil)))
		waits("a purge", inQueue(model.CmdPurge, (&model.Purge{}).Append(nil)))

		put := model.PutRecords{}
		record := model.Record{PartitionKey: []byte("k"), Data: []byte("r")}
		waits("a put", &model.Command{Kind: model.CmdPutRecords, ID: model.RequestID{99}, Resource: stream, Slot: 5, Body: put.AppendRecords(nil, []model.Record{record})})
		goesOn("a lease", position(model.PositionAcquire, 0))
		goesOn("a longer lease", position(model.PositionRenew, 0))
		waits("a commit", position(model.PositionCommit, 2))

		lost := send()
		if _, g, took, err := do(lost); kindOf(err) != model.ErrNotAbroad || took != model.RegionPatience || !g.Shipped || g.Regions != 0 {
			t.Errorf("not shipped: %+v after %v, %v", g, took, err)
		}
		for what, cmd := range map[string]*model.Command{"a send": send(), "a delete": inQueue(model.CmdDeleteMessages, gone.Append(nil)), "a commit": position(model.PositionCommit, 2)} {
			if _, _, took, err := do(cmd); kindOf(err) != model.ErrUnavailable || took != 0 {
				t.Errorf("%s while the link is behind: %v after %v", what, err, took)
			}
		}
		goesOn("a receive while the link is behind", inQueue(model.CmdReceive, receive.Append(nil)))
		goesOn("a longer lease while the link is behind", position(model.PositionRenew, 0))
		l.say(0, copied)
		if _, g, _, err := do(lost); err != nil || g.Regions != 1 {
			t.Errorf("sent again: %+v, %v", g, err)
		}
	})
}
