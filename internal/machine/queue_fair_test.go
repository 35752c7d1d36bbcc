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

// TestNoisyThresholds holds what AWS publishes of fair queues: when a group is
// noisy, and when not any more.
func TestNoisyThresholds(t *testing.T) {
	const long = 3_600_000
	for _, c := range []struct {
		name          string
		loud, others  int // in flight
		noisy, groups uint64
	}{
		{"29 in flight are too few", 29, 0, 0, 1},
		{"30 in flight, and nothing else", 30, 0, 1, 1},
		{"30 of 300 are a tenth, not more", 30, 270, 0, 1},
		{"31 of 300 are more than a tenth", 31, 269, 1, 1},
		{"31 of 311 are less than a tenth", 31, 280, 0, 1},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := newQueueRig(t)
			r.sendTo("loud", c.loud)
			r.sendTo("", c.others) // each a tenant of its own
			for n := 0; n < c.loud+c.others; {
				got := r.receive(5, 100, long)
				if n += len(got); len(got) == 0 {
					t.Fatalf("%d were received", n)
				}
			}
			if counts := r.counts(5); counts.Noisy != c.noisy || counts.Groups != c.groups {
				t.Errorf("%d noisy of %d groups, want %d of %d", counts.Noisy, counts.Groups, c.noisy, c.groups)
			}
			r.checkReplay()
		})
	}
	t.Run("more than a tenth of the time", func(t *testing.T) {
		for _, c := range []struct {
			slow, others int // messages that consumers have for as long
			ms           int64
			noisy        uint64
		}{
			{2, 18, 20_000, 0}, // a tenth, not more
			{2, 17, 20_000, 1},
			{1, 0, noisyBusyMs - 1, 0}, // all of it, but a trickle: Weir's own condition
			{1, 0, noisyBusyMs, 1},
		} {
			r := newQueueRig(t)
			r.nowMs = 17 * busyPeriodMs
			r.sendTo("slow", c.slow)
			r.sendTo("", c.others)
			got := r.receive(5, 100, long)
			r.nowMs += c.ms
			for _, m := range got {
				r.delete(5, m.Receipt)
			}
			r.sendTo("slow", 1)
			if n := r.counts(5).Noisy; n != c.noisy || len(got) != c.slow+c.others {
				t.Errorf("%d of %d messages for %d ms: %d noisy groups, want %d", c.slow, len(got), c.ms, n, c.noisy)
			}
		}
	})
	t.Run("five minutes without a message sent", func(t *testing.T) {
		r := newQueueRig(t)
		r.sendTo("loud", 50)
		r.receive(5, 40, long)
		for _, c := range []struct {
			afterMs int64
			noisy   uint64
		}{{model.NoisyQuietMs - 1, 1}, {1, 0}} {
			r.nowMs += c.afterMs
			if n := r.counts(5).Noisy; n != c.noisy {
				t.Errorf("%d noisy groups, want %d", n, c.noisy)
			}
		}
		r.sendTo("calm", 2)
		if got := bodies(r.receive(5, 4, long)); got != "loud calm loud calm" && got != "calm loud calm loud" {
			t.Errorf("received %q", got)
		}
		r.checkQueue(5)
		r.checkReplay()
	})
	t.Run("of two the one with fewer in flight", func(t *testing.T) {
		r := newQueueRig(t)
		r.sendTo("a", 100)
		r.receive(5, 60, long)
		r.sendTo("b", 100)
		r.receive(5, 40, long)
		if n := r.counts(5).Noisy; n != 2 {
			t.Fatalf("%d noisy groups", n)
		}
		if got := bodies(r.receive(5, 20, long)); got != strings.TrimSuffix(strings.Repeat("b ", 20), " ") {
			t.Errorf("received %q", got)
		}
		if got := bodies(r.receive(5, 4, long)); got != "a b a b" && got != "b a b a" {
			t.Errorf("received %q of two that are even", got)
		}
		r.checkQueue(5)
		r.checkReplay()
	})
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
