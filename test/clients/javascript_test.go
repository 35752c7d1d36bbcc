package clients

import (
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"weir.dev/weir/test/javascript"
	"weir.dev/weir/test/process"
)

// javascriptTotals is how Node's test runner ends: how many tests there were,
// passed, and did not.
var javascriptTotals = regexp.MustCompile(`(?m)^ℹ (tests|pass|fail|cancelled|skipped|todo) (\d+)$`)

// TestJavaScript runs the checks in js/, each file with a node of its own.
func TestJavaScript(t *testing.T) {
	t.Parallel()
	program := javascript.Program(t, "test/clients/js")
	files, err := filepath.Glob(filepath.Join("js", "*.test.mjs"))
	if err != nil || len(files) == 0 {
		t.Fatalf("there are no checks in js: %v", err)
	}
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".test.mjs"), func(t *testing.T) {
			t.Parallel()
			node := process.Start(t, process.Options{})
			out, err := run(t, []string{"WEIR_ENDPOINT=" + node.Endpoint(), "NODE_OPTIONS=", "NODE_PATH="}, program,
				"--test", "--test-reporter=spec", "--test-timeout=90000", "--test-force-exit", file) // some libraries leave timers behind
			totals := map[string]string{}
			for _, m := range javascriptTotals.FindAllStringSubmatch(out, -1) {
				totals[m[1]] = m[2]
			}
			if err != nil || totals["tests"] == "" || totals["tests"] == "0" || totals["pass"] != totals["tests"] {
				t.Fatalf("%v\n%s", err, out)
			}
			t.Logf("%s tests of %s pass", totals["pass"], file)
		})
	}
}
