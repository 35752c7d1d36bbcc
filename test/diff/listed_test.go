package diff

import (
	"fmt"
	"maps"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// A difference is where two answers to one step part: the lines that only Weir
// said, the lines that only the other one said, and who is right.
type difference struct {
	id    string
	weir  []string
	other []string
	why   string // "?" until somebody has found out
}

// differ compares two answers; it is false when they are the same.
func differ(id string, weir, other []string) (difference, bool) {
	d := difference{id: id, why: "?"}
	for _, line := range weir {
		if !slices.Contains(other, line) {
			d.weir = append(d.weir, line)
		}
	}
	for _, line := range other {
		if !slices.Contains(weir, line) {
			d.other = append(d.other, line)
		}
	}
	return d, len(d.weir)+len(d.other) > 0
}

func (d difference) String() string {
	var b strings.Builder
	b.WriteString(d.id + "\n")
	for _, line := range d.weir {
		b.WriteString("  weir  " + line + "\n")
	}
	for _, line := range d.other {
		b.WriteString("  other " + line + "\n")
	}
	return b.String() + "  why   " + d.why + "\n"
}

// A list is a file of differences. Before them it may have habits: what the
// other one says in every answer, and what Weir says in its place, so that a
// reason is given once.
type list struct {
	comment string
	habits  []*habit
	steps   map[string]difference
}

// A habit is a difference whose id begins with "habit". With an other line and
// a Weir line, the first is an expression for lines and the second what they
// become; with one of them only, lines that match it are left out.
type habit struct {
	difference
	lines *regexp.Regexp
	used  bool
}

func readList(t *testing.T, path string) *list {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	l, err := parseList(string(text))
	if err != nil {
		t.Fatalf("%s: %v", path, err)
	}
	return l
}

func parseList(text string) (*list, error) {
	l := &list{steps: map[string]difference{}}
	var d difference
	for i, line := range strings.Split(text, "\n") {
		switch {
		case strings.HasPrefix(line, "#"):
			l.comment += line + "\n"
		case line == "":
		case strings.HasPrefix(line, "  weir  "):
			d.weir = append(d.weir, line[8:])
		case strings.HasPrefix(line, "  other "):
			d.other = append(d.other, line[8:])
		case strings.HasPrefix(line, "  why   "):
			d.why = line[8:]
			if err := l.add(d); err != nil {
				return nil, fmt.Errorf("line %d: %w", i+1, err)
			}
		case !strings.HasPrefix(line, " "):
			d = difference{id: line}
		default:
			return nil, fmt.Errorf("line %d: %q is not understood", i+1, line)
		}
	}
	return l, nil
}

func (l *list) add(d difference) error {
	if !strings.HasPrefix(d.id, "habit ") {
		if _, ok := l.steps[d.id]; ok {
			return fmt.Errorf("%s is listed twice", d.id)
		}
		l.steps[d.id] = d
		return nil
	}
	if len(d.other) > 1 || len(d.weir) > 1 || len(d.other)+len(d.weir) == 0 {
		return fmt.Errorf("%s has not one line of the other, of Weir, or of both", d.id)
	}
	lines, err := regexp.Compile("^" + append(d.other, d.weir...)[0] + "$")
	if err != nil {
		return fmt.Errorf("%s: %w", d.id, err)
	}
	l.habits = append(l.habits, &habit{difference: d, lines: lines})
	return nil
}

// translate takes the habits out of both answers to a step.
func (l *list) translate(weir, other []string) ([]string, []string) {
	return l.without(weir, true), l.without(other, false)
}

func (l *list) without(lines []string, ofWeir bool) []string {
	var out []string
	for _, line := range lines {
		keep := true
		for _, h := range l.habits {
			if (len(h.other) == 0) != ofWeir || !h.lines.MatchString(line) {
				continue
			}
			h.used = true
			if keep = len(h.other)+len(h.weir) == 2; keep {
				line = h.lines.ReplaceAllString(line, h.weir[0])
			}
			break
		}
		if keep {
			out = append(out, line)
		}
	}
	return out
}

// check holds what was found to what is listed and returns what is wrong.
func (l *list) check(found []difference) (wrong []string) {
	seen := map[string]bool{}
	for _, d := range found {
		seen[d.id] = true
		listed, ok := l.steps[d.id]
		d.why = listed.why
		switch {
		case !ok:
			wrong = append(wrong, "not listed: "+d.String())
		case !slices.Equal(listed.weir, d.weir) || !slices.Equal(listed.other, d.other):
			wrong = append(wrong, "listed otherwise: "+d.String())
		case unexplained(d):
			wrong = append(wrong, "listed without a reason: "+d.String())
		}
	}
	for _, id := range slices.Sorted(maps.Keys(l.steps)) {
		if !seen[id] {
			wrong = append(wrong, "listed, but gone: "+id)
		}
	}
	for _, h := range l.habits {
		if !h.used || unexplained(h.difference) {
			wrong = append(wrong, "listed, but gone or without a reason: "+h.id)
		}
	}
	return wrong
}

func unexplained(d difference) bool { return strings.Trim(d.why, "? ") == "" }

// with is the text of the list with what was found, and the reasons that it
// knows.
func (l *list) with(found []difference) string {
	text := l.comment
	for _, h := range l.habits {
		text += "\n" + h.String()
	}
	for _, d := range found {
		if listed, ok := l.steps[d.id]; ok {
			d.why = listed.why
		}
		text += "\n" + d.String()
	}
	return text
}

func TestList(t *testing.T) {
	d, ok := differ("a 1 Op", []string{"status 200", "x = 1"}, []string{"status 200", "x = 2"})
	if !ok || d.String() != "a 1 Op\n  weir  x = 1\n  other x = 2\n  why   ?\n" {
		t.Fatalf("got %v %s", ok, d)
	}
	if _, ok := differ("a", d.weir, d.weir); ok {
		t.Error("an answer differs from itself")
	}
	why := strings.Replace(d.String(), "?", "Weir is right.", 1)
	const habits = "habit 1\n  weir  y $1\n  other z (.*)\n  why   It does.\nhabit 2\n  other w\n  why   It does.\n" +
		"habit 3\n  weir  u.*\n  why   It does.\n"
	for name, c := range map[string]struct {
		text  string
		wrong int
	}{
		"listed":      {"# comment\n\n" + habits + why, 0},
		"not listed":  {habits, 1},
		"no reason":   {habits + d.String(), 1},
		"other lines": {habits + strings.Replace(why, "x = 2", "x = 3", 1), 1},
		"gone":        {habits + why + strings.Replace(why, "a 1", "a 2", 1), 1},
		"unused":      {habits + "habit 4\n  other none\n  why   It does.\n" + why, 1},
	} {
		l, err := parseList(c.text)
		if err != nil {
			t.Fatal(err)
		}
		lines := []string{"z 5", "w", "v", "u 7"}
		weir, other := l.translate(lines, lines)
		if !slices.Equal(weir, []string{"z 5", "w", "v"}) || !slices.Equal(other, []string{"y 5", "v", "u 7"}) {
			t.Errorf("%s: translated to %v and %v", name, weir, other)
		}
		if wrong := l.check([]difference{d}); len(wrong) != c.wrong {
			t.Errorf("%s: %v", name, wrong)
		}
	}
	for _, bad := range []string{why + why, "habit 1\n  why   x\n", "habit 1\n  weir  x\n  weir  y\n  why   x\n", "habit 1\n  other (\n  why   x\n", "   x"} {
		if _, err := parseList(bad); err == nil {
			t.Errorf("%q is accepted", bad)
		}
	}
}
