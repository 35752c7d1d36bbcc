package region

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"weir.dev/weir/internal/model"
	"weir.dev/weir/internal/service"
)

func (w *town) createQueue(name string, attrs ...service.QueueAttribute) {
	w.t.Helper()
	if strings.HasSuffix(name, ".fifo") {
		attrs = append(attrs, service.QueueAttribute{Name: "FifoQueue", Value: "true"})
	}
	if _, err := w.service.CreateQueue(context.Background(), &service.CreateQueueRequest{Name: name, Attributes: attrs}); err != nil {
		w.t.Fatal(err)
	}
}

func (w *town) trySend(queue, group, body string) error {
	m := service.OutgoingMessage{Body: body, Group: group}
	if strings.HasSuffix(queue, ".fifo") {
		m.Dedup = body
	}
	sent, err := w.service.SendMessages(context.Background(), &service.SendRequest{Queue: queue, Messages: []service.OutgoingMessage{m}})
	if err == nil {
		err = sent[0].Err
	}
	return err
}

func (w *town) send(queue, group, body string) {
	w.t.Helper()
	if err := w.trySend(queue, group, body); err != nil {
		w.t.Fatal(err)
	}
}

func (w *town) receive(queue string, most int) []model.Received {
	w.t.Helper()
	visibility, wait := int64(600), int64(0)
	got, err := w.service.ReceiveMessages(context.Background(), &service.ReceiveRequest{Queue: queue, Max: most, Visibility: &visibility, Wait: &wait})
	if err != nil {
		w.t.Fatal(err)
	}
	return got
}

func (w *town) remove(queue string, m *model.Received) {
	w.t.Helper()
	errs, err := w.service.DeleteMessages(context.Background(), &service.DeleteMessagesRequest{Queue: queue, Handles: []string{m.Receipt}})
	if err != nil || errs[0] != nil {
		w.t.Fatal(err, errs)
	}
}

// drainQueue receives and deletes everything, and returns the bodies in order.
func (w *town) drainQueue(queue string) (bodies []string) {
	w.t.Helper()
	for empty := 0; empty < 20; { // several slots are asked in turn
		got := w.receive(queue, 10)
		if empty++; len(got) > 0 {
			empty = 0
		}
		for i := range got {
			bodies = append(bodies, string(got[i].Body))
			w.remove(queue, &got[i])
		}
	}
	return bodies
}

func (w *town) createStream(name string, shards int64) {
	w.t.Helper()
	ref := service.StreamRef{Name: name, Account: "000000000000"}
	if err := w.service.CreateStream(context.Background(), &service.CreateStreamRequest{StreamRef: ref, ShardCount: &shards}); err != nil {
		w.t.Fatal(err)
	}
}

func streamRef(name string) service.StreamRef {
	return service.StreamRef{Name: name, Account: "000000000000"}
}

func (w *town) tryPutRecord(stream, key, data string) (service.PutRecord, error) {
	res, err := w.service.PutRecords(context.Background(), &service.PutRecordsRequest{
		StreamRef: streamRef(stream), Records: []service.OutgoingRecord{{Key: key, Data: []byte(data)}}, Single: true,
	})
	if err != nil {
		return service.PutRecord{}, err
	}
	return res.Records[0], res.Records[0].Err
}

func (w *town) putRecord(stream, key, data string) service.PutRecord {
	w.t.Helper()
	r, err := w.tryPutRecord(stream, key, data)
	if err != nil {
		w.t.Fatal(err)
	}
	return r
}

// shards reads all shards of a stream to their ends: per shard the records' data
// with their numbers.
func (w *town) shards(stream string) (all []string) {
	w.t.Helper()
	ctx := context.Background()
	r, ok := w.Catalog().Resource(model.KindStream, stream)
	if !ok {
		return nil
	}
	var spec model.StreamSpec
	if err := decode(r.Spec, &spec); err != nil {
		w.t.Fatal(err)
	}
	for i := range spec.Shards {
		sh := &spec.Shards[i]
		at, err := w.service.GetShardIterator(ctx, &service.ShardIteratorRequest{StreamRef: streamRef(stream), Shard: sh.Number.String(), Position: service.ShardPosition{Type: "TRIM_HORIZON"}})
		if err != nil {
			w.t.Fatal(err)
		}
		line := fmt.Sprint(sh.Number, " open ", sh.Open(), ":")
		for n := 0; at != "" && n < 50; n++ {
			page, err := w.service.GetRecords(ctx, &service.GetRecordsRequest{StreamRef: streamRef(stream), Iterator: at})
			if err != nil {
				w.t.Fatal(err)
			}
			for _, rec := range page.Records {
				line += " " + rec.Sequence + "=" + string(rec.Data)
			}
			if at = page.Next; len(page.Records) == 0 && page.MillisBehind == 0 {
				break
			}
		}
		if at == "" {
			line += " end"
		}
		all = append(all, line)
	}
	return all
}

