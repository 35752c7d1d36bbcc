// Package javascript finds the Node.js that tests in JavaScript run with, and
// installs it and the packages they need: scripts/javascript does, at fixed
// versions. It knows nothing of what runs. It may be used by several tests at
// the same time. Start with Program.
package javascript

import (
	"bytes"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"testing"
)

// installMu is held while something is installed: once is enough.
var installMu sync.Mutex

// Program installs the packages of a directory of this repository, named from
// its root, and returns the path of the node program. A test that cannot be
// given them fails: nothing is skipped because a registry is out of reach.
func Program(t testing.TB, dir string) string {
	t.Helper()
	installMu.Lock()
	defer installMu.Unlock()
	var stdout, stderr bytes.Buffer
	cmd := exec.CommandContext(t.Context(), filepath.Join(Root(), "scripts", "javascript"), dir)
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	if err := cmd.Run(); err != nil {
		t.Fatalf("cannot install what %s needs: %v\n%s", dir, err, stderr.String())
	}
	return strings.TrimSpace(stdout.String())
}

// Root is the repository's directory.
func Root() string {
	_, file, _, _ := runtime.Caller(0)
	return filepath.Dir(filepath.Dir(filepath.Dir(file)))
}
