package pipe

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"weir.dev/weir/internal/model"
	"weir.dev/weir/internal/service"
)

// withAttributes makes a queue with attributes, in pairs of name and value.
func (p *plant) withAttributes(name string, pairs ...string) {
	p.t.Helper()
	req := &service.CreateQueueRequest{Name: name}
	for i := 0; i < len(pairs); i += 2 {
		req.Attributes = append(req.Attributes, service.QueueAttribute{Name: pairs[i], Value: pairs[i+1]})
	}
	if _, err := p.service.CreateQueue(p.ctx, req); err != nil {
		p.t.Fatal(err)
	}
}

// redrive is a redrive policy to the queue.
func redrive(queue string) string {
	return `{"deadLetterTargetArn":"arn:aws:sqs:us-east-1:000000000000:` + queue + `","maxReceiveCount":1}`
}

// die makes messages of a queue die: they are received and given back.
func (p *plant) die(queue string, bodies ...string) {
	p.t.Helper()
	for i, b := range bodies {
		m := service.OutgoingMessage{Body: b}
		if strings.HasSuffix(queue, ".fifo") {
			m.Group, m.Dedup = "g", b
		}
		if i%3 == 0 && m.Group == "" {
			m.Group = fmt.Sprint("g", i%5)
		}
		if _, err := p.service.SendMessages(p.ctx, &service.SendRequest{Queue: queue, Messages: []service.OutgoingMessage{m}}); err != nil {
			p.t.Fatal(err)
		}
	}
	visible := int64(0)
	for seen := 0; seen < len(bodies); {
		got, err := p.service.ReceiveMessages(p.ctx, &service.ReceiveRequest{Queue: queue, Max: 10, Visibility: &visible})
		if err != nil {
			p.t.Fatal(err)
		}
		if seen += len(got); len(got) == 0 {
			time.Sleep(time.Second)
		}
	}
	// Who asks for a dead message finds it dead.
	p.eventually("the dead letters are moved", func() bool {
		if _, err := p.service.ReceiveMessages(p.ctx, &service.ReceiveRequest{Queue: queue, Max: 10, Visibility: &visible}); err != nil {
			p.t.Fatal(err)
		}
		return p.left(queue) == 0
	})
}

// start starts a task and returns its handle.
func (p *plant) startMove(req service.MoveTaskRequest) string {
	p.t.Helper()
	handle, err := p.service.StartMoveTask(p.ctx, &req)
	if err != nil {
		p.t.Fatal(err)
	}
	return handle
}

// task is a source's newest task.
func (p *plant) task(source string) service.MoveTask {
	p.t.Helper()
	tasks, err := p.service.ListMoveTasks(p.ctx, source, 1)
	if err != nil || len(tasks) != 1 {
		p.t.Fatalf("%d tasks, %v", len(tasks), err)
	}
	return tasks[0]
}

func (p *plant) moveEnded(source string) service.MoveTask {
	p.t.Helper()
	p.eventually("the task ends", func() bool {
		s := p.task(source).Status
		return s != service.MoveRunning && s != service.MoveCancelling
	})
	return p.task(source)
}

// bodies are the bodies of all messages of a queue, in the order of delivery;
// they are deleted.
func (p *plant) bodies(queue string) (all []string) {
	p.t.Helper()
	for empty := 0; empty < 2; {
		got, err := p.service.ReceiveMessages(p.ctx, &service.ReceiveRequest{Queue: queue, Max: 10})
		if err != nil {
			p.t.Fatal(err)
		}
		if empty++; len(got) > 0 {
			empty = 0
		}
		for i := range got {
			all = append(all, string(got[i].Body))
			if _, err := p.service.DeleteMessages(p.ctx, &service.DeleteMessagesRequest{Queue: queue, Handles: []string{got[i].Receipt}}); err != nil {
				p.t.Fatal(err)
			}
		}
	}
	return all
}

func numbers(prefix string, n int) (list []string) {
	for i := range n {
		list = append(list, fmt.Sprintf("%s%03d", prefix, i))
	}
	return list
}

func sortedBodies(list []string) []string {
	list = slices.Clone(list)
	slices.Sort(list)
	return list
}