func (w *town) failsOver(link string) {
	w.t.Helper()
	var err error
	w.await("the planned failover is carried out", func() bool {
		_, err = w.engine().FailOver(context.Background(), link)
		return err == nil
	})
}

// TestQueuesAndStreamsUnderFaults ships queues and a stream while messages get
// lost, come twice and late, and leaders change; then the other region takes the
// writes, and goes on where the first one was.
func TestQueuesAndStreamsUnderFaults(t *testing.T) {
	inTowns(t, func(t *testing.T, wire *fakeWire, east, west *town) {
		ctx := context.Background()
		east.createQueue("jobs")
		east.createQueue("steps.fifo")
		east.createStream("clicks", 2)
		for i := range 30 {
			east.send("jobs", "", fmt.Sprint("before", i))
			east.send("steps.fifo", fmt.Sprint("g", i%3), fmt.Sprint("before", i))
			east.putRecord("clicks", fmt.Sprint("k", i), fmt.Sprint("before", i))
		}
		east.link(west, Settings{Name: "to-west", Tables: []string{}, Queues: []string{"*"}, Streams: []string{"cl*"}})
		west.await("the queue comes", func() bool { return west.trySend("jobs", "", "own") != nil })
		wire.set(func() { wire.lose, wire.twice = 20, 20 })
		var done []string
		for i := range 60 {
			east.send("jobs", "", fmt.Sprint("then", i))
			east.send("steps.fifo", fmt.Sprint("g", i%3), fmt.Sprint("then", i))
			east.putRecord("clicks", fmt.Sprint("k", i), fmt.Sprint("then", i))
			for _, m := range east.receive("jobs", 1) {
				east.remove("jobs", &m)
				done = append(done, string(m.Body))
			}
			for _, m := range east.receive("steps.fifo", 1) {
				east.remove("steps.fifo", &m)
				done = append(done, "fifo "+string(m.Body))
			}
			if i == 20 {
				target := int64(3)
				if _, err := east.service.UpdateShardCount(ctx, &service.UpdateShardCountRequest{StreamRef: streamRef("clicks"), Target: target}); err != nil {
					t.Fatal(err)
				}
			}
			if i%25 == 0 {
				east.changeLeader()
			}
			if i%40 == 0 {
				west.changeLeader()
			}
			time.Sleep(200 * time.Millisecond)
		}
		for _, m := range east.receive("jobs", 5) { // in flight at the takeover
			_ = m
		}
		wire.set(func() { wire.lose, wire.twice = 0, 0 })
		east.caughtUp("to-west")
		for what, err := range map[string]error{"a send": west.trySend("jobs", "", "own"), "a put": func() error { _, err := west.tryPutRecord("clicks", "k", "own"); return err }(),
			"an attribute": west.service.SetQueueAttributes(ctx, "jobs", []service.QueueAttribute{{Name: "VisibilityTimeout", Value: "7"}})} {
			if !refused(err) {
				t.Errorf("%s is taken: %v", what, err)
			}
		}
		if a, b := east.shards("clicks"), west.shards("clicks"); !slices.Equal(a, b) || len(a) < 3 {
			t.Errorf("the streams differ:\n%s\n%s", strings.Join(a, "\n"), strings.Join(b, "\n"))
		}
		east.failsOver("to-west")
		if err := east.trySend("jobs", "", "own"); !refused(err) {
			t.Errorf("the old primary takes a message: %v", err)
		}
		west.send("steps.fifo", "g0", "last")
		if err := west.trySend("steps.fifo", "g0", "then59"); err != nil {
			t.Fatal(err) // it is dropped as a duplicate
		}
		jobs, steps := west.drainQueue("jobs"), west.drainQueue("steps.fifo")
		checkOnce(t, "jobs", jobs, done, "")
		checkOnce(t, "steps.fifo", steps, done, "fifo ")
		if steps[len(steps)-1] != "last" && !slices.Contains(steps, "last") {
			t.Errorf("a new message is missing: %q", steps)
		}
		checkGroups(t, steps)
		west.putRecord("clicks", "k", "after")
		west.await("the way back is copied", func() bool { return slices.Equal(east.shards("clicks"), west.shards("clicks")) })
		links, err := west.engine().List(ctx)
		if err != nil || len(links) != 1 {
			t.Fatal(links, err)
		}
		west.send("jobs", "", "home")
		west.failsOver(links[0].Name)
		if got := east.drainQueue("jobs"); !slices.Equal(got, []string{"home"}) {
			t.Errorf("back at the first region there is %q", got)
		}
	})
}

