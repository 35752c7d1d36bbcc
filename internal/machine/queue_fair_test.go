package machine

import (
	"fmt"
	"strings"
	"testing"

	"weir.dev/weir/internal/model"
)

// sendTo sends n messages to a group, named after it.
func (r *queueRig) sendTo(group string, n int) {
	r.t.Helper()
	cmd := model.Send{Settings: r.settings}
	for range n {
		e := r.entry(group, 0)
		e.Message.Group = group
		cmd.Entries = append(cmd.Entries, e)
	}
	r.do(model.CmdSend, 5, cmd.Append(nil))
}

func bodies(ms []model.Received) string {
	var all []string
	for i := range ms {
		all = append(all, string(ms[i].Body))
	}
	return strings.Join(all, " ")
}

// TestNoisyGroupStandsBack lets one group flood a queue: once it has many
// messages in flight, others are delivered before it, and it has what they
// leave; when it is quiet again it takes turns.
func TestNoisyGroupStandsBack(t *testing.T) {
	r := newQueueRig(t)
	r.sendTo("flood", 500)
	flood := r.receive(5, 100, 600_000)
	if n := r.counts(5).Noisy; n != 1 {
		t.Fatalf("%d noisy groups, want 1", n)
	}
	r.sendTo("calm", 3)
	r.sendTo("mild", 2)
	r.sendTo("", 1)
	if got := bodies(r.receive(5, 4, 600_000)); got != "calm mild  calm" {
		t.Fatalf("received %q", got)
	}
	if got := bodies(r.receive(5, 4, 600_000)); got != "mild calm flood flood" {
		t.Fatalf("received %q", got)
	}
	r.checkQueue(5)
	if counts := r.counts(5); counts.Groups != 3 || counts.Noisy != 1 || counts.OldestMs != 1_000_000 {
		t.Fatalf("counts %+v", counts)
	}
	for _, m := range flood {
		r.delete(5, m.Receipt)
	}
	if n := r.counts(5).Noisy; n != 0 {
		t.Fatalf("%d noisy groups, want none", n)
	}
	r.sendTo("calm", 2)
	if got := bodies(r.receive(5, 4, 600_000)); got != "calm flood calm flood" {
		t.Fatalf("received %q", got)
	}
	r.checkQueue(5)
	r.checkReplay()
}

// TestNoisyByTime lets one group take the consumers' time with a few messages.
func TestNoisyByTime(t *testing.T) {
	r := newQueueRig(t)
	r.sendTo("slow", 10)
	for i := range 20 {
		r.sendTo(fmt.Sprint("quick", i), 1)
	}
	for _, m := range r.receive(5, 30, 600_000) {
		if r.nowMs += 10; string(m.Body) == "slow" {
			r.nowMs += 3000
		}
		r.delete(5, m.Receipt)
	}
	r.sendTo("slow", 3)
	r.sendTo("other", 2)
	if n := r.counts(5).Noisy; n != 1 {
		t.Fatalf("%d noisy groups, want 1", n)
	}
	if got := bodies(r.receive(5, 3, 600_000)); got != "other other slow" {
		t.Fatalf("received %q", got)
	}
	r.nowMs += 5 * busyPeriodMs // it is forgotten
	r.sendTo("other", 1)
	if n := r.counts(5).Noisy; n != 0 {
		t.Fatalf("%d noisy groups, want none", n)
	}
	if got := bodies(r.receive(5, 3, 1_200_000)); got != "other slow slow" && got != "slow other slow" {
		t.Fatalf("received %q", got)
	}
	r.checkQueue(5)
}

// TestNoisyListDoesNotGrow lets groups become noisy and quiet in turn, and
// checks that the noisy ones are listed once and are never lost.
func TestNoisyListDoesNotGrow(t *testing.T) {
	r := newQueueRig(t)
	left := 0
	var out []model.Received
	for i := range 300 {
		r.nowMs += 100
		r.sendTo(fmt.Sprint("g", i%7), 20)
		left += 20
		out = append(out, r.receive(5, 10, 3_600_000)...)
		if i%3 == 0 {
			for _, m := range out {
				r.delete(5, m.Receipt)
			}
			left -= len(out)
			out = nil
		}
		r.checkQueue(5)
	}
	for {
		got := r.receive(5, 1000, 3_600_000)
		if len(got) == 0 {
			break
		}
		out = append(out, got...)
	}
	if len(out) != left {
		t.Fatalf("%d messages came, %d are left", len(out), left)
	}
}

// TestManyGroups passes more groups than one command looks at.
func TestManyGroups(t *testing.T) {
	for _, fifo := range []bool{false, true} {
		r := newQueueRig(t)
		r.settings = model.QueueSettings{Fifo: fifo, RetentionMs: 60_000}
		for i := range 1000 {
			r.sendTo(fmt.Sprint("g", i), 2)
		}
		seen := map[string]int{}
		for _, m := range r.receive(5, 1000, 10_000) {
			seen[string(m.Body)]++
		}
		if want := map[bool]int{false: 1000, true: 500}[fifo]; len(seen) != want {
			t.Fatalf("fifo %v: %d groups had a turn, want %d", fifo, len(seen), want)
		}
		r.checkQueue(5)
		r.nowMs += 60_000 // everything expires
		for range 30 {
			r.do(model.CmdSetQueueSettings, 5, (&model.SetQueueSettings{Settings: r.settings}).Append(nil))
		}
		r.checkQueue(5)
		if counts := r.counts(5); counts != (model.QueueCounts{}) {
			t.Fatalf("fifo %v: %+v are left", fifo, counts)
		}
	}
}

// TestLongGroups fills lists beyond what their records hold, from both ends.
func TestLongGroups(t *testing.T) {
	r := newQueueRig(t)
	r.settings.Fifo = true
	var want []string
	for i := range 300 {
		e := r.entry(fmt.Sprint(i), 0)
		e.Message.Group = "G"
		r.do(model.CmdSend, 5, (&model.Send{Settings: r.settings, Entries: []model.SendEntry{e}}).Append(nil))
		want = append(want, fmt.Sprint(i))
	}
	for i := 0; len(want) > 0; i++ {
		n := min(1+i*7%40, len(want))
		got := r.receive(5, uint32(n), 1000)
		if bodies(got) != strings.Join(want[:n], " ") {
			t.Fatalf("received %s, want %v", bodies(got), want[:n])
		}
		kept := []string{}
		for j, m := range got {
			if j%3 == 1 {
				kept = append(kept, string(m.Body))
				continue
			}
			r.delete(5, m.Receipt)
		}
		want = append(kept, want[n:]...)
		r.checkQueue(5)
		r.nowMs += 1000
	}
	r.checkQueue(5)
	r.checkReplay()
}
