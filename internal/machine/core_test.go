package machine

import (
	"bytes"
	"math/rand/v2"
	"reflect"
	"strings"
	"testing"
	"time"

	"weir.dev/weir/internal/keys"
	"weir.dev/weir/internal/model"
)

func TestUnknownCommandStopsTheNode(t *testing.T) {
	for _, kind := range []model.CommandKind{0, 2, 15, 63, 65, 255} {
		_, err := newRig().apply(&model.Command{Kind: kind, Resource: 1})
		if err == nil || !strings.Contains(err.Error(), "older than the log") {
			t.Errorf("kind %d: %v", kind, err)
		}
	}
	if _, err := Query(newMemView(), &model.Query{Kind: 255}); err == nil {
		t.Error("an unknown query was answered")
	}
}

// TestMalformedBodiesStopTheNode: what no leader would have proposed is an
// error, whatever the kind, and never a panic.
func TestMalformedBodiesStopTheNode(t *testing.T) {
	for kind := range applies {
		if kind == model.CmdDropResource {
			continue // it has no body
		}
		r := newRig()
		if _, err := r.apply(&model.Command{Kind: kind, Resource: 1, Body: []byte{0xff}}); err == nil {
			t.Errorf("kind %d with the body ff was applied", kind)
		}
	}
}

// TestDrop: after a drop nothing of the resource is left in the tablet, and
// every later command on it says so, on a reloaded machine too.
func TestDrop(t *testing.T) {
	r := newRig()
	r.must(t, putAt(t, 1, 0, "a"))
	other := putAt(t, 2, time.Second, "a")
	other.Resource = 8
	r.must(t, other)
	drop := &model.Command{Kind: model.CmdDropResource, Resource: 7, Stamp: stampIn(2 * time.Second)}
	if out := r.must(t, drop); out.Result.Status != model.StatusOK || !out.Wake {
		t.Errorf("drop: %+v; those who wait on the resource must hear of it", out)
	}
	check := func(m *Machine, at time.Duration) {
		t.Helper()
		lo, hi := keys.ResourceAll(7)
		if err := scan(r.view, lo, hi, func(key, _ []byte) error { t.Errorf("%s is left", keys.String(key)); return nil }); err != nil {
			t.Fatal(err)
		}
		var b memBatch
		for _, kind := range []model.CommandKind{model.CmdPutItem, model.CmdSend, model.CmdDropResource, model.CmdClaim} {
			out, err := m.Apply(r.view, &b, Position{Index: 900}, &model.Command{Kind: kind, Resource: 7, Stamp: stampIn(at)})
			if err != nil || out.Result.Status != model.StatusGone {
				t.Errorf("command %d on a dropped resource: %+v, %v", kind, out, err)
			}
		}
		if len(b.changes) > 0 {
			t.Error("commands on a dropped resource wrote something")
		}
	}
	check(r.machine, 3*time.Second)
	loaded := New(1, 0, model.SlotCount)
	if err := loaded.Load(r.view); err != nil {
		t.Fatal(err)
	}
	check(loaded, 4*time.Second)
	again := putAt(t, 3, 5*time.Second, "b")
	again.Resource = 8
	if out := r.must(t, again); out.Result.Status != model.StatusOK {
		t.Errorf("the other table: %+v", out)
	}
}

// TestDropLeavesOtherTabletsSlots: a machine removes its own slots only.
func TestDropLeavesOtherTabletsSlots(t *testing.T) {
	view := newMemView()
	m := New(3, 100, 200)
	if err := m.Load(view); err != nil {
		t.Fatal(err)
	}
	for _, slot := range []uint32{99, 100, 199, 200} {
		lo, _ := keys.ResourceSpan(7, slot, slot+1)
		view.set(string(lo)+"x", []byte("v"))
	}
	var b memBatch
	if _, err := m.Apply(view, &b, Position{Index: 2}, &model.Command{Kind: model.CmdDropResource, Resource: 7, Slot: 100, Stamp: 1}); err != nil {
		t.Fatal(err)
	}
	b.commit(view)
	left := 0
	for _, slot := range []uint32{99, 100, 199, 200} {
		lo, _ := keys.ResourceSpan(7, slot, slot+1)
		if _, ok := view.values[string(lo)+"x"]; ok {
			left++
			if slot == 100 || slot == 199 {
				t.Errorf("slot %d is left", slot)
			}
		}
	}
	if left != 2 {
		t.Errorf("%d of the other tablets' keys are left, want 2", left)
	}
}

func TestDamagedMarkStopsLoading(t *testing.T) {
	view := newMemView()
	view.set(string(keys.Dropped(1, 7))+"x", nil)
	if err := New(1, 0, model.SlotCount).Load(view); err == nil {
		t.Error("a malformed mark of a dropped resource was loaded")
	}
}

// TestReplicasAgree applies the same random commands to two machines, of which
// one is reloaded again and again, and compares every result and every byte.
func TestReplicasAgree(t *testing.T) {
	for seed := range uint64(20) {
		rng := rand.New(rand.NewPCG(seed, 1))
		a, b := newRig(), newRig()
		for i := range 150 {
			cmd := randomCommand(t, rng, i)
			twin := *cmd
			twin.Body = bytes.Clone(cmd.Body)
			if rng.IntN(10) == 0 {
				b.machine = New(1, 0, model.SlotCount)
				if err := b.machine.Load(b.view); err != nil {
					t.Fatal(err)
				}
			}
			outA, outB := a.must(t, cmd), b.must(t, &twin)
			if outA.Wake != outB.Wake || outA.Repeated != outB.Repeated || !sameResult(outA.Result, outB.Result) {
				t.Fatalf("seed %d, command %d: %+v and %+v", seed, i, outA, outB)
			}
		}
		if !reflect.DeepEqual(a.view, b.view) {
			t.Fatalf("seed %d: the states differ", seed)
		}
	}
}

// randomCommand is some command, often a repeated one.
func randomCommand(t testing.TB, rng *rand.Rand, i int) *model.Command {
	at := time.Duration(i) * 4 * time.Second
	id := byte(rng.IntN(40))
	name := string(rune('a' + rng.IntN(4)))
	switch rng.IntN(6) {
	case 0:
		body := model.DeleteItem{Key: itemKey(jsonItem(t, `{"p": "`+name+`"}`))}
		return &model.Command{Kind: model.CmdDeleteItem, ID: model.RequestID{id, 1}, Resource: 7, Stamp: stampIn(at), Body: body.Append(nil)}
	case 1:
		body := model.Send{Settings: model.QueueSettings{RetentionMs: 60_000}, Entries: []model.SendEntry{{Message: model.Message{ID: model.MessageID{id}, Body: []byte(name)}, DelayMs: int64(rng.IntN(2)) * 5000}}}
		return &model.Command{Kind: model.CmdSend, ID: model.RequestID{id, 2}, Resource: 9, Stamp: stampIn(at), Body: body.Append(nil)}
	case 2:
		body := model.Receive{Settings: model.QueueSettings{RetentionMs: 60_000}, Max: 3, VisibilityMs: 9000, Nonce: rng.Uint64()}
		return &model.Command{Kind: model.CmdReceive, ID: model.RequestID{id, 3}, Resource: 9, Stamp: stampIn(at), Body: body.Append(nil)}
	case 3:
		if i > 120 {
			return &model.Command{Kind: model.CmdDropResource, Resource: 7, Stamp: stampIn(at)}
		}
	}
	return putAt(t, id, at, name)
}
