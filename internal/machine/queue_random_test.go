package machine

import (
	"fmt"
	"math/rand/v2"
	"reflect"
	"slices"
	"testing"

	"weir.dev/weir/internal/model"
)

// known is what the model of a queue knows of one message.
type known struct {
	body     string
	hiddenMs int64 // nobody may receive it before
	inFlight bool  // hidden by a receive, not by a delay
	receives uint32
	receipt  string // the latest
	claimed  model.ClaimSeq
	dead     bool
}

// queueModel is a queue as a list of messages, next to the real one.
type queueModel struct {
	*queueRig
	rng    *rand.Rand
	live   []*known
	old    []string // receipts that are not the latest, or of messages that are gone
	serial int
}

// TestQueueAgainstModel does random things to a queue and to a model of it: no
// message is lost or comes back, no two consumers have one at once, and the
// counts agree at all times.
func TestQueueAgainstModel(t *testing.T) {
	for seed := range uint64(30) {
		t.Run(fmt.Sprintf("seed %d", seed), func(t *testing.T) {
			q := &queueModel{queueRig: newQueueRig(t), rng: rand.New(rand.NewPCG(seed, 1))}
			if seed%3 == 2 {
				q.settings.MaxReceives = 3
			}
			for range 400 {
				q.step()
				q.check()
			}
			q.drain()
			q.checkReplay()
		})
	}
}

func (q *queueModel) pick() *known {
	if len(q.live) == 0 {
		return nil
	}
	return q.live[q.rng.IntN(len(q.live))]
}

func (q *queueModel) remove(m *known) {
	q.live = slices.DeleteFunc(q.live, func(k *known) bool { return k == m })
	q.old = append(q.old, m.receipt)
}

func (q *queueModel) step() {
	switch n := q.rng.IntN(100); {
	case n < 25:
		q.sendSome()
	case n < 50:
		q.receiveSome(uint32(1+q.rng.IntN(5)), int64(q.rng.IntN(4))*100)
	case n < 65:
		q.deleteSome()
	case n < 75:
		q.changeSome()
	case n < 85:
		q.nowMs += int64(q.rng.IntN(150))
	case n < 92:
		q.claimSome()
	case n < 98:
		q.settleSome()
	case n == 98:
		cmd := model.SetQueueSettings{Settings: q.settings}
		q.do(model.CmdSetQueueSettings, 5, cmd.Append(nil))
	default:
		if q.rng.IntN(4) == 0 {
			q.purge()
		}
	}
}

func (q *queueModel) sendSome() {
	delay := max(0, int64(q.rng.IntN(5))-2) * 100
	var bodies []string
	for range 1 + q.rng.IntN(4) {
		q.serial++
		bodies = append(bodies, fmt.Sprint("m", q.serial))
		q.live = append(q.live, &known{body: bodies[len(bodies)-1], hiddenMs: q.nowMs + delay})
	}
	q.send(5, delay, bodies...)
}

func (q *queueModel) receiveSome(n uint32, visibilityMs int64) {
	for _, m := range q.receive(5, n, visibilityMs) {
		i := slices.IndexFunc(q.live, func(k *known) bool { return k.body == string(m.Body) })
		if i < 0 {
			q.t.Fatalf("%s came back", m.Body)
		}
		k := q.live[i]
		if k.hiddenMs > q.nowMs || k.claimed != 0 || k.dead {
			q.t.Fatalf("%s was received though it is %+v at %d", m.Body, k, q.nowMs)
		}
		if k.receives++; k.receives != m.Receives {
			q.t.Fatalf("%s: receive count %d, want %d", m.Body, m.Receives, k.receives)
		}
		if max := q.settings.MaxReceives; max > 0 && k.receives > max {
			q.t.Fatalf("%s was received %d times", m.Body, k.receives)
		}
		if k.receipt != "" {
			q.old = append(q.old, k.receipt)
		}
		k.receipt, k.hiddenMs, k.inFlight = m.Receipt, q.nowMs+visibilityMs, visibilityMs > 0
	}
	q.markDead()
}