// checkOnce holds what was received after a takeover to what was sent and not
// deleted before.
func checkOnce(t *testing.T, queue string, got, done []string, prefix string) {
	t.Helper()
	want := map[string]int{}
	for i := range 30 {
		want[fmt.Sprint("before", i)] = 1
	}
	for i := range 60 {
		want[fmt.Sprint("then", i)] = 1
	}
	for _, d := range done {
		if body, ok := strings.CutPrefix(d, prefix); ok {
			delete(want, body)
		}
	}
	want["last"] = strings.Count(prefix, "fifo")
	for _, body := range got {
		want[body]--
	}
	for body, n := range want {
		if n != 0 {
			t.Errorf("%s: %q was received %d times too few", queue, body, n)
		}
	}
}

// checkGroups holds messages to the order of their groups: g0 has before0,
// before3 ..., then0, then3 ...
func checkGroups(t *testing.T, bodies []string) {
	t.Helper()
	last := map[int]int{}
	for _, body := range bodies {
		var n int
		at := 0
		if _, err := fmt.Sscanf(body, "then%d", &n); err == nil {
			at = 1000 + n
		} else if _, err := fmt.Sscanf(body, "before%d", &n); err == nil {
			at = n
		} else {
			continue
		}
		if at < last[n%3] {
			t.Errorf("%s came behind %d of its group", body, last[n%3])
		}
		last[n%3] = at
	}
}

// TestUnitsForcedOver takes the writes over by force while the region that had
// them is cut off and goes on: what it took is held there, does not come back by
// itself, and is added behind the new region's when somebody says so.
func TestUnitsForcedOver(t *testing.T) {
	for _, reshard := range []bool{false, true} { // where the writes are now: what is held goes to other shards
		testForcedOver(t, reshard)
	}
}

func testForcedOver(t *testing.T, reshard bool) {
	t.Helper()
	inTowns(t, func(t *testing.T, wire *fakeWire, east, west *town) {
		ctx := context.Background()
		east.createQueue("jobs.fifo")
		east.createStream("clicks", 1)
		east.link(west, Settings{Name: "to-west", Tables: []string{}, Queues: []string{"*"}, Streams: []string{"*"}})
		east.caughtUp("to-west")
		west.link(east, Settings{Name: "to-east", Tables: []string{}, Queues: []string{"*"}, Streams: []string{"*"}})
		west.caughtUp("to-east")
		for i := range 5 {
			east.send("jobs.fifo", "g", fmt.Sprint("shipped", i))
			east.putRecord("clicks", "k", fmt.Sprint("shipped", i))
		}
		east.caughtUp("to-west")
		wire.set(func() { wire.cut = true })
		for i := range 3 {
			east.send("jobs.fifo", "g", fmt.Sprint("tail", i))
			east.putRecord("clicks", "k", fmt.Sprint("tail", i))
		}
		got := east.receive("jobs.fifo", 2)
		for i := range got {
			east.remove("jobs.fifo", &got[i]) // west does not hear of it
		}
		if _, err := west.engine().ForceOver(ctx, "to-east", false); err != nil {
			t.Fatal(err)
		}
		west.send("jobs.fifo", "g", "new")
		west.putRecord("clicks", "k", "new")
		if reshard {
			if _, err := west.service.UpdateShardCount(ctx, &service.UpdateShardCountRequest{StreamRef: streamRef("clicks"), Target: 2}); err != nil {
				t.Fatal(err)
			}
		}
		wire.set(func() { wire.cut = false })
		east.await("the old one hears of it", func() bool {
			st, err := east.engine().Describe(ctx, "to-west")
			return err == nil && st.Spec.Held
		})
		if err := east.trySend("jobs.fifo", "g", "x"); !refused(err) {
			t.Errorf("the old one takes a message: %v", err)
		}
		time.Sleep(10 * time.Second)
		held := 0
		if err := east.engine().EachHeld(ctx, "to-west", 100, func(name, key string, _ *model.LoggedChange) error {
			held++
			if name != "jobs.fifo" && name != "clicks" || !strings.Contains(key, "sent") && !strings.Contains(key, "put") {
				t.Errorf("held: %s %s", name, key)
			}
			return nil
		}); err != nil || held < 6 {
			t.Errorf("%d changes are held: %v", held, err)
		}
		west.await("the old one holds what the new one does", func() bool { return slices.Equal(east.shards("clicks"), west.shards("clicks")) })
		if err := west.engine().mayPromoteOf(east); err == nil {
			t.Error("the writes may go back while changes are held")
		}
		if err := east.engine().Rejoin(ctx, "to-west"); err != nil {
			t.Fatal(err)
		}
		east.caughtUp("to-west")
		want := []string{"shipped0", "shipped1", "shipped2", "shipped3", "shipped4", "new", "tail0", "tail1", "tail2"}
		if got := west.drainQueue("jobs.fifo"); !slices.Equal(got, want) {
			t.Errorf("the new region has %q", got)
		}
		if all := strings.Join(west.shards("clicks"), " "); strings.Count(all, "=tail") != 3 || strings.Count(all, "=shipped") != 5 || strings.Index(all, "=new") > strings.Index(all, "=tail0") {
			t.Errorf("%q", all)
		}
		west.caughtUp("to-east")
		if a, b := east.shards("clicks"), west.shards("clicks"); !slices.Equal(a, b) {
			t.Errorf("the regions differ:\n%s\n%s", a, b)
		}
		west.send("jobs.fifo", "g", "home")
		west.failsOver("to-east")
		if got := east.drainQueue("jobs.fifo"); !slices.Equal(got, []string{"home"}) {
			t.Errorf("back at the first region there is %q", got)
		}
	})
}

