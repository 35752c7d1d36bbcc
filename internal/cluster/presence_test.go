package cluster

import (
	"fmt"
	"testing"
	"time"

	"weir.dev/weir/internal/model"
)

// TestPresence: a member is silent after some rounds in a row without an answer
// and not before, and it is told once.
func TestPresence(t *testing.T) {
	p := &presence{}
	at := time.Unix(1000, 0)
	got := ""
	for i, answers := range []string{"yes", "no", "no", "yes", "no", "no", "no", "no", "none", "no", "yes", "behind", "yes"} {
		if answers != "none" {
			p.round = map[model.NodeID]bool{7: answers == "yes" || answers == "behind"}
			p.behind = map[model.NodeID]bool{7: answers == "behind"}
		}
		at = at.Add(time.Second)
		for _, c := range p.settle(at) {
			if c.caught {
				got += fmt.Sprintf("%d: %v has caught up after %v; ", i, c.node, at.Sub(c.since))
				continue
			}
			got += fmt.Sprintf("%d: %v silent %v for %v; ", i, c.node, c.silent, at.Sub(c.since))
		}
	}
	id := model.NodeID(7)
	if want := fmt.Sprintf("6: %v silent true for 3s; 10: %v silent false for 7s; 12: %v has caught up after 2s; ", id, id, id); got != want {
		t.Errorf("%s\nwant %s", got, want)
	}
	if heard := p.times()[7]; heard != at.UnixMilli() {
		t.Errorf("heard at %d", heard)
	}
}
