package deptest

import (
	"os"
	"path/filepath"
	"regexp"
	"testing"
)

// TestDifferencesNameOperations checks that docs/differences.md says of every
// operation in AWS's models what becomes of it.
func TestDifferencesNameOperations(t *testing.T) {
	page := pages(t)["docs/differences.md"]
	list := regexp.MustCompile(`(?s)var operationNames = \[\]string\{(.*?)\n\}`)
	name := regexp.MustCompile(`"(\w+)"`)
	for _, door := range []string{"dynamo", "sqs", "kinesis"} {
		source, err := os.ReadFile(filepath.Join("..", door, "api_gen.go"))
		if err != nil {
			t.Fatal(err)
		}
		found := list.FindSubmatch(source)
		if found == nil {
			t.Fatalf("internal/%s/api_gen.go lists no operations: the pattern is wrong", door)
		}
		for _, m := range name.FindAllSubmatch(found[1], -1) {
			if !regexp.MustCompile(`\b` + string(m[1]) + `\b`).MatchString(page) {
				t.Errorf("docs/differences.md does not name %s, an operation of %s", m[1], door)
			}
		}
	}
}
