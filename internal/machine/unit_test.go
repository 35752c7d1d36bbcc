package machine

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"weir.dev/weir/internal/model"
)

// pairOfUnits is two regions, of which the first has the writes and ships, and
// the second is passive.
func pairOfUnits(t testing.TB, stream bool, before func(a *unitRegion)) (a, b *unitRegion) {
	a, b = newUnitRegion(t, 101, stream), newUnitRegion(t, 102, stream)
	b.watch(false)
	b.role(true)
	before(a)
	a.watch(true)
	a.copyAnew()
	return a, b
}

// switchOver moves the writes, as planned: everything was shipped.
func switchOver(from, to *unitRegion) {
	from.role(true)
	from.shipAll(to)
	if from.logs() {
		to.t.Fatal("something is left")
	}
	to.role(false)
}

func (u *unitRegion) logs() bool {
	_, changes, _ := u.logged(1)
	return len(changes) > 0 && changes[0].Version.Region == 0
}

// TestQueueCopiesAgainstOriginal does random things to a queue, ships them with
// repetitions, begins copies anew at any time, and moves the writes between the
// regions, as planned and by force. The queue was in use before. Whenever everything is shipped the copy holds
// what the original does, under the same numbers; and what is sent after a move
// is received in the order of its group.
func TestQueueCopiesAgainstOriginal(t *testing.T) {
	for seed := range uint64(12) {
		rng := rand.New(rand.NewPCG(seed, 21))
		a, b := pairOfUnits(t, false, func(a *unitRegion) {
			a.settings.Fifo = rng.IntN(2) == 0
			for range rng.IntN(100) { // what nobody watches is stored otherwise
				queueStep(a, rng)
			}
		})
		b.watch(true)
		b.sent, b.settings.Fifo = 0, a.settings.Fifo
		a.settings.MaxReceives, b.settings.MaxReceives = uint32(rng.IntN(3)), uint32(rng.IntN(3))
		active, passive := a, b
		for step := range 400 {
			queueStep(active, rng)
			active.checkQueue(5)
			passive.checkQueue(5)
			if rng.IntN(3) == 0 {
				active.ship(passive, 1+rng.IntN(5), false, rng)
			}
			switch {
			case rng.IntN(40) == 0 && active.copying == nil:
				active.copyAnew()
			case rng.IntN(60) == 0:
				active.shipAll(passive)
				if got, want := passive.messages(), active.messages(); !slices.Equal(got, want) {
					t.Fatalf("seed %d, step %d: the copy holds\n%s\nthe original\n%s", seed, step, strings.Join(got, "\n"), strings.Join(want, "\n"))
				}
				agree(active, passive, uint64(1+rng.IntN(8)))
			case rng.IntN(60) == 0:
				switchOver(active, passive)
				active, passive = passive, active
			case rng.IntN(100) == 0 && !passive.record(passive.units()[0]).Copying:
				active = forceOver(active, passive, rng)
				passive = a
				if active == a {
					passive = b
				}
			}
		}
		active.shipAll(passive)
		if got, want := passive.messages(), active.messages(); !slices.Equal(got, want) {
			t.Fatalf("seed %d: the copy holds\n%s\nthe original\n%s", seed, strings.Join(got, "\n"), strings.Join(want, "\n"))
		}
		switchOver(active, passive)
		drainInOrder(passive)
		a.checkReplay()
		b.checkReplay()
	}
}

// forceOver has the passive region take the writes, although the other one may
// hold more, which is merged at times. It returns the region with the writes.
func forceOver(active, passive *unitRegion, rng *rand.Rand) *unitRegion {
	passive.role(false)
	for range rng.IntN(5) {
		queueStep(active, rng) // the old one has not heard of it
		queueStep(passive, rng)
	}
	m := passive.entry("after", 0)
	m.Message.Group, m.Message.Dedup = "g0", fmt.Sprint(passive.self, passive.lastID)
	if res := passive.do(model.CmdSend, 5, (&model.Send{Settings: passive.settings, Entries: []model.SendEntry{m}}).Append(nil)); res.Status != model.StatusOK {
		passive.t.Fatal(res.Status)
	}
	active.role(true)
	active.copying = nil
	if rng.IntN(2) == 0 {
		for active.logs() {
			active.ship(passive, 1+rng.IntN(3), true, rng)
		}
	}
	_, _, active.sent = active.logged(1 << 20)
	return passive
}

