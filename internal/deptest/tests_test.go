package deptest

import (
	"path"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// namedTest is a test as the pages name it: perhaps with its package before it,
// perhaps with the name of a part behind it.
var namedTest = regexp.MustCompile("`(?:([a-z/]+)\\.)?(Test[A-Z][A-Za-z0-9]*)(?:/([A-Z][A-Za-z0-9]*))?`")

// TestNamedTests: what the pages say shows something is there.
func TestNamedTests(t *testing.T) {
	text := map[string]string{} // of the test files of a package, by its directory
	eachFile(t, "_test.go", func(name string, content []byte) {
		text[path.Dir(name)] += string(content)
	})
	found := 0
	for page, content := range pages(t) {
		for _, m := range namedTest.FindAllStringSubmatch(content, -1) {
			found++
			if !hasTest(text, m[1], m[2], m[3]) {
				t.Errorf("%s names the test %s, which there is not", page, strings.Trim(m[0], "`"))
			}
		}
	}
	if found < 100 {
		t.Errorf("only %d tests are named: the pages are not read as they are written", found)
	}
}

// hasTest reports whether there is a test, in a package whose path ends with
// in, with that part.
func hasTest(text map[string]string, in, name, part string) bool {
	for dir, content := range text {
		if (in == "" || dir == in || strings.HasSuffix(dir, "/"+in)) && strings.Contains(content, "func "+name+"(t *testing.T)") &&
			(part == "" || strings.Contains(content, `"`+part+`"`)) {
			return true
		}
	}
	return false
}

// TestNamedBugs: the planted bugs that the pages name are in the code.
func TestNamedBugs(t *testing.T) {
	planted := plantedBugs(t)
	list, name := regexp.MustCompile(`\bbugs? \*[a-z]+\*(?:(?:,| and) \*[a-z]+\*)*`), regexp.MustCompile(`\*([a-z]+)\*`)
	found := 0
	for page, content := range pages(t) {
		for _, names := range list.FindAllString(content, -1) {
			for _, m := range name.FindAllStringSubmatch(names, -1) {
				if found++; !slices.Contains(planted, m[1]) {
					t.Errorf("%s names the planted bug %s, which there is not", page, m[1])
				}
			}
		}
	}
	if found < 20 {
		t.Errorf("only %d planted bugs are named: the pages are not read as they are written", found)
	}
}
