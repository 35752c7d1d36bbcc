package pipe

import (
	"fmt"
	"testing"
	"time"

	"weir.dev/weir/internal/model"
	"weir.dev/weir/internal/service"
)

// bury receives a queue's n messages until they die of it.
func (p *plant) bury(queue string, n int) {
	p.t.Helper()
	now := int64(0)
	for range 2 * n {
		if _, err := p.service.ReceiveMessages(p.ctx, &service.ReceiveRequest{Queue: queue, Max: 10, Visibility: &now, Wait: &now}); err != nil {
			p.t.Fatal(err)
		}
	}
}

// TestMoversRest: queues in which nothing dies cost nothing, and what dies is
// moved within a second or so all the same; also what died while nobody looked.
func TestMoversRest(t *testing.T) {
	inPlant(t, func(p *plant) {
		p.createQueue("dead")
		policy := `{"deadLetterTargetArn":"arn:aws:sqs:us-east-1:000000000000:dead","maxReceiveCount":"1"}`
		for i := range 50 {
			p.withAttributes(fmt.Sprint("q", i), "RedrivePolicy", policy)
		}
		time.Sleep(5 * time.Second)
		var looks, calls int
		p.set(func() { looks, calls = p.looks, p.calls })
		time.Sleep(time.Minute)
		p.set(func() {
			if p.looks != looks || p.calls != calls {
				t.Errorf("%d looks and %d proposals in a minute in which nothing happened", p.looks-looks, p.calls-calls)
			}
		})
		for round := range 3 {
			req := &service.SendRequest{Queue: "q7", Messages: []service.OutgoingMessage{{Body: "a"}, {Body: "b"}, {Body: "c"}}}
			if _, err := p.service.SendMessages(p.ctx, req); err != nil {
				t.Fatal(err)
			}
			if round == 2 { // nobody hears of it
				p.set(func() { p.deaf = true })
			}
			before := time.Now()
			p.bury("q7", 3)
			want := uint64(3 * (round + 1))
			p.eventually("the dead letters are moved", func() bool { return p.left("dead") == want && p.left("q7") == 0 })
			switch took := time.Since(before); {
			case round < 2 && took > 2*time.Second:
				t.Errorf("dead letters were moved after %v", took)
			case took > sweepEvery+2*time.Second:
				t.Errorf("dead letters of which nobody heard were moved after %v", took)
			}
			time.Sleep(3 * time.Second)
		}
	})
}

// TestMoverBesideNudges: a mover that is told to look while it ends is told in
// vain, or looks: nothing is left behind.
func TestMoverBesideNudges(t *testing.T) {
	w := &worker{engine: &Engine{}, open: map[claimID]bool{}, job: &job{id: 5}}
	w.open[claimID{seq: 1}] = true
	if w.rest() {
		t.Fatal("a mover rests while it drives a claim")
	}
	delete(w.open, claimID{seq: 1})
	if !w.nudge() || w.rest() {
		t.Fatal("a mover rests though it was told to look")
	}
	if !w.rest() || w.nudge() || !w.rests() {
		t.Fatal("a mover that has ended was told to look")
	}
	if _, rested := w.engine.nudges.take(); len(rested) != 1 || rested[0] != model.ResourceID(5) {
		t.Fatalf("rested: %v", rested)
	}
}