// TestMoveBack moves dead letters of two queues back to where they died, each
// once, while proposals fail and workers are replaced.
func TestMoveBack(t *testing.T) {
	for seed := range uint64(4) {
		inPlant(t, func(p *plant) {
			p.createQueue("dead")
			p.withAttributes("a", "RedrivePolicy", redrive("dead"), "MessageRetentionPeriod", "120")
			p.withAttributes("b", "RedrivePolicy", redrive("dead"), "weir.Partitions", "1")
			as, bs := numbers("a", 60), numbers("b", 40)
			p.die("a", as...)
			p.die("b", bs...)
			time.Sleep(5 * time.Minute)                                                   // as new messages, those of a do not expire
			rng, faults := rand.New(rand.NewPCG(seed, 1)), rand.New(rand.NewPCG(seed, 2)) // meddle calls one at a time
			p.set(func() {
				p.fault = func(int, *model.Command) fault { return []fault{fine, fine, lost, refused}[faults.IntN(4)] }
			})
			p.startMove(service.MoveTaskRequest{Source: "dead", MaxPerSec: 50})
			if _, err := p.service.StartMoveTask(p.ctx, &service.MoveTaskRequest{Source: "dead"}); err == nil || !strings.Contains(err.Error(), "already a task running") {
				t.Errorf("a second task: %v", err)
			}
			if pipes, err := p.engine.List(p.ctx); err != nil || len(pipes) != 0 {
				t.Errorf("the task is listed as a pipe: %v, %v", pipes, err)
			}
			for i := range uint64(6) {
				time.Sleep(time.Duration(200+rng.IntN(400)) * time.Millisecond)
				p.engine.Close()
				p.start(seed + 10 + i)
			}
			task := p.moveEnded("dead")
			p.set(func() { p.fault = nil })
			if task.Status != service.MoveCompleted || task.Moved != 100 || task.ToMove != 100 || task.Handle != "" || task.Reason != "" {
				t.Errorf("seed %d: %+v", seed, task)
			}
			for queue, want := range map[string][]string{"a": as, "b": bs, "dead": nil} {
				if got := sortedBodies(p.bodies(queue)); !slices.Equal(got, want) {
					t.Errorf("seed %d: queue %s has %d messages, want %d: %v", seed, queue, len(got), len(want), got)
				}
			}
		})
	}
}

// TestMoveFifo moves a FIFO queue's dead letters to another one, in their order,
// though their deduplication ids were sent there lately.
func TestMoveFifo(t *testing.T) {
	inPlant(t, func(p *plant) {
		p.withAttributes("dead.fifo", "FifoQueue", "true")
		p.withAttributes("work.fifo", "FifoQueue", "true", "RedrivePolicy", redrive("dead.fifo"))
		want := numbers("m", 30)
		p.die("work.fifo", want...)
		p.startMove(service.MoveTaskRequest{Source: "dead.fifo", Destination: "work.fifo"})
		if task := p.moveEnded("dead.fifo"); task.Status != service.MoveCompleted || task.Moved != 30 || task.Destination != "work.fifo" {
			t.Errorf("%+v", task)
		}
		if got := p.bodies("work.fifo"); !slices.Equal(got, want) {
			t.Errorf("received %v", got)
		}
	})
}

// TestMoveIsCancelled cancels a slow task: what is on its way arrives, the rest
// stays, and another task takes it on.
func TestMoveIsCancelled(t *testing.T) {
	inPlant(t, func(p *plant) {
		p.createQueue("dead")
		p.withAttributes("a", "RedrivePolicy", redrive("dead"))
		p.die("a", numbers("m", 50)...)
		handle := p.startMove(service.MoveTaskRequest{Source: "dead", Destination: "clicks", MaxPerSec: 5})
		time.Sleep(4 * time.Second)
		if running := p.task("dead"); running.Handle != handle || running.Moved < 10 || running.Moved > 30 {
			t.Errorf("after four seconds: %+v", running)
		}
		moved, err := p.service.CancelMoveTask(p.ctx, handle)
		if err != nil || moved < 10 || moved > 30 {
			t.Errorf("cancelled after %d, %v", moved, err)
		}
		task := p.moveEnded("dead")
		if task.Status != service.MoveCancelled || task.Moved != p.left("clicks") || p.left("dead")+task.Moved != 50 {
			t.Errorf("%+v, %d moved, %d left", task, p.left("clicks"), p.left("dead"))
		}
		if _, err := p.service.CancelMoveTask(p.ctx, handle); err == nil || !strings.Contains(err.Error(), "Only active tasks can be cancelled.") {
			t.Errorf("cancelled again: %v", err)
		}
		p.startMove(service.MoveTaskRequest{Source: "dead", Destination: "clicks"})
		if task := p.moveEnded("dead"); task.Status != service.MoveCompleted || p.left("dead") != 0 || p.left("clicks") != 50 {
			t.Errorf("the next task: %+v", task)
		}
	})
}

