package machine

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"

	"weir.dev/weir/internal/model"
)

const (
	testSource = model.ResourceID(5)
	testDead   = model.ResourceID(6)
	testTarget = model.ResourceID(7)
	testPipe   = model.ResourceID(100)
)

// pipeWorld runs several workers on one pipe, which crash, forget, work on what
// others work on, and whose commands are repeated at any later time.
type pipeWorld struct {
	*queueRig
	rng   *rand.Rand
	spec  model.PipeSpec
	sent  map[string]int // by item: what the sum must be
	bad   map[string]int // messages that the target refuses
	sends int
	past  []model.Command // all applies and settles ever sent
	work  []*claimWork    // what workers have in hand
}

// claimWork is one worker's view of one claim. It may be out of date.
type claimWork struct {
	claim   model.UnsettledClaim
	floor   model.ClaimSeq
	parts   map[uint32][]model.PipeEffect
	order   []uint32
	done    int // of order
	refused map[uint64]bool
	handed  bool // the refused ones are in the dead-letter queue
}

// TestPipeExactlyOnce checks the sums at the end: each message took effect
// exactly once, whatever was repeated, reordered or left half done.
func TestPipeExactlyOnce(t *testing.T) {
	for seed := range uint64(30) {
		t.Run(fmt.Sprintf("seed %d", seed), func(t *testing.T) {
			w := &pipeWorld{queueRig: newQueueRig(t), rng: rand.New(rand.NewPCG(seed, 2)), sent: map[string]int{}, bad: map[string]int{}}
			w.spec = model.PipeSpec{Bounds: []model.Slot{0, 0x4000, 0x9000}}
			for range 600 {
				w.step()
			}
			w.finish()
			w.checkReplay()
		})
	}
}

func (w *pipeWorld) step() {
	w.nowMs += int64(w.rng.IntN(20))
	switch n := w.rng.IntN(100); {
	case n < 20:
		w.sendSome()
	case n < 30:
		w.claimSome()
	case n < 35:
		w.takeOver()
	case n < 40 && len(w.work) > 0:
		i := w.rng.IntN(len(w.work)) // a worker crashes
		w.work = append(w.work[:i], w.work[i+1:]...)
	case n < 75 && len(w.work) > 0:
		w.advance(w.work[w.rng.IntN(len(w.work))])
	case n < 90 && len(w.past) > 0:
		old := w.past[w.rng.IntN(len(w.past))]
		w.run(&old)
	case n < 95:
		w.receive(testSource, 2, 50) // a consumer that never deletes
	}
}

func (w *pipeWorld) sendSome() {
	for range 1 + w.rng.IntN(6) {
		w.sends++
		item, n := fmt.Sprint("post", w.rng.IntN(5)), 1+w.rng.IntN(9)
		body := fmt.Sprintf("%d add %s %d", w.sends, item, n)
		if w.rng.IntN(6) == 0 {
			body = fmt.Sprintf("%d bad %s 0", w.sends, item)
			w.bad[body] = 0
		} else {
			w.sent[item] += n
		}
		w.send(testSource, 0, body)
	}
}

func (w *pipeWorld) claimSome() {
	got, status := w.claim(testSource, testPipe, uint32(1+w.rng.IntN(8)), false, "")
	if status != model.StatusOK || got.Taken == 0 || w.rng.IntN(4) == 0 { // sometimes the answer is lost
		return
	}
	w.begin(model.UnsettledClaim{Seq: got.Seq, Messages: got.Messages}, got.Floor)
}

// takeOver makes a new worker find what others have left.
func (w *pipeWorld) takeOver() {
	page := w.claims(testSource, testPipe, 0)
	if len(page.Claims) > 0 {
		w.begin(page.Claims[w.rng.IntN(len(page.Claims))], page.Floor)
	}
}

func (w *pipeWorld) begin(c model.UnsettledClaim, floor model.ClaimSeq) {
	k := &claimWork{claim: c, floor: floor, parts: map[uint32][]model.PipeEffect{}, refused: map[uint64]bool{}}
	for _, m := range c.Messages {
		f := strings.Fields(string(m.Body))
		update, value := "ADD score :v", model.Value{Kind: model.KindN, Str: f[3]}
		if f[1] == "bad" {
			update = "SET score = nothing + :v"
		}
		slot, _ := slotOfItem(itemKey(testKey(f[2])))
		part, _ := w.spec.PartOf(slot)
		if k.parts[part] == nil {
			k.order = append(k.order, part)
		}
		k.parts[part] = append(k.parts[part], model.PipeEffect{Message: m.Seq, Kind: model.CmdUpdateItem, Body: updateBody(w.t, f[2], update, value, "")})
	}
	w.work = append(w.work, k)
}