// mayPromoteOf asks the other town whether it may take the writes.
func (e *Engine) mayPromoteOf(other *town) error {
	region, _ := e.Self()
	return other.engine().mayPromote(other.engine().tiesTo(region))
}

// TestUnitsAreNotOverwritten links a queue and a stream that the other region has
// its own of: they stay, and the link says why nothing comes.
func TestUnitsAreNotOverwritten(t *testing.T) {
	inTowns(t, func(t *testing.T, _ *fakeWire, east, west *town) {
		for _, w := range []*town{east, west} {
			w.createQueue("jobs")
			for i := range 20 {
				w.send("jobs", "", fmt.Sprint(w.name, i))
			}
		}
		east.link(west, Settings{Name: "to-west", Tables: []string{}, Queues: []string{"jobs"}})
		east.await("the link says so", func() bool {
			st, err := east.engine().Describe(context.Background(), "to-west")
			return err == nil && strings.Contains(st.Problem, "does not know of")
		})
		if err := west.engine().SetPassive(context.Background(), "from-east-to-west", false); err != nil {
			t.Fatal(err)
		}
		if got := west.drainQueue("jobs"); len(got) != 20 || !strings.HasPrefix(got[0], "west") {
			t.Errorf("west has %q", got)
		}
		if err := west.engine().SetPassive(context.Background(), "from-east-to-west", true); err != nil {
			t.Fatal(err)
		}
		east.caughtUp("to-west") // an empty one may be filled
		east.failsOver("to-west")
		if got := west.drainQueue("jobs"); len(got) != 20 || !strings.HasPrefix(got[0], "east") {
			t.Errorf("west has %q", got)
		}
	})
}

