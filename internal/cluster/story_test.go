package cluster

import (
	"bytes"
	"strings"
	"testing"
	"time"

	"weir.dev/weir/internal/model"
)

// TestStory: the loss of a leader is told in a few lines, with all tablets in
// one, and counted by those who took over.
func TestStory(t *testing.T) {
	inWorld(t, 3, 6, func(w *world) {
		w.eventually("leaders are spread", func() bool {
			for _, r := range w.up() {
				if r.Counts().Led < 2 {
					return false
				}
			}
			return true
		})
		time.Sleep(3 * time.Second)
		lost := w.room(2)
		led := lost.Counts().Led
		w.tell.Reset()
		lost.stop(true)
		w.eventually("all tablets are led", func() bool {
			return w.room(1).Counts().Led+w.room(3).Counts().Led == 7
		})
		time.Sleep(3 * time.Second)
		w.boot(lost, 0)
		w.eventually("it leads again", func() bool { return lost.Counts().Led == led })
		time.Sleep(5 * time.Second)
		var told []string
		for _, line := range strings.Split(w.tell.String(), "\n") {
			if strings.Contains(line, "at="+model.NodeID(1).String()) {
				told = append(told, line)
			}
		}
		text := strings.Join(told, "\n")
		for _, says := range []string{"a node does not answer", "tablets lost their leader", "tablets are led again", "a node answers again", "a node has caught up", "leadership was handed over"} {
			if !strings.Contains(text, says) {
				t.Errorf("nothing says %q:\n%s", says, text)
			}
		}
		if len(told) > 10 {
			t.Errorf("%d lines:\n%s", len(told), text)
		}
		first, third := w.room(1).FailoverMetrics(), w.room(3).FailoverMetrics()
		if n := first.Count + third.Count; n != uint64(led) {
			t.Errorf("%d failovers were counted, %d tablets lost their leader", n, led)
		}
		if longest := max(first.Longest, third.Longest); longest < missedAfter || longest > 4*time.Second {
			t.Errorf("the longest took %v", longest)
		}
	})
}

// TestStorySummary: many tablets, one line.
func TestStorySummary(t *testing.T) {
	tablets, leaders, longest := summary([]finding{{5, 2, time.Second}, {3, 1, 1234 * time.Millisecond}, {4, 1, 0}, {5, 1, 0}})
	if want := model.NodeID(1).String() + ": 3"; tablets != "t3-t5" || leaders != want || longest != 1230*time.Millisecond {
		t.Errorf("%q %q %v", tablets, leaders, longest)
	}
}

// lockedBuffer takes the logs of several nodes.
type lockedBuffer struct {
	world *world
	text  bytes.Buffer
}

func (b *lockedBuffer) Write(p []byte) (int, error) {
	b.world.mu.Lock()
	defer b.world.mu.Unlock()
	return b.text.Write(p)
}

func (b *lockedBuffer) String() string {
	b.world.mu.Lock()
	defer b.world.mu.Unlock()
	return b.text.String()
}

func (b *lockedBuffer) Reset() {
	b.world.mu.Lock()
	defer b.world.mu.Unlock()
	b.text.Reset()
}
