package deptest

import (
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// TestPlantedBugs: the table in docs/testing.md names the bugs that are in the
// code, which are those that scripts/bugs looks for.
func TestPlantedBugs(t *testing.T) {
	root := filepath.Join("..", "..")
	text, err := os.ReadFile(filepath.Join(root, "docs", "testing.md"))
	if err != nil {
		t.Fatal(err)
	}
	_, chapter, _ := strings.Cut(string(text), "\n## Planted bugs\n")
	chapter, _, _ = strings.Cut(chapter, "\n## ")
	var page, code []string
	for _, row := range regexp.MustCompile("(?m)^\\| `([a-z]+)` \\|.*\\| [0-9]+ \\|.*\\|$").FindAllStringSubmatch(chapter, -1) {
		page = append(page, row[1])
	}
	call := regexp.MustCompile(`base\.Bug\("([a-z]+)"\)`)
	err = filepath.WalkDir(filepath.Join(root, "internal"), func(path string, d fs.DirEntry, err error) error {
		if err != nil || !strings.HasSuffix(path, ".go") {
			return err
		}
		b, err := os.ReadFile(path)
		for _, m := range call.FindAllSubmatch(b, -1) {
			code = append(code, string(m[1]))
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	slices.Sort(page)
	slices.Sort(code)
	code = slices.Compact(code)
	if len(code) < 20 || !slices.Equal(page, code) {
		t.Errorf("planted bugs:\ndocs/testing.md  %v\nthe code         %v", page, code)
	}
}
