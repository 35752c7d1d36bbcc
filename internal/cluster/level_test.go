package cluster

import (
	"context"
	"testing"
	"time"

	"weir.dev/weir/internal/model"
	"weir.dev/weir/internal/terms"
)

// proposeAt proposes with terms and returns what was given.
func (r *room) proposeAt(level model.Level, cmd *model.Command) (terms.Given, error) {
	t := &terms.Terms{Level: level}
	_, err := r.Propose(terms.With(context.Background(), t), cmd)
	return t.Given(), err
}

// TestLevels: with all nodes up a write at level all is on all of them; with
// one down a write gets what it asks for or is told so.
func TestLevels(t *testing.T) {
	inWorld(t, 3, 1, func(w *world) {
		at := func(r *room, id byte, level, reached model.Level, fails bool) {
			t.Helper()
			begun := time.Now()
			g, err := r.proposeAt(level, sendCommand(id, 5, "m"))
			if (err != nil) != fails || fails && kindOf(err) != model.ErrNotOnAll {
				t.Errorf("node %v, level %v: %v", r.id, level, err)
			}
			if !g.Wrote || g.Level != reached || g.Token.At(1) == 0 {
				t.Errorf("node %v, level %v: given %+v", r.id, level, g)
			}
			if d := time.Since(begun); reached == level && d > 100*time.Millisecond {
				t.Errorf("node %v, level %v took %v", r.id, level, d)
			}
		}
		for i, r := range w.up() {
			at(r, byte(10*i+1), model.LevelQuorum, model.LevelQuorum, false)
			at(r, byte(10*i+2), model.LevelAllIfUp, model.LevelAll, false)
			at(r, byte(10*i+3), model.LevelAll, model.LevelAll, false)
		}
		down := w.other(1)
		down.stop(false)
		for i, r := range w.up() {
			at(r, byte(10*i+101), model.LevelQuorum, model.LevelQuorum, false)
			at(r, byte(10*i+102), model.LevelAllIfUp, model.LevelQuorum, false)
			at(r, byte(10*i+103), model.LevelAll, model.LevelQuorum, true)
		}
		w.boot(down, 0)
		w.eventually("all have it again", func() bool {
			g, err := w.leader(1).proposeAt(model.LevelAll, sendCommand(103, 5, "m")) // what failed, sent again
			return err == nil && g.Level == model.LevelAll
		})
		counts := 0
		for w.up()[0].receive(byte(200+counts), 5, 0).body == "m" {
			counts++
		}
		if counts != 9+6 {
			t.Errorf("%d messages, want 15: what was short was carried out, and once", counts)
		}
	})
}

// TestResourceLevel: a resource's own level holds for all its writes, from
// every node, as soon as the catalog says so.
func TestResourceLevel(t *testing.T) {
	inWorld(t, 3, 1, func(w *world) {
		op := model.CatalogOp{Kind: model.OpCreateResource, Resource: model.Resource{Kind: model.KindQueue, Name: "q", Level: model.LevelAllIfUp}}
		res, err := w.room(1).ProposeCatalog(context.Background(), &model.Command{Kind: model.CmdCatalog, Body: op.Append(nil)})
		if err != nil {
			t.Fatal(err)
		}
		var q model.Resource
		q.Decode(model.NewDecoder(res.Body))
		w.eventually("every node knows the level", func() bool {
			for _, r := range w.up() {
				if r.levels.of(q.ID) != model.LevelAllIfUp {
					return false
				}
			}
			return true
		})
		for i, r := range w.up() {
			cmd := sendCommand(byte(i+1), 5, "m")
			cmd.Resource = q.ID
			if g, err := r.proposeAt(model.LevelQuorum, cmd); err != nil || g.Level != model.LevelAll {
				t.Errorf("node %v: %+v, %v", r.id, g, err)
			}
		}
		op = model.CatalogOp{Kind: model.OpUpdateResource, Resource: model.Resource{ID: q.ID, Version: q.Version}}
		if _, err := w.room(1).ProposeCatalog(context.Background(), &model.Command{Kind: model.CmdCatalog, Body: op.Append(nil)}); err != nil {
			t.Fatal(err)
		}
		w.eventually("and that it is gone", func() bool { return w.leader(1).levels.of(q.ID) == model.LevelQuorum })
	})
}

// counted is how many messages a node's eventual read shows.
func (r *room) counted(t *terms.Terms) (uint64, error) {
	body := model.QueueQuery{NowMs: time.Now().UnixMilli()}
	q := &model.Query{Kind: model.QueryQueue, Resource: testQueue, Slot: 5, Body: body.Append(nil)}
	res, err := r.Read(terms.With(context.Background(), t), q, false)
	var c model.QueueCounts
	c.Decode(model.NewDecoder(res.Body))
	return c.Visible, err
}

// TestSessions: with the token of a write, every node's eventual reads show
// it, and reads never go back; a node that is cut off cannot pretend.
func TestSessions(t *testing.T) {
	inWorld(t, 3, 1, func(w *world) {
		var token terms.Token
		for i := range 20 {
			r := w.up()[i%3]
			x := &terms.Terms{After: token}
			if _, err := r.Propose(terms.With(context.Background(), x), sendCommand(byte(i+1), 5, "m")); err != nil {
				t.Fatal(err)
			}
			token = x.Given().Token
			for _, reader := range w.up() {
				x := &terms.Terms{After: token}
				n, err := reader.counted(x)
				if err != nil || n != uint64(i+1) {
					t.Fatalf("node %v shows %d of %d messages, %v", reader.id, n, i+1, err)
				}
				token = x.Given().Token
			}
		}
		cut := w.other(1)
		w.setCut(cut.id, true)
		if _, err := w.leader(1).proposeAt(model.LevelQuorum, sendCommand(100, 5, "m")); err != nil {
			t.Fatal(err)
		}
		if n, err := cut.counted(&terms.Terms{}); err != nil || n != 20 {
			t.Errorf("an eventual read of a node that is cut off: %d, %v", n, err)
		}
		ahead := terms.Token{{Tablet: 1, Index: token.At(1) + 1}}
		if n, err := cut.counted(&terms.Terms{After: ahead}); err == nil {
			t.Errorf("a node that is cut off shows a session %d messages", n)
		}
		if n, err := cut.counted(&terms.Terms{MaxLag: time.Second}); err == nil {
			t.Errorf("a node that is cut off shows %d messages as no more than a second old", n)
		}
		w.setCut(cut.id, false)
	})
}

// TestLag: what a read is told of its replica's lag is a bound that holds.
func TestLag(t *testing.T) {
	inWorld(t, 3, 1, func(w *world) {
		for _, r := range w.up() {
			x := &terms.Terms{}
			if _, err := r.counted(x); err != nil {
				t.Fatal(err)
			}
			if g := x.Given(); !g.Read || g.Lag > tellingLag {
				t.Errorf("node %v: given %+v", r.id, g)
			}
		}
		cut := w.other(1)
		w.setCut(cut.id, true)
		time.Sleep(3 * time.Second)
		x := &terms.Terms{}
		if _, err := cut.counted(x); err != nil || x.Given().Lag < 3*time.Second {
			t.Errorf("a node that was cut off three seconds ago: %+v, %v", x.Given(), err)
		}
		w.setCut(cut.id, false)
		w.eventually("it is fresh again", func() bool {
			x := &terms.Terms{MaxLag: 50 * time.Millisecond}
			_, err := cut.counted(x)
			return err == nil && x.Given().Lag <= 50*time.Millisecond
		})
	})
}