// TestUnitSettingsFollow changes settings where the writes are, and has a message
// die: its copy knows the queue that it died in, by the id there.
func TestUnitSettingsFollow(t *testing.T) {
	inTowns(t, func(t *testing.T, _ *fakeWire, east, west *town) {
		ctx := context.Background()
		west.createQueue("other") // ids differ
		east.createQueue("dead")
		east.createQueue("jobs", service.QueueAttribute{Name: "RedrivePolicy", Value: `{"deadLetterTargetArn":"arn:aws:sqs:us-east-1:000000000000:dead","maxReceiveCount":"1"}`})
		east.link(west, Settings{Name: "to-west", Tables: []string{}, Queues: []string{"dead", "jobs"}})
		east.caughtUp("to-west")
		if err := east.service.SetQueueAttributes(ctx, "jobs", []service.QueueAttribute{{Name: "VisibilityTimeout", Value: "77"}}); err != nil {
			t.Fatal(err)
		}
		west.await("the setting comes", func() bool {
			q, err := west.service.GetQueue(ctx, "jobs")
			return err == nil && q.Spec.VisibilityTimeout == 77
		})
		q, err := west.service.GetQueue(ctx, "jobs")
		dead, derr := west.service.GetQueue(ctx, "dead")
		if err != nil || derr != nil || q.Spec.Redrive.DeadLetters != dead.ID || q.Spec.Redrive.MaxReceives != 1 {
			t.Errorf("%+v %v %v", q.Spec.Redrive, err, derr)
		}
		from, err := east.service.GetQueue(ctx, "jobs")
		if err != nil {
			t.Fatal(err)
		}
		deadEast, err := east.service.GetQueue(ctx, "dead")
		if err != nil {
			t.Fatal(err)
		}
		body := model.Send{Settings: deadEast.Spec.Settings(), Entries: []model.SendEntry{{Message: model.Message{ID: model.MessageID{1}, Body: []byte("gone wrong"), DeadFrom: from.ID}}}}
		if _, err := east.Propose(ctx, &model.Command{Kind: model.CmdSend, Resource: deadEast.ID, Slot: model.QueueSlot(deadEast.ID), Body: body.Append(nil)}); err != nil {
			t.Fatal(err)
		}
		east.caughtUp("to-west")
		east.failsOver("to-west")
		var got []model.Received
		for n := 0; n < 20 && len(got) == 0; n++ {
			got = west.receive("dead", 10)
		}
		if len(got) != 1 || got[0].DeadFrom != q.ID {
			t.Errorf("the letter died in %v, not %v", got, q.ID)
		}
	})
}

// TestPositionsFollow has a named consumer commit, and go on where it was in the
// other region: at the first record that was not done.
func TestPositionsFollow(t *testing.T) {
	inTowns(t, func(t *testing.T, _ *fakeWire, east, west *town) {
		ctx := context.Background()
		east.createStream("clicks", 1)
		east.link(west, Settings{Name: "to-west", Tables: []string{}, Streams: []string{"clicks"}})
		east.caughtUp("to-west")
		var third service.PutRecord
		for i := range 6 {
			r := east.putRecord("clicks", "k", fmt.Sprint(i))
			if i == 2 {
				third = r
			}
		}
		lease := func(w *town, member string) service.ShardLease {
			t.Helper()
			res, err := w.service.LeaseShards(ctx, &service.LeaseRequest{StreamRef: streamRef("clicks"), Group: "workers", Member: member})
			if err != nil || len(res.Leases) != 1 {
				t.Fatal(res, err)
			}
			return res.Leases[0]
		}
		held := lease(east, "a")
		if _, err := east.service.CommitPosition(ctx, &service.CommitRequest{StreamRef: streamRef("clicks"), Group: "workers", Shard: held.Shard, Generation: held.Generation, Sequence: third.Sequence}); err != nil {
			t.Fatal(err)
		}
		east.caughtUp("to-west")
		if _, err := west.service.LeaseShards(ctx, &service.LeaseRequest{StreamRef: streamRef("clicks"), Group: "workers", Member: "b"}); !refused(err) {
			t.Errorf("a shard is leased where the stream is a copy: %v", err)
		}
		east.failsOver("to-west")
		now := lease(west, "b") // at once: the lease there is not known here
		page, err := west.service.GetRecords(ctx, &service.GetRecordsRequest{StreamRef: streamRef("clicks"), Iterator: now.Iterator})
		if err != nil || len(page.Records) != 3 || string(page.Records[0].Data) != "3" {
			t.Errorf("%+v %v", page, err)
		}
		if _, err := west.service.CommitPosition(ctx, &service.CommitRequest{StreamRef: streamRef("clicks"), Group: "workers", Shard: held.Shard, Generation: held.Generation, Sequence: third.Sequence}); err == nil {
			t.Error("the member that held the shard in the other region commits here")
		}
	})
}

