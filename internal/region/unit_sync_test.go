package region

import (
	"context"
	"fmt"
	"testing"
	"time"

	"weir.dev/weir/internal/model"
)

// TestSyncUnits: of a link of the mode sync a queue and a stream are said to be
// shipped only when they are copied, and never further than the other region has
// them.
func TestSyncUnits(t *testing.T) {
	inTowns(t, func(t *testing.T, wire *fakeWire, east, west *town) {
		ctx := context.Background()
		east.createQueue("jobs.fifo")
		east.createStream("clicks", 1)
		for i := range 20 {
			east.send("jobs.fifo", "g", fmt.Sprint(i))
		}
		r, _ := east.Catalog().Resource(model.KindQueue, "jobs.fifo")
		var spec model.QueueSpec
		if err := decode(r.Spec, &spec); err != nil {
			t.Fatal(err)
		}
		at := east.tablet(model.QueueSlots(r.ID, spec.Partitions)[0])
		told := func() (s model.Shipped, copied bool) {
			link, err := east.service.GetTied(ctx, model.KindLink, "to-west")
			if err != nil {
				return s, false
			}
			east.set(func() { s = east.shipped[place{link.ID, at.id}] })
			for _, shipped := range s.Tables {
				copied = copied || shipped.ID == r.ID && shipped.Copied
			}
			return s, copied
		}
		wire.set(func() { wire.delay = 2 * time.Millisecond })
		east.link(west, Settings{Name: "to-west", Mode: model.LinkSync, Tables: []string{"none"}, Queues: []string{"jobs*"}, Streams: []string{"clicks"}})
		for {
			s, copied := told()
			for _, shipped := range s.Tables {
				if !shipped.Copied {
					t.Fatalf("said to be shipped before it is copied: %+v", s)
				}
			}
			if copied {
				break
			}
			time.Sleep(time.Millisecond / 10)
		}
		if n := west.messages("jobs.fifo"); n != 20 {
			t.Fatalf("said to be copied, and %d of 20 messages are there", n)
		}
		before, _ := told()
		east.send("jobs.fifo", "g", "20")
		for s, _ := told(); s.UpTo == before.UpTo; s, _ = told() {
			time.Sleep(time.Millisecond / 10)
		}
		if n := west.messages("jobs.fifo"); n != 21 {
			t.Errorf("said to be there, and %d of 21 messages are", n)
		}
		before, _ = told()
		wire.set(func() { wire.cut = true })
		got := east.receive("jobs.fifo", 1)
		east.remove("jobs.fifo", &got[0])
		time.Sleep(20 * time.Second)
		if s, _ := told(); s.UpTo != before.UpTo {
			t.Errorf("over a cut wire: %+v", s)
		}
		wire.set(func() { wire.cut = false })
		time.Sleep(syncTimeout + 2*maxSyncRetry)
		if n := west.messages("jobs.fifo"); n != 20 {
			t.Errorf("a healed link takes long: %d of 20 messages are there", n)
		}
	})
}

// messages is how many messages a queue holds.
func (w *town) messages(queue string) uint64 {
	w.t.Helper()
	ctx := context.Background()
	q, err := w.service.GetQueue(ctx, queue)
	if err != nil {
		w.t.Fatal(err)
	}
	n, err := w.service.CountQueue(ctx, q)
	if err != nil {
		w.t.Fatal(err)
	}
	return n.Visible + n.InFlight + n.Delayed
}
