package pipe

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"weir.dev/weir/internal/model"
	"weir.dev/weir/internal/service"
)

// clicks are n clicks on ten posts.
func clicks(n int) (bodies []string, sums map[string]int) {
	sums = map[string]int{}
	for i := range n {
		post := fmt.Sprintf("p%d", i%10)
		bodies = append(bodies, click(post, i+1))
		sums[post] += i + 1
	}
	return bodies, sums
}

func (p *plant) wantSums(sums map[string]int) {
	p.t.Helper()
	for post, sum := range sums {
		if got := p.score(post); got != fmt.Sprint(sum) {
			p.t.Errorf("post %s has the score %s, want %d", post, got, sum)
		}
	}
}

func TestDrain(t *testing.T) {
	inPlant(t, func(p *plant) {
		bodies, sums := clicks(200)
		p.send(bodies...)
		p.create(likes())
		p.eventually("the queue is drained", p.drained)
		p.wantSums(sums)
	})
}

// TestFailedProposals refuses and loses proposals at random: every click
// counts once.
func TestFailedProposals(t *testing.T) {
	for seed := range uint64(4) {
		inPlant(t, func(p *plant) {
			rng := rand.New(rand.NewPCG(seed, 1))
			bodies, sums := clicks(150)
			p.send(bodies...)
			p.create(likes())
			p.set(func() {
				p.fault = func(int, *model.Command) fault {
					switch rng.IntN(10) {
					case 0, 1:
						return refused
					case 2, 3, 4:
						return lost
					}
					return fine
				}
			})
			p.eventually("the queue is drained", p.drained)
			p.wantSums(sums)
		})
	}
}

// TestInterruptions stops the worker at each of its proposals, before and
// after it took effect, and lets another one go on.
func TestInterruptions(t *testing.T) {
	for _, where := range []fault{hangBefore, hangAfter} {
		for at := 1; ; at++ {
			reached := false
			inPlant(t, func(p *plant) {
				bodies, sums := clicks(30)
				p.send(append(bodies, "no JSON", click("", 1))...)
				p.create(likes())
				p.set(func() {
					from := p.calls
					p.fault = func(call int, _ *model.Command) fault {
						if call != from+at {
							return fine
						}
						reached = true
						return where
					}
				})
				for range 200 {
					if p.drained() {
						break
					}
					time.Sleep(20 * time.Millisecond)
				}
				p.engine.Close()
				p.start(uint64(at) + 100)
				p.eventually("the queue is drained", p.drained)
				p.wantSums(sums)
				if n := p.left("likes-dead"); n != 2 {
					t.Errorf("stopped at proposal %d: %d dead letters, want 2", at, n)
				}
			})
			if !reached {
				if at < 5 {
					t.Errorf("there are only %d proposals to stop at", at-1)
				}
				break
			}
		}
	}
}

// TestTwoWorkers: around a change of leader two nodes may run one pipe.
func TestTwoWorkers(t *testing.T) {
	inPlant(t, func(p *plant) {
		first := p.engine
		p.start(2)
		defer first.Close()
		bodies, sums := clicks(300)
		p.create(likes())
		p.send(bodies...)
		p.eventually("the queue is drained", p.drained)
		p.wantSums(sums)
	})
}

// TestOnlyTheLeaderWorks: a node that does not lead the source leaves it alone,
// and stops when it no longer does.
func TestOnlyTheLeaderWorks(t *testing.T) {
	inPlant(t, func(p *plant) {
		p.set(func() { p.leads = false })
		p.create(likes())
		p.send(click("a", 1))
		time.Sleep(5 * time.Second)
		if p.drained() {
			t.Error("a node that does not lead the source runs its pipe")
		}
		p.set(func() { p.leads = true })
		p.eventually("the queue is drained", p.drained)
		p.set(func() { p.leads = false })
		time.Sleep(2 * time.Second)
		p.send(click("a", 1))
		time.Sleep(5 * time.Second)
		if p.drained() {
			t.Error("a node that has lost the source goes on")
		}
	})
}

// TestDeadLetters: what cannot be applied goes to the dead-letter queue with
// its reason, and holds up nothing.
func TestDeadLetters(t *testing.T) {
	inPlant(t, func(p *plant) {
		p.create(likes())
		reasons := map[string]string{
			"not JSON":                           "the body is not JSON",
			`{"n": 1}`:                           "the body has no $.post",
			`{"post": "a"}`:                      "the body has no $.n",
			`{"post": 7, "n": 1}`:                "does not match the schema",
			`{"post": "", "n": 1}`:               "empty string",
			`{"post": "a", "n": "many"}`:         "Incorrect operand type",
			`{"post": "a", "n": 1} and the rest`: "the body is not JSON",
		}
		for body := range reasons {
			p.send(body, click("good", 1))
		}
		p.eventually("the queue is drained", p.drained)
		if got := p.score("good"); got != fmt.Sprint(len(reasons)) {
			t.Errorf("score %s of %d good clicks", got, len(reasons))
		}
		for range reasons {
			got, err := p.service.ReceiveMessages(p.ctx, &service.ReceiveRequest{Queue: "likes-dead", Max: 1})
			if err != nil || len(got) != 1 {
				t.Fatalf("%d dead letters, %v", len(got), err)
			}
			attrs := map[string]string{}
			for _, a := range got[0].Attrs {
				attrs[a.Name] = a.Value
			}
			body := string(got[0].Body)
			if want, ok := reasons[body]; !ok || !strings.Contains(attrs["weir.reason"], want) || attrs["weir.pipe"] != "likes" {
				t.Errorf("dead letter %q: %q, want a reason with %q", body, attrs, want)
			}
		}
	})
}

