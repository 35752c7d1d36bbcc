package faults

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/dynamodb"

	"weir.dev/weir/test/process"
)

// TestRecover loses a majority of the disks. weir recover refuses while it is
// not the last resort; then the survivor goes on alone with all that it had,
// grows to three nodes again, and refuses the old members that come back.
func TestRecover(t *testing.T) {
	c := newCluster(t, nil)
	l := startLoad(t, c, "recover")
	l.hold(warm)
	l.finish()
	sum := l.parts[0].(*sums)
	survivor := c.nodes[2]
	attempt := func(code int, says string, args ...string) {
		t.Helper()
		out := process.Run(t, nil, append([]string{"recover", "--data", survivor.Dir()}, args...)...)
		if out.Code != code || !strings.Contains(out.Stdout+out.Stderr, says) {
			t.Fatalf("weir recover %v: exit status %d, want %d with %q:\n%s%s", args, out.Code, code, says, out.Stdout, out.Stderr)
		}
	}
	attempt(1, "is in use by another process", "--yes")
	survivor.Kill()
	attempt(1, "may still have a majority", "--yes")
	for _, n := range c.nodes[:2] {
		n.Kill()
	}
	attempt(0, "KNOWN AGREED", "--dry-run")
	attempt(1, "nothing was changed")
	attempt(0, "done: start it", "--yes")
	if lines, err := os.ReadFile(filepath.Join(survivor.Dir(), "RECOVERIES")); err != nil || strings.Count(string(lines), "\n") != 2 || !strings.Contains(string(lines), `"Step":"done"`) {
		t.Errorf("the record of the recovery: %v\n%s", err, lines)
	}

	survivor.Start()
	survivor.WaitReady()
	old := c.nodes[:2]
	c.nodes = []*process.Node{survivor}
	l.tables = dynamodb.NewFromConfig(c.config(attempts))
	sum.load = l
	sum.check()

	for number := 4; number <= 5; number++ {
		c.join(t, number)
	}
	c.waitWhole(t, "after growing again", 0)
	for _, n := range old {
		n.Start()
	}
	for _, n := range old {
		if code := n.Wait(20 * time.Second); code != fatalStatus || !strings.Contains(n.Log(), "was removed from this cluster") {
			t.Errorf("%s, which was given up, ended with status %d:\n%s", n.Name(), code, n.LogTail(5))
		}
	}
	if status, code := survivor.Status(); code != 0 || len(status.Nodes) != 3 {
		t.Errorf("in the end: exit status %d, %s", code, fmt.Sprint(status))
	}
}