func queueStep(u *unitRegion, rng *rand.Rand) {
	u.nowMs += rng.Int64N(2000)
	switch rng.IntN(9) {
	case 0, 1, 2, 3:
		cmd := model.Send{Settings: u.settings}
		for range 1 + rng.IntN(4) {
			e := u.entry(fmt.Sprintf("%d-%d", u.self, u.lastID), 0)
			e.Message.ID[0] = byte(u.self)
			if u.settings.Fifo || rng.IntN(3) == 0 {
				e.Message.Group = fmt.Sprint("g", rng.IntN(3))
			}
			if u.settings.Fifo {
				e.Message.Dedup = fmt.Sprint(u.self, u.lastID)
			} else if rng.IntN(4) == 0 {
				e.AtMs = u.nowMs + rng.Int64N(20_000)
			}
			if rng.IntN(4) == 0 && e.AtMs == 0 {
				e.DelayMs = rng.Int64N(20_000)
			}
			cmd.Entries = append(cmd.Entries, e)
		}
		u.do(model.CmdSend, 5, cmd.Append(nil))
	case 4, 5, 6:
		for _, m := range u.receive(5, 1+uint32(rng.IntN(5)), rng.Int64N(3000)) {
			if rng.IntN(3) > 0 {
				u.delete(5, m.Receipt)
			}
		}
	case 7:
		if got, _ := u.claim(5, 77, 3, rng.IntN(3) == 0, ""); got.Taken > 0 && rng.IntN(4) > 0 {
			u.settle(5, 77, got.Seq, rng.IntN(2) == 0)
		}
	default:
		if rng.IntN(8) == 0 {
			u.do(model.CmdPurge, 5, (&model.Purge{}).Append(nil))
		}
	}
}

// drainInOrder receives and deletes everything, and holds each group to the
// order of its numbers.
func drainInOrder(u *unitRegion) {
	u.t.Helper()
	u.settings.MaxReceives = 0
	u.do(model.CmdSetQueueSettings, 5, (&model.SetQueueSettings{Settings: u.settings}).Append(nil))
	last := map[string]uint64{}
	for _, c := range u.claims(5, 77, 0).Claims {
		u.settle(5, 77, c.Seq, true)
	}
	for n := 0; u.head(5).Bytes > 0; n++ {
		u.nowMs += 1000
		for _, m := range u.receive(5, 10, 60_000) {
			if u.settings.Fifo && m.Seq <= last[m.Group] {
				u.t.Fatalf("%d came after %d in %s", m.Seq, last[m.Group], m.Group)
			}
			last[m.Group] = m.Seq
			u.delete(5, m.Receipt)
		}
		u.checkQueue(5)
		if n > 2000 {
			u.t.Fatalf("the queue does not get empty: %+v", u.head(5))
		}
	}
}