// TestMoveFails: a message that was sent to the dead-letter queue by hand has no
// way back, and stays where it is.
func TestMoveFails(t *testing.T) {
	inPlant(t, func(p *plant) {
		p.createQueue("dead")
		p.withAttributes("a", "RedrivePolicy", redrive("dead"))
		by := &service.SendRequest{Queue: "dead", Messages: []service.OutgoingMessage{{Body: "by hand"}}}
		if _, err := p.service.SendMessages(p.ctx, by); err != nil {
			t.Fatal(err)
		}
		p.startMove(service.MoveTaskRequest{Source: "dead"})
		task := p.moveEnded("dead")
		if task.Status != service.MoveFailed || task.Reason != "CouldNotDetermineMessageSource" || task.Moved != 0 || p.left("dead") != 1 {
			t.Errorf("%+v, %d left", task, p.left("dead"))
		}
	})
}

// TestMoveLosesTarget deletes one of the queues that messages go back to: the
// others arrive, once, and those that cannot stay.
func TestMoveLosesTarget(t *testing.T) {
	inPlant(t, func(p *plant) {
		p.withAttributes("dead", "weir.Partitions", "1")
		p.withAttributes("a", "RedrivePolicy", redrive("dead"))
		p.withAttributes("b", "RedrivePolicy", redrive("dead"))
		as, bs := numbers("a", 20), numbers("b", 20)
		for i := range as { // in turn, so that one claim has both
			p.die("a", as[i])
			p.die("b", bs[i])
		}
		if err := p.service.DeleteQueue(p.ctx, "a"); err != nil {
			t.Fatal(err)
		}
		p.startMove(service.MoveTaskRequest{Source: "dead"})
		task := p.moveEnded("dead")
		if task.Status != service.MoveFailed || task.Reason != "AWS.SimpleQueueService.NonExistentQueue" || task.Moved != p.left("b") || task.Moved == 0 {
			t.Errorf("%+v, %d moved", task, p.left("b"))
		}
		if got := sortedBodies(append(p.bodies("dead"), p.bodies("b")...)); !slices.Equal(got, append(as, bs...)) {
			t.Errorf("left are %v", got)
		}
	})
}

// TestMovesAreForgotten: the newest ten are listed, and none of a queue that is
// gone is kept.
func TestMovesAreForgotten(t *testing.T) {
	inPlant(t, func(p *plant) {
		p.createQueue("dead")
		p.withAttributes("a", "RedrivePolicy", redrive("dead"))
		for range 13 {
			p.startMove(service.MoveTaskRequest{Source: "dead"})
			if task := p.moveEnded("dead"); task.Status != service.MoveCompleted || task.ToMove != 0 {
				t.Fatalf("%+v", task)
			}
			time.Sleep(time.Second)
		}
		tasks, err := p.service.ListMoveTasks(p.ctx, "dead", 10)
		if err != nil || len(tasks) != 10 || tasks[0].StartedMs <= tasks[9].StartedMs {
			t.Errorf("%d tasks, %v", len(tasks), err)
		}
		held := func() (n int) {
			c := p.Catalog()
			for _, r := range slices.AppendSeq(slices.Clone(c.Deleted), c.Resources.All()) {
				if r.Kind == model.KindPipe {
					n++
				}
			}
			return n
		}
		p.eventually("the oldest are forgotten", func() bool { return held() == 10 })
		if err := p.service.DeleteQueue(p.ctx, "dead"); err != nil {
			t.Fatal(err)
		}
		p.eventually("all are forgotten", func() bool { return held() == 0 })
	})
}
