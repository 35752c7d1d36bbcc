package expr

import "weir.dev/weir/internal/model"

// The versions that begin the stored forms. A changed meaning gets a new one.
const (
	conditionVersion  = 1
	updateVersion     = 1
	projectionVersion = 1
)

// The bytes that begin a step.
const (
	stepName  = 0
	stepIndex = 1
)

// Append appends the condition's stored form. See docs/format/expr.md.
func (c *Condition) Append(dst []byte) []byte {
	return c.root.append(append(dst, conditionVersion))
}

// DecodeCondition reads what Condition.Append wrote; it shares no memory with
// d's input. Check d for errors.
func DecodeCondition(d *model.Decoder) *Condition {
	if d.Byte() != conditionVersion {
		d.Fail()
	}
	return &Condition{root: decodeNode(d, placeCondition, maxNodeDepth)}
}

// Append appends the update's stored form. See docs/format/expr.md.
func (u *Update) Append(dst []byte) []byte {
	dst = model.AppendUvarint(append(dst, updateVersion), uint64(len(u.actions)))
	for i := range u.actions {
		a := &u.actions[i]
		dst = appendPath(append(dst, byte(a.verb)), a.path)
		if a.verb != verbRemove {
			dst = a.value.append(dst)
		}
	}
	return dst
}

// DecodeUpdate reads what Update.Append wrote; it shares no memory with d's
// input. Check d for errors.
func DecodeUpdate(d *model.Decoder) *Update {
	if d.Byte() != updateVersion {
		d.Fail()
	}
	u := &Update{}
	n := d.Count()
	if n == 0 {
		d.Fail()
	}
	for ; n > 0 && d.Err() == nil; n-- {
		a := action{verb: verb(d.Byte()), path: decodePath(d)}
		switch a.verb {
		case verbRemove:
		case verbSet:
			a.value = decodeNode(d, placeUpdate, maxNodeDepth)
		case verbAdd, verbDelete:
			a.value = decodeNode(d, placeUpdate, maxNodeDepth)
			if a.value.op != opValue || !a.takes(a.value.value) {
				d.Fail()
			}
		default:
			d.Fail()
		}
		u.actions = append(u.actions, a)
	}
	return u
}

// Append appends the projection's stored form. See docs/format/expr.md.
func (p *Projection) Append(dst []byte) []byte {
	dst = model.AppendUvarint(append(dst, projectionVersion), uint64(len(p.paths)))
	for _, path := range p.paths {
		dst = appendPath(dst, path)
	}
	return dst
}

// DecodeProjection reads what Projection.Append wrote; it shares no memory
// with d's input. Check d for errors.
func DecodeProjection(d *model.Decoder) *Projection {
	if d.Byte() != projectionVersion {
		d.Fail()
	}
	p := &Projection{}
	for n := d.Count(); n > 0 && d.Err() == nil; n-- {
		path := decodePath(d)
		if last := len(p.paths) - 1; last >= 0 && comparePaths(p.paths[last], path) >= 0 {
			d.Fail()
		}
		p.paths = append(p.paths, path)
	}
	return p
}

func appendPath(dst []byte, p Path) []byte {
	dst = model.AppendUvarint(dst, uint64(len(p)))
	for _, s := range p {
		if s.isIndex() {
			dst = model.AppendUvarint(append(dst, stepIndex), uint64(s.Index))
		} else {
			dst = model.AppendString(append(dst, stepName), s.Name)
		}
	}
	return dst
}

// decodePath reads a path: at least a name. When it fails it still returns a
// path that the methods of Path take.
func decodePath(d *model.Decoder) Path {
	n := d.Count()
	if n == 0 || n > maxPathSteps {
		d.Fail()
		return Path{{Name: "?"}}
	}
	p := make(Path, n)
	for i := range p {
		switch d.Byte() {
		case stepName:
			p[i].Name = d.String()
			if p[i].isIndex() {
				d.Fail()
			}
		case stepIndex:
			index := d.Uvarint()
			if i == 0 || index > maxIndex {
				d.Fail()
			}
			p[i].Index = int(index & maxIndex)
		default:
			d.Fail()
		}
	}
	return p
}

func (n *node) append(dst []byte) []byte {
	dst = append(dst, byte(n.op))
	switch n.op {
	case opPath:
		return appendPath(dst, n.path)
	case opValue:
		return model.AppendValue(dst, *n.value)
	}
	if ops[n.op].kids < 0 {
		dst = model.AppendUvarint(dst, uint64(len(n.kids)))
	}
	for i := range n.kids {
		dst = n.kids[i].append(dst)
	}
	return dst
}

// decodeNode reads a node that stands at the place and has at most depth
// levels. Whatever it returns when it fails must not be run.
func decodeNode(d *model.Decoder, at place, depth int) node {
	n := node{op: op(d.Byte())}
	if depth == 0 || n.op >= opCount || ops[n.op].place&at == 0 {
		d.Fail()
		return node{}
	}
	switch n.op {
	case opPath:
		n.path = decodePath(d)
		return n
	case opValue:
		v := model.DecodeValue(d)
		n.value = &v
		return n
	}
	count := ops[n.op].kids
	if count < 0 {
		count = d.Count()
		if count < 2 {
			d.Fail()
		}
	}
	for ; count > 0 && d.Err() == nil; count-- {
		n.kids = append(n.kids, decodeNode(d, n.op.kidPlace(at), depth-1))
	}
	if d.Err() == nil && ops[n.op].path && n.kids[0].op != opPath {
		d.Fail()
	}
	return n
}
