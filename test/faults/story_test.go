package faults

import (
	"strings"
	"testing"
	"time"

	"weir.dev/weir/test/process"
)

// mostLines is in how many lines a node tells a failover from beginning to end.
const mostLines = 10

// story is what a node logs from now on.
type story struct {
	node *process.Node
	from int
}

func tellFrom(nodes []*process.Node) (list []story) {
	for _, n := range nodes {
		list = append(list, story{n, len(n.Log())})
	}
	return list
}

func (s *story) text() string { return s.node.Log()[s.from:] }

// tellsFailover kills a leader and lets it come back: each of the others tells
// what happened in about ten lines, whatever the number of tablets.
func tellsFailover(t *testing.T, c *cluster) {
	time.Sleep(3 * time.Second) // what joining still moves
	leader := c.leader(t)
	stories := tellFrom(c.others(leader))
	leader.Kill()
	time.Sleep(6 * time.Second)
	leader.Start()
	leader.WaitReady()
	c.waitWhole(t, "after it came back", 0)
	says := []string{
		`"a node does not answer"`, `"tablets lost their leader: their writes wait for another"`, `"tablets are led again: writes go on"`,
		`"a node answers again"`, `"a node has caught up with what is led here"`, `"leadership was handed over"`,
	}
	deadline := time.Now().Add(15 * time.Second)
	for i := range stories {
		s := &stories[i]
		for {
			missing := ""
			for _, line := range says {
				if !strings.Contains(s.text(), "msg="+line) {
					missing += " " + line
				}
			}
			if missing == "" {
				break
			}
			if time.Now().After(deadline) {
				t.Errorf("%s does not say%s:\n%s", s.node.Name(), missing, s.text())
				break
			}
			time.Sleep(200 * time.Millisecond) // a real process: there is nothing to wait on
		}
		if n := strings.Count(s.text(), "\n"); n > mostLines {
			t.Errorf("%s tells it in %d lines, want at most %d:\n%s", s.node.Name(), n, mostLines, s.text())
		} else {
			t.Logf("%s:\n%s", s.node.Name(), s.text())
		}
	}
}
