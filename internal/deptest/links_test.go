package deptest

import (
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// pages reads every Markdown page of the project, by its path from the root.
func pages(t *testing.T) map[string]string {
	t.Helper()
	found := map[string]string{}
	eachFile(t, ".md", func(name string, text []byte) { found[name] = string(text) })
	return found
}

// eachFile calls f with every file of the project whose name ends so, but those
// in hidden directories and in testdata; name is its path from the root.
func eachFile(t *testing.T, end string, f func(name string, text []byte)) {
	t.Helper()
	root := filepath.Join("..", "..")
	err := filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() {
			if path != root && strings.HasPrefix(d.Name(), ".") || d.Name() == "testdata" {
				return fs.SkipDir
			}
			return nil
		}
		if !strings.HasSuffix(path, end) {
			return nil
		}
		text, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		rel, err := filepath.Rel(root, path)
		f(filepath.ToSlash(rel), text)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
}

var (
	link    = regexp.MustCompile(`\]\(([^)\s]+)\)`)
	heading = regexp.MustCompile(`(?m)^#+ +(.*)$`)
	noSlug  = regexp.MustCompile(`[^a-z0-9 _-]`)
)

// anchors are the fragments by which a page's headings can be linked, as
// GitHub makes them.
func anchors(text string) map[string]bool {
	found := map[string]bool{}
	for _, m := range heading.FindAllStringSubmatch(text, -1) {
		slug := noSlug.ReplaceAllString(strings.ToLower(m[1]), "")
		found[strings.ReplaceAll(slug, " ", "-")] = true
	}
	return found
}

// TestLinks checks that every link of a page to another file of the project
// leads somewhere, its fragment too.
func TestLinks(t *testing.T) {
	all := pages(t)
	checked := 0
	for name, text := range all {
		for _, m := range link.FindAllStringSubmatch(text, -1) {
			target, fragment, _ := strings.Cut(m[1], "#")
			if strings.Contains(target, ":") {
				continue // another site
			}
			checked++
			path := name
			if target != "" {
				path = filepath.ToSlash(filepath.Join(filepath.Dir(name), target))
			}
			if _, err := os.Stat(filepath.Join("..", "..", path)); err != nil {
				t.Errorf("%s links to %s, which is not there", name, m[1])
				continue
			}
			if fragment != "" && !anchors(all[path])[fragment] {
				t.Errorf("%s links to %s, but %s has no such heading", name, m[1], path)
			}
		}
	}
	if checked < 30 {
		t.Fatalf("only %d links were found: the pattern is wrong", checked)
	}
}

// TestIndex checks that docs/README.md links every page under docs.
func TestIndex(t *testing.T) {
	all := pages(t)
	index := map[string]bool{"README.md": true}
	for _, m := range link.FindAllStringSubmatch(all["docs/README.md"], -1) {
		index[m[1]] = true
	}
	for name := range all {
		if page, ok := strings.CutPrefix(name, "docs/"); ok && !index[page] {
			t.Errorf("docs/README.md does not link %s", name)
		}
	}
}