// TestDeadLetterQueueIsMadeAgain: a message is never dropped.
func TestDeadLetterQueueIsMadeAgain(t *testing.T) {
	inPlant(t, func(p *plant) {
		p.create(likes())
		dead, err := p.service.GetQueue(p.ctx, "likes-dead")
		if err != nil {
			t.Fatal(err)
		}
		if err := p.service.DeleteQueue(p.ctx, "likes-dead"); err != nil {
			t.Fatal(err)
		}
		drop := &model.Command{Kind: model.CmdDropResource, Resource: dead.ID, Slot: model.QueueSlot(dead.ID)}
		if _, err := p.Propose(p.ctx, drop); err != nil {
			t.Fatal(err)
		}
		p.send("not JSON")
		p.eventually("the queue is drained", p.drained)
		if n := p.left("likes-dead"); n != 1 {
			t.Errorf("%d dead letters, want 1", n)
		}
	})
}

// TestDelete: a deleted pipe rolls forward what it has claimed, and forgets;
// the rest stays in the queue, for a new pipe of that name too.
func TestDelete(t *testing.T) {
	inPlant(t, func(p *plant) {
		s := likes()
		s.Rate = 50
		p.create(s)
		bodies, sums := clicks(100)
		p.send(bodies...)
		time.Sleep(time.Second)
		if err := p.engine.Delete(p.ctx, "likes"); err != nil {
			t.Fatal(err)
		}
		p.eventually("the pipe is forgotten", func() bool { return len(p.Catalog().Deleted) == 0 })
		left := p.left("clicks")
		if left == 0 || left > 90 {
			t.Errorf("%d clicks are left after a second at 50 per second", left)
		}
		time.Sleep(5 * time.Second)
		if n := p.left("clicks"); n != left {
			t.Errorf("a deleted pipe goes on: %d clicks were left, now %d", left, n)
		}
		p.create(likes())
		p.eventually("the queue is drained", p.drained)
		p.wantSums(sums)
		if err := p.engine.Delete(p.ctx, "nobody"); kindOf(err) != model.ErrNotFound {
			t.Errorf("deleting a pipe that is not there: %v", err)
		}
	})
}

// TestRate measures the outflow, changes the rate while it flows, and pauses.
func TestRate(t *testing.T) {
	inPlant(t, func(p *plant) {
		s := likes()
		s.Rate = 40
		p.create(s)
		bodies, _ := clicks(3000)
		p.send(bodies...)
		flow := func(d time.Duration) float64 {
			before := p.left("clicks")
			time.Sleep(d)
			return float64(before-p.left("clicks")) / d.Seconds()
		}
		time.Sleep(time.Second)
		if got := flow(10 * time.Second); got < 38 || got > 42 {
			t.Errorf("%.1f per second, want 40", got)
		}
		rate, on, off := 100.0, true, false
		if err := p.engine.Change(p.ctx, "likes", &rate, nil); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Second)
		if got := flow(10 * time.Second); got < 95 || got > 105 {
			t.Errorf("%.1f per second, want 100", got)
		}
		if err := p.engine.Change(p.ctx, "likes", nil, &on); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Second)
		if got := flow(10 * time.Second); got != 0 {
			t.Errorf("%.1f per second while paused", got)
		}
		described, progress, err := p.engine.Describe(p.ctx, "likes")
		if err != nil || described.Rate != 100 || !described.Paused || progress.Backlog == 0 || progress.DrainSeconds == 0 {
			t.Errorf("described as %+v, %+v, %v", described, progress, err)
		}
		rate = 0
		if err := p.engine.Change(p.ctx, "likes", &rate, &off); err != nil {
			t.Fatal(err)
		}
		p.eventually("the queue is drained without a limit", p.drained)
	})
}

// TestTargetIsDeleted: the pipe waits and its source keeps the messages.
func TestTargetIsDeleted(t *testing.T) {
	inPlant(t, func(p *plant) {
		p.create(likes())
		p.send(click("a", 1))
		p.eventually("the queue is drained", p.drained)
		if _, err := p.service.DeleteTable(p.ctx, "posts"); err != nil {
			t.Fatal(err)
		}
		time.Sleep(2 * time.Second) // a claim may be waiting for messages
		p.send(click("a", 1), click("b", 1))
		time.Sleep(10 * time.Second)
		if n := p.left("clicks") + p.left("likes-dead"); n != 2 {
			t.Errorf("%d messages are left, want 2", n)
		}
	})
}

func kindOf(err error) model.ErrorKind {
	if known, ok := err.(*model.Error); ok {
		return known.Kind
	}
	return 0
}