// markDead learns from the dead index which messages the receive buried.
func (q *queueModel) markDead() {
	for _, k := range q.live {
		if q.settings.MaxReceives == 0 || k.receives < q.settings.MaxReceives || k.dead {
			continue
		}
		receipt, err := model.ParseReceipt(5, k.receipt)
		if err != nil {
			q.t.Fatal(err)
		}
		st, err := readState(q.view, 5, model.QueueSlot(5), receipt.Seq)
		if err != nil || st == nil {
			q.t.Fatalf("%s has no state: %v", k.body, err)
		}
		k.dead = st.Place == 3
	}
}

func (q *queueModel) deleteSome() {
	var handles []string
	for range 1 + q.rng.IntN(3) {
		if len(q.old) > 0 && q.rng.IntN(3) == 0 {
			handles = append(handles, q.old[q.rng.IntN(len(q.old))])
		} else if m := q.pick(); m != nil && m.receipt != "" {
			handles = append(handles, m.receipt)
			q.remove(m)
		}
	}
	handles = slices.DeleteFunc(handles, func(h string) bool { return h == "" })
	q.delete(5, handles...)
}

func (q *queueModel) changeSome() {
	m := q.pick()
	if m == nil || m.receipt == "" {
		return
	}
	ms := int64(q.rng.IntN(4)) * 100
	want := model.EntryOK
	switch {
	case m.claimed != 0 || m.dead:
		want = model.EntryNotFound
	case m.hiddenMs <= q.nowMs || !m.inFlight:
		want = model.EntryNotInflight
	}
	if got := q.changeVisibility(5, ms, m.receipt)[0]; got != want {
		q.t.Fatalf("changing %+v at %d: %d, want %d", m, q.nowMs, got, want)
	}
	if want == model.EntryOK {
		m.hiddenMs = q.nowMs + ms
	}
}

func (q *queueModel) claimSome() {
	dead := q.rng.IntN(3) == 0
	got, status := q.claim(5, 9, uint32(1+q.rng.IntN(4)), dead, "")
	if status != model.StatusOK {
		return
	}
	for _, m := range got.Messages {
		i := slices.IndexFunc(q.live, func(k *known) bool { return k.body == string(m.Body) })
		if i < 0 || q.live[i].claimed != 0 || q.live[i].hiddenMs > q.nowMs || q.live[i].dead != dead || q.live[i].receives != m.Receives {
			q.t.Fatalf("%s was claimed at %d", m.Body, q.nowMs)
		}
		q.live[i].claimed = got.Seq
		q.live[i].dead = false
	}
	q.markDead()
}

func (q *queueModel) settleSome() {
	page := q.claims(5, 9, 0)
	if len(page.Claims) == 0 {
		return
	}
	if page.Floor != page.Claims[0].Seq {
		q.t.Fatalf("floor %d, first unsettled claim %d", page.Floor, page.Claims[0].Seq)
	}
	c := page.Claims[q.rng.IntN(len(page.Claims))]
	release := q.rng.IntN(2) == 0
	for range 1 + q.rng.IntN(2) {
		q.settle(5, 9, c.Seq, release)
	}
	for _, m := range slices.Clone(q.live) {
		switch {
		case m.claimed != c.Seq:
		case release:
			m.claimed, m.hiddenMs = 0, q.nowMs
		default:
			q.remove(m)
		}
	}
}

func (q *queueModel) purge() {
	if res := q.do(model.CmdPurge, 5, (&model.Purge{}).Append(nil)); res.Status != model.StatusOK {
		return
	}
	for _, m := range slices.Clone(q.live) {
		q.remove(m)
	}
}

// check compares the counts.
func (q *queueModel) check() {
	q.checkQueue(5)
	var want model.QueueCounts
	for _, m := range q.live {
		want.Bytes += uint64(len(m.body))
		switch {
		case m.claimed != 0:
			want.Claimed++
		case m.dead:
			want.Dead++
		case m.hiddenMs <= q.nowMs:
			want.Visible++
		case m.inFlight:
			want.InFlight++
		default:
			want.Delayed++
		}
	}
	got := q.counts(5)
	got.OldestMs = 0
	if got != want {
		q.t.Fatalf("counts are %+v, want %+v", got, want)
	}
}