// TestHeldMessages: of what the old primary sent and had not shipped, rejoin adds
// what it did not take out again; what it took out of that which had been shipped
// stays where it is taken.
func TestHeldMessages(t *testing.T) {
	inTowns(t, func(t *testing.T, wire *fakeWire, east, west *town) {
		ctx := context.Background()
		east.createQueue("jobs")
		east.createQueue("swept.fifo")
		east.link(west, Settings{Name: "to-west", Queues: []string{"*"}})
		east.caughtUp("to-west")
		west.link(east, Settings{Name: "to-east", Queues: []string{"*"}})
		west.caughtUp("to-east")
		east.send("jobs", "", "shipped")
		east.send("swept.fifo", "g", "shipped")
		east.caughtUp("to-west")
		wire.set(func() { wire.cut = true })
		for i := range 20 {
			east.send("jobs", "", fmt.Sprint(i))
		}
		east.send("swept.fifo", "g", "purged")
		if err := east.service.PurgeQueue(ctx, model.RequestID{}, "swept.fifo"); err != nil {
			t.Fatal(err)
		}
		east.send("swept.fifo", "g", "after")
		want := []string{"shipped"}
		for empty := 0; empty < 20; {
			got := east.receive("jobs", 10)
			if empty++; len(got) > 0 {
				empty = 0
			}
			for i := range got {
				if body := string(got[i].Body); body == "shipped" || len(body) == 1 {
					east.remove("jobs", &got[i])
				} else {
					want = append(want, body)
				}
			}
		}
		if _, err := west.engine().ForceOver(ctx, "to-east", false); err != nil {
			t.Fatal(err)
		}
		wire.set(func() { wire.cut = false })
		east.await("the old one hears of it", func() bool {
			st, err := east.engine().Describe(ctx, "to-west")
			return err == nil && st.Spec.Held
		})
		if err := east.engine().Rejoin(ctx, "to-west"); err != nil {
			t.Fatal(err)
		}
		east.caughtUp("to-west")
		got := west.drainQueue("jobs")
		slices.Sort(got)
		slices.Sort(want)
		if !slices.Equal(got, want) || len(want) != 11 {
			t.Errorf("the new region gives %q, want %q", got, want)
		}
		if got := west.drainQueue("swept.fifo"); !slices.Equal(got, []string{"shipped", "after"}) {
			t.Errorf("of a queue that was purged the new region gives %q", got)
		}
	})
}

// TestOlderShardsAreNotTaken has the writes of a stream move, which fails, right
// after a resharding: meanwhile neither region has them, and what the other one
// knows of the shards is older.
func TestOlderShardsAreNotTaken(t *testing.T) {
	inTowns(t, func(t *testing.T, _ *fakeWire, east, west *town) {
		ctx := context.Background()
		east.createStream("clicks", 1)
		east.link(west, Settings{Name: "to-west", Tables: []string{}, Streams: []string{"clicks"}})
		east.caughtUp("to-west")
		west.link(east, Settings{Name: "to-east", Tables: []string{}, Streams: []string{"clicks"}})
		west.caughtUp("to-east")
		paused, running := true, false
		change := func(err error) {
			t.Helper()
			if err != nil {
				t.Fatal(err)
			}
		}
		change(east.engine().Change(ctx, "to-west", &Change{Paused: &paused})) // west hears nothing of it
		_, err := east.service.UpdateShardCount(ctx, &service.UpdateShardCountRequest{StreamRef: streamRef("clicks"), Target: 2})
		change(err)
		for i := range 10 {
			east.putRecord("clicks", fmt.Sprint("k", i), fmt.Sprint("v", i))
		}
		before := east.shards("clicks")
		change(east.engine().SetPassive(ctx, "to-west", true))
		rate := uint64(1 << 30)
		change(west.engine().Change(ctx, "to-east", &Change{BytesPerSecond: &rate})) // has it say what it has
		time.Sleep(5 * time.Second)
		change(east.engine().SetPassive(ctx, "to-west", false))
		if after := east.shards("clicks"); !slices.Equal(before, after) {
			t.Fatalf("east had\n%q\nand has\n%q", before, after)
		}
		change(east.engine().Change(ctx, "to-west", &Change{Paused: &running}))
		west.await("west has the shards of east", func() bool { return slices.Equal(before, west.shards("clicks")) })
		// And when west gets them, east follows.
		east.failsOver("to-west")
		_, err = west.service.UpdateShardCount(ctx, &service.UpdateShardCountRequest{StreamRef: streamRef("clicks"), Target: 4})
		change(err)
		for i := range 10 {
			west.putRecord("clicks", fmt.Sprint("k", i), fmt.Sprint("w", i))
		}
		want := west.shards("clicks")
		east.await("east has the shards of west", func() bool { return slices.Equal(want, east.shards("clicks")) })
	})
}
