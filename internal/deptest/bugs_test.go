package deptest

import (
	"regexp"
	"slices"
	"strings"
	"testing"
)

// TestPlantedBugs: the table in docs/testing.md names the bugs that are in the
// code, which are those that scripts/bugs looks for.
func TestPlantedBugs(t *testing.T) {
	_, chapter, _ := strings.Cut(pages(t)["docs/testing.md"], "\n## Planted bugs\n")
	chapter, _, _ = strings.Cut(chapter, "\n## ")
	var page []string
	for _, row := range regexp.MustCompile("(?m)^\\| `([a-z]+)` \\|.*\\| [0-9]+ \\|.*\\|$").FindAllStringSubmatch(chapter, -1) {
		page = append(page, row[1])
	}
	code := plantedBugs(t)
	slices.Sort(page)
	if len(code) < 20 || !slices.Equal(page, code) {
		t.Errorf("planted bugs:\ndocs/testing.md  %v\nthe code         %v", page, code)
	}
}

// plantedBugs are those in the code, in order.
func plantedBugs(t *testing.T) (names []string) {
	call := regexp.MustCompile(`base\.Bug\("([a-z]+)"\)`)
	eachFile(t, ".go", func(_ string, text []byte) {
		for _, m := range call.FindAllSubmatch(text, -1) {
			names = append(names, string(m[1]))
		}
	})
	slices.Sort(names)
	return slices.Compact(names)
}
