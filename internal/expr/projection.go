package expr

import (
	"slices"

	"weir.dev/weir/internal/model"
)

// Projection is a compiled ProjectionExpression: the paths of an item that a
// reader wants.
type Projection struct {
	paths []Path // sorted by comparePaths, none inside another
}

// ParseProjection compiles a ProjectionExpression. Errors are ErrValidation.
func ParseProjection(text string, params *Params) (*Projection, error) {
	var buf [48]token
	p, err := start(projectionParam, text, buf[:], nil)
	if err != nil {
		return nil, err
	}
	paths, f := p.paths()
	if err := p.finish(f); err != nil {
		return nil, err
	}
	c := checker{param: projectionParam, params: params}
	for _, path := range paths {
		if err := c.checkWords(path); err != nil {
			return nil, err
		}
	}
	for _, path := range paths {
		if err := c.resolvePath(path); err != nil {
			return nil, err
		}
	}
	if err := checkOverlaps(c.param, paths); err != nil {
		return nil, err
	}
	return newProjection(paths), nil
}

// NewProjection projects whole attributes, as the legacy AttributesToGet does.
// Names must not be empty; one that occurs twice counts once.
func NewProjection(names ...string) *Projection {
	paths := make([]Path, 0, len(names))
	for _, name := range names {
		paths = append(paths, Path{{Name: name}})
	}
	p := newProjection(paths)
	p.paths = slices.CompactFunc(p.paths, Path.equal)
	return p
}

func newProjection(paths []Path) *Projection {
	slices.SortFunc(paths, comparePaths)
	return &Projection{paths: paths}
}

// paths reads path, path, ...
func (p *parser) paths() (paths []Path, f *failure) {
	for {
		path, f := p.path()
		if f != nil {
			return nil, f
		}
		paths = append(paths, path)
		if !p.accept(',') {
			return paths, nil
		}
	}
}

// CheckKeys refuses a projection that looks inside one of the key attributes,
// which are scalars. The error is ErrValidation.
func (p *Projection) CheckKeys(keys ...string) error {
	for _, path := range p.paths {
		if err := checkScalar(path, keys); err != nil {
			return err
		}
	}
	return nil
}

// Apply returns the part of the item that the projection names; what the item
// lacks is left out. Elements of a list move together. A nil projection is
// the whole item. The result shares values with the item.
func (p *Projection) Apply(item model.Item) model.Item {
	if p == nil {
		return item
	}
	return projectMap(item, p.paths, 0)
}

func sameStepPaths(paths []Path, depth int) int {
	n := 1
	for n < len(paths) && paths[n][depth] == paths[0][depth] {
		n++
	}
	return n
}

func projectMap(m model.Item, paths []Path, depth int) model.Item {
	out := make(model.Item, 0, min(len(m), len(paths)))
	for len(paths) > 0 {
		group := paths[:sameStepPaths(paths, depth)]
		paths = paths[len(group):]
		step := group[0][depth]
		if step.isIndex() {
			continue
		}
		if v, ok := project(m.Find(step.Name), group, depth+1); ok {
			out = append(out, model.Attr{Name: step.Name, Value: v})
		}
	}
	return out
}

func projectList(list []model.Value, paths []Path, depth int) (out []model.Value) {
	for len(paths) > 0 {
		group := paths[:sameStepPaths(paths, depth)]
		paths = paths[len(group):]
		step := group[0][depth]
		if !step.isIndex() || step.Index >= len(list) {
			continue
		}
		if v, ok := project(&list[step.Index], group, depth+1); ok {
			out = append(out, v)
		}
	}
	return out
}

// project returns the part of v that the paths name from depth on; ok is false
// when there is none.
func project(v *model.Value, group []Path, depth int) (part model.Value, ok bool) {
	switch {
	case v == nil:
		return model.Value{}, false
	case len(group[0]) == depth:
		return *v, true
	case v.Kind == model.KindM:
		m := projectMap(v.Map, group, depth)
		return model.MapValue(m), len(m) > 0
	case v.Kind == model.KindL:
		list := projectList(v.List, group, depth)
		return model.ListValue(list...), len(list) > 0
	default:
		return model.Value{}, false
	}
}
