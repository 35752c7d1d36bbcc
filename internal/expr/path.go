package expr

import (
	"cmp"
	"strconv"
	"strings"

	"weir.dev/weir/internal/model"
)

// Step is one step of a path: into a map by name or, when Name is empty, into
// a list by index.
type Step struct {
	Name  string
	Index int
}

// isIndex reports whether the step goes into a list.
func (s Step) isIndex() bool { return s.Name == "" }

// Path is a document path: an attribute's name, then any steps.
type Path []Step

// String is the path as AWS's messages show it: [a, b, [0]].
func (p Path) String() string {
	var b strings.Builder
	b.WriteByte('[')
	for i, s := range p {
		if i > 0 {
			b.WriteString(", ")
		}
		if s.isIndex() {
			b.WriteString("[" + strconv.Itoa(s.Index) + "]")
		} else {
			b.WriteString(s.Name)
		}
	}
	b.WriteByte(']')
	return b.String()
}

// find returns what is at the path; nil when there is nothing. The value
// belongs to the item.
func (p Path) find(item model.Item) *model.Value {
	v := item.Find(p[0].Name)
	for _, s := range p[1:] {
		if v = s.into(v); v == nil {
			return nil
		}
	}
	return v
}

// into goes one step into v, which may be nil.
func (s Step) into(v *model.Value) *model.Value {
	switch {
	case v == nil:
		return nil
	case !s.isIndex():
		if v.Kind != model.KindM {
			return nil
		}
		return v.Map.Find(s.Name)
	case v.Kind == model.KindL && s.Index < len(v.List):
		return &v.List[s.Index]
	default:
		return nil
	}
}

func compareSteps(a, b Step) int {
	if c := strings.Compare(a.Name, b.Name); c != 0 {
		return c
	}
	return cmp.Compare(a.Index, b.Index)
}

// comparePaths orders paths so that those with a common beginning are
// together and list elements are in the order of their index.
func comparePaths(a, b Path) int {
	for i := 0; i < len(a) && i < len(b); i++ {
		if c := compareSteps(a[i], b[i]); c != 0 {
			return c
		}
	}
	return len(a) - len(b)
}

func (p Path) equal(q Path) bool { return len(p) == len(q) && comparePaths(p, q) == 0 }

// checkOverlaps refuses two paths of which one is inside the other or which
// use one attribute both as a map and as a list.
func checkOverlaps(param string, paths []Path) error {
	for j, q := range paths {
		for _, p := range paths[:j] {
			what := ""
			for i := 0; what == ""; i++ {
				if i == len(p) || i == len(q) {
					what = "overlap"
				} else if p[i].isIndex() != q[i].isIndex() {
					what = "conflict"
				} else if p[i] != q[i] {
					break
				}
			}
			if what != "" {
				return invalidf(param, "Two document paths %s with each other; must remove or rewrite one of these paths; path one: %s, path two: %s", what, p, q)
			}
		}
	}
	return nil
}
