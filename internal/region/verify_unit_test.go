package region

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"weir.dev/weir/internal/keys"
	"weir.dev/weir/internal/model"
)

// spoilUnit changes what a region has stored of a queue or stream, past the log:
// the first row of the type that holds the text.
func (w *town) spoilUnit(kind model.ResourceKind, name string, typ byte, text string, change func(s *tabletState, key, value []byte)) {
	w.t.Helper()
	r, _ := w.Catalog().Resource(kind, name)
	found := false
	w.set(func() {
		for _, s := range w.tablets {
			for _, k := range slices.Clone(s.keys) {
				res, _, is, _, ok := keys.SplitData([]byte(k))
				if ok && !found && res == r.ID && is == typ && strings.Contains(k+string(s.values[k]), text) {
					found = true
					change(s, []byte(k), slices.Clone(s.values[k]))
				}
			}
		}
	})
	if !found {
		w.t.Fatalf("%s is not stored in %s", text, w.name)
	}
}

func removeRow(s *tabletState, key, _ []byte) { s.Delete(key) }

// breakRow changes the last letter of what is stored.
func breakRow(s *tabletState, key, value []byte) {
	value[len(value)-1] ^= 1
	s.Set(key, value)
}

// moveRow stores a row under the number before its own, too: a message that
// nobody sent.
func moveRow(s *tabletState, key, value []byte) {
	moved := slices.Clone(key)
	moved[len(moved)-1] ^= 1
	s.Set(moved, value)
}

// seek sets a group's position in the first shard of a stream.
func (w *town) seek(stream, group string, n uint64) {
	w.t.Helper()
	r, _ := w.Catalog().Resource(model.KindStream, stream)
	body := model.SetPosition{Op: model.PositionSeek, Group: group, N: n}
	res, err := w.nodes[0].Propose(context.Background(), &model.Command{Kind: model.CmdSetPosition, Resource: r.ID, Slot: model.ShardSlot(r.ID, 0), Body: body.Append(nil)})
	if err != nil || res.Status != model.StatusOK {
		w.t.Fatal(res.Status, err)
	}
}

// traffic sends, receives, deletes and puts until stop is closed.
func (w *town) traffic(stop <-chan struct{}) <-chan struct{} {
	done := make(chan struct{})
	go func() {
		defer close(done)
		for i := 0; ; i++ {
			select {
			case <-stop:
				return
			default:
			}
			w.send("busy", "", fmt.Sprint("m", i))
			for _, m := range w.receive("busy", 2) {
				w.remove("busy", &m)
			}
			w.send("jobs", "", fmt.Sprint("more", i))
			w.putRecord("clicks", fmt.Sprint("k", i), fmt.Sprint("more", i))
			w.seek("clicks", "busy", uint64(1+i%3))
			time.Sleep(7 * time.Millisecond)
		}
	}()
	return done
}

func (w *town) unitsThere() {
	w.createQueue("jobs")
	w.createQueue("steps.fifo")
	w.createQueue("busy")
	w.createStream("clicks", 2)
	for i := range 200 {
		w.send("jobs", "", fmt.Sprintf("job-%03d", i))
		w.send("steps.fifo", "g", fmt.Sprintf("step-%03d", i))
		w.putRecord("clicks", fmt.Sprint("k", i), fmt.Sprintf("click-%03d", i))
	}
	w.seek("clicks", "reader", 9)
}

// TestVerifyUnits damages the copies of queues and of a stream in every way, finds
// exactly that while both are used, and mends it.
func TestVerifyUnits(t *testing.T) {
	inTowns(t, func(t *testing.T, wire *fakeWire, east, west *town) {
		east.unitsThere()
		east.link(west, Settings{Name: "to-west", Tables: []string{}, Queues: []string{"*"}, Streams: []string{"*"}})
		east.caughtUp("to-west")
		for range 3 { // received ones are no difference
			east.receive("jobs", 10)
		}
		if v := east.verify("to-west", false); v.Err != "" || v.Found != 0 || v.Unsettled != 0 || v.Queues != 3 || v.Streams != 1 || v.Messages != 400 || v.Records != 201 {
			t.Fatalf("two equal sides: %+v", v)
		}
		stop := make(chan struct{})
		done := east.traffic(stop)
		for range 10 {
			if v := east.verify("to-west", false); v.Err != "" || v.Found != 0 {
				t.Fatalf("equal sides under traffic: %+v", v)
			}
		}
		west.spoilUnit(model.KindQueue, "jobs", 'm', "job-007", removeRow)
		west.spoilUnit(model.KindQueue, "jobs", 'm', "job-008", breakRow)
		west.spoilUnit(model.KindQueue, "jobs", 'm', "job-009", moveRow)
		west.spoilUnit(model.KindQueue, "steps.fifo", 'm', "step-100", removeRow)
		west.spoilUnit(model.KindStream, "clicks", 'B', "click-050", removeRow)
		west.spoilUnit(model.KindStream, "clicks", 'B', "click-051", breakRow)
		west.spoilUnit(model.KindStream, "clicks", 'P', "reader", removeRow)
		want := []string{
			"clicks position of reader missing there", "clicks record differs", "clicks record missing there",
			"jobs message differs", "jobs message missing here", "jobs message missing there", "steps.fifo message missing there",
		}
		check := func(v Verification, repaired int) {
			t.Helper()
			var got []string
			for _, d := range v.Differences {
				words := strings.Fields(d.Key)
				if d.Kind == model.KindStream { // the shard comes first
					words = words[1:]
				}
				if words[0] != "position" {
					words = words[:1]
				}
				got = append(got, d.Name+" "+strings.Join(words, " ")+" "+d.What)
			}
			slices.Sort(got)
			if v.Err != "" || v.Found != len(want) || v.Repaired != repaired || !slices.Equal(got, want) {
				t.Errorf("%+v", v)
			}
		}
		check(east.verify("to-west", false), 0)
		check(east.verify("to-west", true), len(want))
		close(stop)
		<-done
		east.caughtUp("to-west")
		if v := east.verify("to-west", false); v.Err != "" || v.Found != 0 || v.Unsettled != 0 {
			t.Errorf("after the repair: %+v", v)
		}
		if a, b := east.shards("clicks"), west.shards("clicks"); !slices.Equal(a, b) {
			t.Errorf("the streams differ:\n%s\n%s", strings.Join(a, "\n"), strings.Join(b, "\n"))
		}
		st, err := east.engine().Describe(context.Background(), "to-west")
		if err != nil || st.Spec.VerifiedMs == 0 || st.Spec.Differences != 0 {
			t.Errorf("%+v %v", st.Spec, err)
		}
		east.failsOver("to-west")
		for queue, name := range map[string]string{"steps.fifo": "step", "jobs": "job"} {
			got := slices.DeleteFunc(west.drainQueue(queue), func(body string) bool { return !strings.HasPrefix(body, name) })
			if queue == "jobs" {
				slices.Sort(got)
			}
			for i := range 200 {
				if want := fmt.Sprintf("%s-%03d", name, i); len(got) != 200 || got[i] != want {
					t.Fatalf("after the repair and a failover %s has %d messages: %q", queue, len(got), got)
				}
			}
		}
	})
}