// TestCopyOfBlocks moves a queue there and back whose messages were stored in
// blocks, some of them in flight, gone or with a pipe.
func TestCopyOfBlocks(t *testing.T) {
	a, b := pairOfUnits(t, false, func(a *unitRegion) {
		a.send(5, 0, "0", "1", "2", "3", "4", "5")
		got := a.receive(5, 3, 60_000)
		a.delete(5, got[0].Receipt)
		a.claim(5, 77, 1, false, "")
	})
	b.watch(true)
	b.sent = 0
	a.shipAll(b)
	switchOver(a, b)
	got := b.receive(5, 10, 60_000)
	if bodies(got) != "1 2 3 4 5" {
		t.Fatalf("the copy gives %s", bodies(got))
	}
	b.delete(5, got[1].Receipt, got[4].Receipt) // one that was in flight there, one that was in line
	b.send(5, 0, "6")
	b.shipAll(a)
	if got, want := a.messages(), b.messages(); !slices.Equal(got, want) || len(got) != 4 {
		t.Fatalf("back there are\n%s\nof\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
	if all := a.peek(5, model.PeekQuery{NowMs: a.nowMs, Max: 100}).Messages; len(all) != 4 || all[0].Place != model.MessageVisible || all[1].Place != model.MessageVisible {
		t.Fatalf("shown are %+v", all)
	}
	a.checkQueue(5)
	switchOver(b, a)
	if got := a.receive(5, 10, 60_000); bodies(got) != "1 3 4 6" {
		t.Fatalf("received %s", bodies(got))
	}
	a.checkQueue(5)
	a.checkReplay()
	b.checkReplay()
}

// TestStreamCopiesAgainstOriginal is the same of a stream: records and their
// numbers, closed shards, what was trimmed, and positions.
func TestStreamCopiesAgainstOriginal(t *testing.T) {
	for seed := range uint64(12) {
		rng := rand.New(rand.NewPCG(seed, 22))
		a, b := pairOfUnits(t, true, func(*unitRegion) {})
		b.watch(true)
		active, passive := a, b
		same := func(step int) {
			t.Helper()
			active.shipAll(passive)
			if got, want := passive.shards(), active.shards(); !slices.Equal(got, want) {
				t.Fatalf("seed %d, step %d: the copy holds\n%s\nthe original\n%s", seed, step, strings.Join(got, "\n"), strings.Join(want, "\n"))
			}
			agree(active, passive, uint64(1+rng.IntN(8)))
		}
		for step := range 300 {
			shardStep(active, rng)
			if rng.IntN(3) == 0 {
				active.ship(passive, 1+rng.IntN(5), false, rng)
			}
			switch {
			case rng.IntN(40) == 0 && active.copying == nil:
				active.copyAnew()
			case rng.IntN(60) == 0:
				same(step)
			case rng.IntN(60) == 0:
				switchOver(active, passive)
				active, passive = passive, active
			case rng.IntN(100) == 0 && !slices.ContainsFunc(passive.units(), func(k model.UnitKey) bool { return passive.record(k).Copying }):
				passive.role(false)
				shardStep(active, rng)
				shardStep(passive, rng)
				for n := range model.ShardNumber(3) { // until then there is nothing that it lacks
					passive.trim(n, passive.nowMs-60_000)
					passive.on(model.CmdSetPosition, n, (&model.SetPosition{Op: model.PositionSeek, Shard: n, Group: "seek", N: 1}).Append(nil))
					passive.on(model.CmdSetPosition, n, (&model.SetPosition{Op: model.PositionForget, Shard: n, Group: "seek"}).Append(nil))
				}
				active.role(true)
				active.copying = nil
				_, _, active.sent = active.logged(1 << 20)
				active, passive = passive, active
			}
		}
		same(-1)
		a.checkReplay()
		b.checkReplay()
	}
}

func shardStep(u *unitRegion, rng *rand.Rand) {
	u.nowMs += rng.Int64N(2000)
	n := model.ShardNumber(rng.IntN(3))
	switch rng.IntN(8) {
	case 0, 1, 2, 3:
		var data []string
		for range 1 + rng.IntN(4) {
			data = append(data, fmt.Sprint(rng.IntN(1000)))
		}
		u.retry = rng.IntN(3) == 0
		u.put(n, data...)
	case 4, 5:
		group := fmt.Sprint("group", rng.IntN(2))
		p := decodeAs[model.Position](u.t, u.on(model.CmdSetPosition, n, (&model.SetPosition{
			Op: model.PositionAcquire, Shard: n, Group: group, Owner: "me", LeaseMs: 5000,
		}).Append(nil)).Body)
		state := decodeAs[model.ShardState](u.t, u.ask(model.QueryShard, n, (&model.ShardQuery{Shard: n}).Append(nil)))
		commit := model.SetPosition{Op: model.PositionCommit, Shard: n, Group: group, Generation: p.Generation, N: min(state.Next, p.N+uint64(rng.IntN(3)))}
		if commit.N >= p.N {
			u.on(model.CmdSetPosition, n, commit.Append(nil))
		}
	case 6:
		u.trim(n, u.nowMs-rng.Int64N(60_000))
	default:
		if n == 2 && rng.IntN(20) == 0 {
			u.close(n)
		}
		if rng.IntN(10) == 0 {
			u.on(model.CmdSetPosition, n, (&model.SetPosition{Op: model.PositionForget, Shard: n, Group: "group1"}).Append(nil))
		}
	}
}

// TestTakenOverBeforeTheCopyEnded has a region take the writes while the first
// copy is under way: it works on with what it has, and what the old one has is
// not replaced by that.
func TestTakenOverBeforeTheCopyEnded(t *testing.T) {
	for seed := range uint64(8) {
		for _, stream := range []bool{false, true} {
			rng := rand.New(rand.NewPCG(seed, 23))
			a, b := newUnitRegion(t, 101, stream), newUnitRegion(t, 102, stream)
			step := queueStep
			if stream {
				step = shardStep
			}
			for range 150 {
				step(a, rng)
			}
			b.watch(true)
			b.role(true)
			if stream {
				a.put(0, "x", strings.Repeat("y", 300), "z")
				a.put(0, strings.Repeat("y", 300))
			} else {
				a.send(5, 0, strings.Repeat("x", 300), strings.Repeat("y", 300))
			}
			a.watch(true)
			a.copyAnew()
			a.ship(b, 1000, false, rng)
			for a.copying != nil && !b.record(a.units()[0]).Copying {
				a.ship(b, 1000, false, rng)
			}
			a.role(true)
			a.copying = nil
			b.role(false)
			for range 150 {
				step(b, rng)
				b.checkQueue(5)
			}
			if stream {
				b.put(0, "own")
			} else {
				b.send(5, 0, "own")
			}
			if rec := b.record(b.units()[0]); !rec.Partial {
				t.Fatalf("seed %d: %+v does not say that it is a part", seed, rec)
			}
			held := (*unitRegion).messages
			if stream {
				held = (*unitRegion).shards
			}
			before := held(a)
			b.copyAnew()
			if need := a.takeIn(b, b.units()[0], b.page(b.units()[0], 0, 200)).Need; need != model.UnitFilled {
				t.Fatalf("seed %d: a copy of a part needs %d", seed, need)
			}
			if after := held(a); !slices.Equal(before, after) {
				t.Fatalf("seed %d: the original is gone:\n%s\nit was\n%s", seed, after, before)
			}
		}
	}
}

// TestUnwatchedQueueCostsNothing holds the promise that queues and streams
// without links pay nothing for them.
func TestUnwatchedQueueCostsNothing(t *testing.T) {
	count := func(stream bool, prepare func(*unitRegion)) (writes, reads int) {
		u := newUnitRegion(t, 101, stream)
		prepare(u)
		body := model.Send{Entries: []model.SendEntry{u.entry("m", 0)}}
		cmd := model.Command{Kind: model.CmdSend, Resource: 5, Slot: model.QueueSlot(5), Stamp: u.now(), Body: body.Append(nil)}
		if stream {
			put := model.PutRecords{}
			cmd.Kind, cmd.Slot, cmd.Body = model.CmdPutRecords, model.ShardSlot(5, 0), put.AppendRecords(nil, []model.Record{{PartitionKey: []byte("k")}})
		}
		view := &countingView{memView: u.view}
		var b memBatch
		if _, err := u.machine.Apply(view, &b, Position{Index: 100}, &cmd); err != nil {
			t.Fatal(err)
		}
		return len(b.changes), view.gets
	}
	other := func(u *unitRegion) {
		w := model.Watch{Reader: 9, Log: true, Keep: true}
		u.do(model.CmdWatch, 8, w.Append(nil))
	}
	for _, stream := range []bool{false, true} {
		more := 2
		if !stream {
			more++ // a message is not stored in a block
		}
		w, g := count(stream, func(*unitRegion) {})
		if ow, og := count(stream, other); ow != w || og != g {
			t.Errorf("beside a watched one: %d writes and %d reads, not %d and %d", ow, og, w, g)
		}
		if ww, wg := count(stream, func(u *unitRegion) { u.watch(true) }); ww != w+more || wg != g+1 {
			t.Errorf("watched: %d writes and %d reads, not %d and %d", ww, wg, w+more, g+1)
		}
	}
}
