package pipe

import (
	"fmt"
	"math/rand/v2"
	"testing"

	"weir.dev/weir/internal/model"
	"weir.dev/weir/internal/service"
)

// TestFifoSource drains a FIFO queue while proposals fail: the last message of
// each group is what its post has in the end, and none is applied after it.
func TestFifoSource(t *testing.T) {
	inPlant(t, func(p *plant) {
		p.withAttributes("edits.fifo", "FifoQueue", "true")
		rng := rand.New(rand.NewPCG(1, 1))
		p.set(func() {
			p.fault = func(int, *model.Command) fault { return []fault{fine, fine, fine, lost, refused}[rng.IntN(5)] }
		})
		for i := range 200 {
			post := fmt.Sprintf("p%d", i%5)
			m := service.OutgoingMessage{Body: click(post, i), Group: post, Dedup: fmt.Sprint(i)}
			req := &service.SendRequest{Invocation: model.RequestID{1, byte(i)}, Queue: "edits.fifo", Messages: []service.OutgoingMessage{m}}
			for {
				if _, err := p.service.SendMessages(p.ctx, req); err == nil {
					break
				}
			}
			if i == 50 {
				s := likes()
				s.Name, s.From, s.Update = "edits", "queue:edits.fifo", "SET score = :n"
				p.create(s)
			}
		}
		p.eventually("the queue is drained", func() bool { return p.left("edits.fifo") == 0 })
		for i := range 5 {
			if got := p.score(fmt.Sprintf("p%d", i)); got != fmt.Sprint(195+i) {
				t.Errorf("post p%d has %s, want %d", i, got, 195+i)
			}
		}
	})
}
