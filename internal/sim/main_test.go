package sim

import (
	"fmt"
	"os"
	"runtime"
	"strings"
	"syscall"
	"testing"
)

// TestMain starts the tests again with what a repeatable run needs: one
// processor, no collections but between runs, and no preemption: their moments
// differ from run to run.
func TestMain(m *testing.M) {
	const noPreemption = "asyncpreemptoff=1"
	if !strings.Contains(os.Getenv("GODEBUG"), noPreemption) {
		env := append(os.Environ(), "GOMAXPROCS=1", "GOGC=off", "GODEBUG="+noPreemption)
		runtime.LockOSThread() // the slack is this thread's
		self, err := os.Executable()
		if err == nil {
			err = stopMonitor()
		}
		if err == nil {
			err = syscall.Exec(self, os.Args, env)
		}
		fmt.Fprintln(os.Stderr, "cannot start the tests again:", err)
		os.Exit(1)
	}
	if err := stopMonitorOnly(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	os.Exit(m.Run())
}