// drain takes out everything and finds the model's messages, each once.
func (q *queueModel) drain() {
	q.nowMs += 1_000_000
	var got, want []string
	for _, m := range q.live {
		want = append(want, m.body)
	}
	for _, c := range q.claims(5, 9, 0).Claims {
		q.settle(5, 9, c.Seq, true)
	}
	q.settings.MaxReceives = 0
	q.do(model.CmdSetQueueSettings, 5, (&model.SetQueueSettings{}).Append(nil))
	for {
		ms := q.receive(5, 10, model.MaxVisibilityMs)
		if len(ms) == 0 {
			break
		}
		for _, m := range ms {
			got = append(got, string(m.Body))
			q.delete(5, m.Receipt)
		}
	}
	slices.Sort(got)
	slices.Sort(want)
	if !slices.Equal(got, want) {
		q.t.Fatalf("left are %v, want %v", got, want)
	}
	q.checkQueue(5)
	if counts := q.counts(5); counts != (model.QueueCounts{}) {
		q.t.Fatalf("an empty queue counts %+v", counts)
	}
}

// TestQueueRepeatedReceive repeats a receive under its request id: the second
// answer is the first one without what has left the receiver's hands.
func TestQueueRepeatedReceive(t *testing.T) {
	r := newQueueRig(t)
	r.send(5, 0, "a", "b", "c")
	cmd := r.receiveCommand(5, 3, 1000)
	cmd.ID = model.RequestID{1}
	first := decodeAs[model.ReceiveResult](t, r.run(cmd).Bytes())
	r.delete(5, first.Messages[0].Receipt)
	r.changeVisibility(5, 0, first.Messages[1].Receipt)
	r.receive(5, 1, 1000)
	again := r.receiveCommand(5, 3, 1000) // with another nonce
	again.ID = cmd.ID
	second := r.run(again)
	got := decodeAs[model.ReceiveResult](t, second.Bytes())
	if got.Taken != 3 || !reflect.DeepEqual(got.Messages, first.Messages[2:]) {
		t.Fatalf("got %+v, want %+v", got, first.Messages[2:])
	}
	if TookNothing(again, second) {
		t.Fatal("a repeated receive counts as one that found nothing")
	}
	if empty := r.run(r.receiveCommand(5, 1, 0)); !TookNothing(again, empty) {
		t.Fatal("a receive that found nothing counts as one that took something")
	}
	r.send(5, 0, "d")
	r.delete(5, got.Messages[0].Receipt)
	if res := r.run(again); TookNothing(again, res) {
		t.Fatal("a repeated receive whose messages are gone must end its waiting")
	}
}

func TestQueueLimits(t *testing.T) {
	r := newQueueRig(t)
	r.settings.MaxReceives = 0
	if r.head(5).InFlight != 0 {
		t.Fatal("a new queue has messages in flight")
	}
	for range model.MaxPipeClaims {
		r.send(5, 0, "x")
		if _, status := r.claim(5, 9, 1, false, ""); status != model.StatusOK {
			t.Fatalf("claim: status %d", status)
		}
	}
	r.send(5, 0, "x")
	if _, status := r.claim(5, 9, 1, false, ""); status != model.StatusOverLimit {
		t.Fatalf("a claim too many: status %d", status)
	}
	r.settle(5, 9, 7, false)
	if got, status := r.claim(5, 9, 1, false, ""); status != model.StatusOK || got.Floor != 1 || got.Seq != model.MaxPipeClaims+1 {
		t.Fatalf("after settling one: %+v, status %d", got, status)
	}
	var big []byte
	for range 3 {
		big = append(big, make([]byte, model.MaxMessageBytes)...)
	}
	for range 5 {
		r.send(6, 0, string(big))
	}
	if got := r.receive(6, 10, 1000); len(got) != 4 {
		t.Fatalf("received %d messages of 3 MiB, want 4", len(got))
	}
}