// TestVerifyUnitsAcrossFailover compares while the writes of queues and streams
// move back and forth: what is on its way is no difference, whichever way.
func TestVerifyUnitsAcrossFailover(t *testing.T) {
	inTowns(t, func(t *testing.T, wire *fakeWire, east, west *town) {
		east.unitsThere()
		units := Settings{Name: "to-west", Tables: []string{}, Queues: []string{"*"}, Streams: []string{"*"}}
		east.link(west, units)
		east.caughtUp("to-west")
		units.Name = "to-east"
		west.link(east, units)
		west.caughtUp("to-east")
		wire.set(func() { wire.lose, wire.twice = 5, 10 })
		for i := range 6 {
			active, link, passive, back := east, "to-west", west, "to-east"
			if i%2 == 1 {
				active, link, passive, back = west, "to-east", east, "to-west"
			}
			for n := range 20 {
				active.send("jobs", "", fmt.Sprint(i, "-", n))
				for _, m := range active.receive("steps.fifo", 1) {
					active.remove("steps.fifo", &m)
				}
				active.putRecord("clicks", "k", fmt.Sprint(i, "-", n))
			}
			var found []Verification
			ended := make(chan struct{})
			go func() {
				defer close(ended)
				found = append(found, active.verify(link, true), passive.verify(back, true))
			}()
			time.Sleep(time.Duration(i) * 30 * time.Millisecond)
			active.failsOver(link)
			<-ended
			for _, v := range found {
				if v.Found != 0 { // it may be cut short
					t.Errorf("a failover is taken for a difference: %+v", v)
				}
			}
		}
	})
}

// exchanges are the requests of comparisons that the wire carried.
func (f *fakeWire) exchanges() (n int) {
	f.set(func() { n = f.calls[OpDigest] + f.calls[OpLook] + f.calls[OpFetch] + f.calls[OpDrained] })
	return n
}

// TestVerifyExchanges bounds the requests that a comparison takes: what is
// compared grows, and what differs, but a level of all of it is one request.
func TestVerifyExchanges(t *testing.T) {
	inTowns(t, func(t *testing.T, wire *fakeWire, east, west *town) {
		wire.set(func() { wire.delay = time.Millisecond })
		for i := range 30 {
			east.createTable(fmt.Sprint("small", i))
			east.put(fmt.Sprint("small", i), "k", "1")
		}
		east.unitsThere()
		east.createTable("large")
		for i := range 9000 {
			east.put("large", fmt.Sprintf("item-%05d", i), "1")
		}
		east.link(west, Settings{Name: "small", Tables: []string{"small*"}})
		east.link(west, Settings{Name: "large", Tables: []string{"large"}})
		east.link(west, Settings{Name: "units", Tables: []string{}, Queues: []string{"*"}, Streams: []string{"*"}})
		for _, link := range []string{"small", "large", "units"} {
			east.caughtUp(link)
		}
		check := func(link string, found, bound int) {
			t.Helper()
			before := wire.exchanges()
			v := east.verify(link, false)
			n := wire.exchanges() - before
			t.Logf("%s: %d differences, %d exchanges, %v", link, v.Found, n, v.Ended.Sub(v.Started))
			if v.Err != "" || v.Found != found || n > bound || v.Exchanges != n {
				t.Errorf("%s: %d exchanges, at most %d may be: %+v", link, n, bound, v)
			}
		}
		check("small", 0, 1)
		check("large", 0, 1)
		check("units", 0, 2)
		west.spoil("small7", "k", remove)
		east.spoil("small8", "k", remove)
		west.spoil("large", "item-00007", remove)
		for i := range 20 {
			west.spoil("large", fmt.Sprintf("item-0%d", 1003+371*i), rewriteAs("bad"))
		}
		for i := range 20 {
			west.spoilUnit(model.KindQueue, "jobs", 'm', fmt.Sprintf("job-%03d", 7*i), removeRow)
			west.spoilUnit(model.KindStream, "clicks", 'B', fmt.Sprintf("click-%03d", 9*i), breakRow)
		}
		check("small", 2, 1+3)  // one level, then a look, what is to be shipped, and a look
		check("large", 21, 3+3) // three levels
		check("units", 40, 3+2) // of one version: one look says it; and one at the counts
	})
}
