package sim

import (
	"strings"
	"testing"
	"time"

	"weir.dev/weir/internal/model"
)

// TestFifoChecks: the checks of the FIFO workload can fail.
func TestFifoChecks(t *testing.T) {
	start := time.Unix(1, 0)
	for _, c := range []struct {
		want string // "" is no failure
		run  func(f *fifoLoad)
	}{
		{"", func(f *fifoLoad) { f.note([]fifoMessage{{0, 0, 1}, {0, 1, 2}, {1, 0, 3}}, start) }},
		{"delivered before 0.0 was deleted", func(f *fifoLoad) { f.note([]fifoMessage{{0, 1, 2}}, start) }},
		{"delivered before 0.0 was deleted", func(f *fifoLoad) { f.note([]fifoMessage{{0, 1, 2}, {0, 0, 1}}, start) }},
		{"", func(f *fifoLoad) {
			f.note([]fifoMessage{{0, 0, 1}}, start)
			f.groups[0].asked[0] = true
			f.note([]fifoMessage{{0, 1, 2}}, start)
		}},
		{"is in the queue twice", func(f *fifoLoad) {
			f.note([]fifoMessage{{0, 0, 1}}, start)
			f.note([]fifoMessage{{0, 0, 2}}, start)
		}},
		{"after its deletion was acknowledged", func(f *fifoLoad) {
			f.groups[0].deleted[0] = start
			f.note([]fifoMessage{{0, 0, 1}}, start.Add(time.Second))
		}},
		{"acknowledged and never delivered", func(f *fifoLoad) { f.groups[2].sent = 1 }},
	} {
		f := newFifoLoad(nil)
		c.run(f)
		wantFailure(t, f.check(), c.want)
	}
}

// TestDeadChecks: the checks of the dead letters' workload can fail.
func TestDeadChecks(t *testing.T) {
	message := func(id byte, receipt string, receives uint32) *model.Received {
		return &model.Received{Message: model.Message{ID: model.MessageID{id}}, Receipt: receipt, Receives: receives}
	}
	for _, c := range []struct {
		want string
		run  func(d *deadLoad)
	}{
		{"", func(d *deadLoad) {
			d.sent[model.MessageID{1}] = true
			d.noteReceived(message(1, "", 2))
			d.noteRescued(message(1, "a", 1))
			d.noteRescued(message(1, "a", 1))
		}},
		{"was received 3 times", func(d *deadLoad) { d.noteReceived(message(1, "", 3)) }},
		{"1 of 1 messages that had to die and be moved are lost", func(d *deadLoad) { d.sent[model.MessageID{1}] = true }},
		{"1 messages were moved more than once", func(d *deadLoad) {
			d.sent[model.MessageID{1}] = true
			d.noteRescued(message(1, "a", 1))
			d.noteRescued(message(1, "b", 1))
		}},
		{"never sent", func(d *deadLoad) { d.noteRescued(message(1, "a", 1)) }},
	} {
		d := newDeadLoad(nil)
		c.run(d)
		wantFailure(t, d.check(), c.want)
	}
}

func wantFailure(t *testing.T, failures []string, want string) {
	t.Helper()
	if all := strings.Join(failures, "; "); (all == "") != (want == "") || !strings.Contains(all, want) {
		t.Errorf("failures %q, want %q", all, want)
	}
}

// TestQueueChecks: the checks of the standard queue's workload can fail.
func TestQueueChecks(t *testing.T) {
	at := func(called, returned time.Duration) delivery {
		return delivery{called * time.Second, returned * time.Second}
	}
	for _, c := range []struct {
		want string
		run  func(q *queueLoad)
	}{
		{"", func(q *queueLoad) {
			q.sent["a"], q.asked["a"] = 1, true
			q.noteReceived("a", at(1, 1))
			q.noteReceived("a", at(10, 10))
		}},
		{"never delivered", func(q *queueLoad) { q.sent["a"] = 1 }},
		{"never came back", func(q *queueLoad) {
			q.sent["a"] = 1
			q.noteReceived("a", at(1, 1))
		}},
		{"after its deletion was acknowledged", func(q *queueLoad) {
			q.sent["a"], q.asked["a"], q.deleted["a"] = 1, true, 2*time.Second
			q.noteReceived("a", at(3, 3))
		}},
		{"within its visibility", func(q *queueLoad) {
			q.sent["a"], q.asked["a"] = 1, true
			q.noteReceived("a", at(1, 1))
			q.noteReceived("a", at(2, 3))
		}},
		{"never sent", func(q *queueLoad) { q.noteReceived("a", at(1, 1)) }},
	} {
		q := newQueueLoad(nil)
		c.run(q)
		wantFailure(t, q.check(), c.want)
	}
}

// TestSessionChecks: the checks of what requests ask for can fail.
func TestSessionChecks(t *testing.T) {
	const ms = time.Millisecond
	for _, c := range []struct {
		want string
		run  func(l *sessions)
	}{
		{"", func(l *sessions) { l.checkLag(0, 1, 500*ms, 300*ms, 100*ms) }},
		{"", func(l *sessions) { l.checkLag(0, 1, 500*ms, 0, 350*ms) }},
		{"whose 2 had been acknowledged", func(l *sessions) { l.checkLag(0, 1, 500*ms, 300*ms, 50*ms) }},
		{"asked for a lag of 300ms at most", func(l *sessions) { l.checkLag(0, 2, 500*ms, 300*ms, 400*ms) }},
		{"", func(l *sessions) { l.checkFinal(0, 3) }},
		{"item 0 ends with 1", func(l *sessions) { l.checkFinal(0, 1) }},
		{"item 0 ends with 4", func(l *sessions) { l.checkFinal(0, 4) }},
	} {
		l := &sessions{}
		l.acked[0], l.tried[0] = []ackedAt{{1, 100 * ms}, {2, 400 * ms}}, 3
		c.run(l)
		wantFailure(t, l.check(), c.want)
	}
}