// propose sends a command that may come back at any time.
func (w *pipeWorld) propose(kind model.CommandKind, id model.ResourceID, slot model.Slot, body []byte) model.Result {
	cmd := model.Command{Kind: kind, Resource: id, Slot: slot, Body: body}
	w.past = append(w.past, cmd)
	return w.run(&cmd)
}

// advance does the next step of a claim. When somebody else has settled it, the
// worker forgets it.
func (w *pipeWorld) advance(k *claimWork) {
	source := model.PipeSource{Resource: testSource, Slot: model.QueueSlot(testSource)}
	apply := model.PipeApply{Pipe: testPipe, Source: source, Claim: k.claim.Seq, Floor: k.floor}
	switch {
	case k.done < len(k.order):
		apply.Part = k.order[k.done]
		apply.Effects = k.parts[apply.Part]
		res := w.propose(model.CmdPipeApply, testTarget, w.spec.Bounds[apply.Part], apply.Append(nil))
		if res.Status == model.StatusStale {
			w.forget(k)
			return
		}
		for _, r := range decodeAs[model.PipeApplyResult](w.t, res.Body).Rejected {
			k.refused[r.Message] = true
		}
		k.done++
	case len(k.refused) > 0 && !k.handed:
		apply.Part = model.DeadPart
		for _, m := range k.claim.Messages {
			if k.refused[m.Seq] {
				apply.Effects = append(apply.Effects, model.PipeEffect{Message: m.Seq, Kind: model.CmdSend, Body: (&model.SendEntry{Message: m.Message}).Append(nil)})
			}
		}
		if w.propose(model.CmdPipeApply, testDead, model.QueueSlot(testDead), apply.Append(nil)).Status == model.StatusStale {
			w.forget(k)
			return
		}
		k.handed = true
	default:
		cmd := model.Settle{Pipe: testPipe, Claim: k.claim.Seq}
		w.propose(model.CmdSettle, testSource, source.Slot, cmd.Append(nil))
		w.forget(k)
	}
}

func (w *pipeWorld) forget(k *claimWork) {
	for i := range w.work {
		if w.work[i] == k {
			w.work = append(w.work[:i], w.work[i+1:]...)
			return
		}
	}
}

// finish lets one last worker complete everything, repeats the past, and
// checks the sums.
func (w *pipeWorld) finish() {
	w.work = nil
	w.nowMs += 1_000_000
	for {
		for _, c := range w.claims(testSource, testPipe, 0).Claims {
			w.begin(c, w.claims(testSource, testPipe, 0).Floor)
		}
		for len(w.work) > 0 {
			w.advance(w.work[0])
		}
		if got, _ := w.claim(testSource, testPipe, 100, false, ""); got.Taken == 0 {
			break
		}
	}
	for range 50 {
		old := w.past[w.rng.IntN(len(w.past))]
		w.run(&old)
	}
	if counts := w.counts(testSource); counts != (model.QueueCounts{}) {
		w.t.Fatalf("the source is not empty: %+v", counts)
	}
	w.checkQueue(testSource)
	w.checkSums()
}

func (w *pipeWorld) checkSums() {
	for i := range 5 {
		name := fmt.Sprint("post", i)
		got := "0"
		item, err := readItem(w.view, testTarget, itemKey(testKey(name)))
		if err != nil {
			w.t.Fatal(err)
		}
		if fields, err := item.decode(); err != nil {
			w.t.Fatal(err)
		} else if v, ok := fields.Get("score"); ok {
			got = v.Str
		}
		if got != fmt.Sprint(w.sent[name]) {
			w.t.Errorf("%s is %s, want %d", name, got, w.sent[name])
		}
	}
	for {
		ms := w.receive(testDead, 100, 1_000_000)
		if len(ms) == 0 {
			break
		}
		for _, m := range ms {
			w.bad[string(m.Body)]++
		}
	}
	for body, n := range w.bad {
		if n != 1 {
			w.t.Errorf("dead letter %q came %d times", body, n)
		}
	}
	// Records below the floor are gone: at most one claim's records are left,
	// and those of claims that the parts have not heard of since.
	records := 0
	for _, k := range w.view.keys {
		if k[0] == 'd' && k[11] == 'a' {
			records++
		}
	}
	if records > model.MaxPipeClaims*4 {
		w.t.Errorf("%d results of parts are kept", records)
	}
}
