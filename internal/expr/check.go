package expr

import (
	"weir.dev/weir/internal/model"
)

// checker finds what is wrong with a tree that could be read, in DynamoDB's
// order, and puts names and values in their place.
type checker struct {
	param  string
	params *Params
}

// place looks up functions and refuses those that stand where they must not,
// reserved words and impossible indexes, in the order of the text.
func (c *checker) placeNode(n *node, at place) error {
	if n.op == opPath {
		return c.checkWords(n.path)
	}
	if n.op == opCall {
		if err := c.lookUp(n, at); err != nil {
			return err
		}
	}
	for i := range n.kids {
		if err := c.placeNode(&n.kids[i], n.op.kidPlace(at)); err != nil {
			return err
		}
	}
	return nil
}

func (c *checker) lookUp(n *node, at place) error {
	o, ok := functionNamed(n.text)
	if !ok {
		return invalidf(c.param, "Invalid function name; function: %s", n.text)
	}
	n.op = o
	switch is := ops[o].place; {
	case is&at != 0:
	case at == placeUpdate:
		return invalidf(c.param, "The function is not allowed in an update expression; function: %s", n.text)
	case is == placeUpdate:
		return invalidf(c.param, "The function is not allowed in a condition expression; function: %s", n.text)
	default:
		return invalidf(c.param, "The function is not allowed to be used this way in an expression; function: %s", n.text)
	}
	if at == placeUpdate { // an update's operands are counted when they are resolved
		return nil
	}
	return c.checkCount(n)
}

func (c *checker) checkCount(n *node) error {
	if len(n.kids) != ops[n.op].kids {
		return invalidf(c.param, "Incorrect number of operands for operator or function; operator or function: %s, number of operands: %d", ops[n.op].name, len(n.kids))
	}
	return nil
}

func (c *checker) checkWords(path Path) error {
	for _, s := range path {
		switch {
		case s.Index < 0:
			return invalidf(c.param, "List index is not within the allowable range; index: [%s]", s.Name)
		case !s.isIndex() && s.Name[0] != '#' && isReserved(s.Name):
			return invalidf(c.param, "Attribute name is a reserved keyword; reserved keyword: %s", s.Name)
		}
	}
	return nil
}

// resolvePath replaces the path's #names. It must be called once.
func (c *checker) resolvePath(path Path) error {
	for i := range path {
		s := &path[i]
		if s.isIndex() || s.Name[0] != '#' {
			continue
		}
		name, ok := c.params.name(s.Name)
		if !ok {
			return invalidf(c.param, "An expression attribute name used in the document path is not defined; attribute name: %s", s.Name)
		}
		s.Name = name
	}
	if len(path) > maxPathSteps {
		return invalidf(c.param, "The document path has too many nesting levels; nesting levels: %d", len(path))
	}
	return nil
}

// resolveValue puts the value in the place of a :value.
func (c *checker) resolveValue(n *node) error {
	v, ok := c.params.value(n.text)
	if !ok {
		return invalidf(c.param, "An expression attribute value used in expression is not defined; attribute value: %s", n.text)
	}
	n.value = v
	return nil
}

// resolve puts names and values in place below n and then checks n's operands.
func (c *checker) resolve(n *node) error {
	switch n.op {
	case opPath:
		return c.resolvePath(n.path)
	case opValue:
		return c.resolveValue(n)
	}
	for i := range n.kids {
		if err := c.resolve(&n.kids[i]); err != nil {
			return err
		}
	}
	return c.checkOperands(n)
}

func (c *checker) checkOperands(n *node) error {
	if n.op == opIn && len(n.kids)-1 > maxInOperands {
		return invalidf(c.param, "The IN operator is provided with too many operands; number of operands: %d", len(n.kids)-1)
	}
	if ops[n.op].path && n.kids[0].op != opPath {
		return invalidf(c.param, "Operator or function requires a document path; operator or function: %s", ops[n.op].name)
	}
	switch n.op {
	case opAnd, opOr, opNot:
		return nil
	case opSize:
		return c.checkTypes(n, n.kids, "S", "B", "SS", "NS", "BS", "L", "M")
	}
	if err := c.checkDistinct(n); err != nil {
		return err
	}
	switch n.op {
	case opLt, opLe, opGt, opGe:
		return c.checkTypes(n, n.kids, "S", "N", "B")
	case opBetween:
		if err := c.checkTypes(n, n.kids, "S", "N", "B"); err != nil {
			return err
		}
		return c.checkBounds(n.kids[1].valueOf(), n.kids[2].valueOf())
	case opBeginsWith:
		return c.checkTypes(n, n.kids, "S", "B")
	case opType:
		return c.checkTypeName(n)
	case opPlus, opMinus:
		return c.checkTypes(n, n.kids, "N")
	case opListAppend:
		return c.checkTypes(n, n.kids, "L")
	}
	return nil
}

// checkDistinct refuses an operator whose first operand, a path, is among the
// others.
func (c *checker) checkDistinct(n *node) error {
	if n.kids[0].op != opPath || n.op == opListAppend || n.op == opPlus || n.op == opMinus {
		return nil
	}
	for _, k := range n.kids[1:] {
		if k.op == opPath && k.path.equal(n.kids[0].path) {
			return invalidf(c.param, "The first operand must be distinct from the remaining operands for this operator or function; operator: %s, first operand: %s", ops[n.op].name, n.kids[0].path)
		}
	}
	return nil
}

// checkTypes refuses operands whose kind is known from the text and is none of
// the allowed.
func (c *checker) checkTypes(n *node, operands []node, allowed ...string) error {
	for i := range operands {
		kind := staticKind(&operands[i])
		ok := kind == ""
		for _, a := range allowed {
			ok = ok || a == kind
		}
		if !ok {
			return c.typeError(n, kind)
		}
	}
	return nil
}

func (c *checker) typeError(n *node, kind string) error {
	return invalidf(c.param, "Incorrect operand type for operator or function; operator or function: %s, operand type: %s", ops[n.op].name, kind)
}

// staticKind names the kind that an operand has whatever the item is; empty
// when that depends on the item.
func staticKind(n *node) string {
	switch n.op {
	case opValue:
		return n.value.Kind.String()
	case opSize:
		return model.KindN.String()
	default:
		return ""
	}
}

// anyKind is how AWS names the kind of an operand that could be any.
const anyKind = "{NS,SS,L,BS,N,M,B,BOOL,NULL,S}"

func (c *checker) checkTypeName(n *node) error {
	v := n.kids[1].valueOf()
	if v == nil {
		kind := staticKind(&n.kids[1])
		if kind == "" {
			kind = anyKind
		}
		return c.typeError(n, kind)
	}
	if v.Kind != model.KindS {
		return c.typeError(n, v.Kind.String())
	}
	if _, ok := model.ParseKind(v.Str); !ok {
		return invalidf(c.param, "Invalid attribute type name found; type: %s, valid types: {B,NULL,SS,BOOL,L,BS,N,NS,S,M}", v.Str)
	}
	return nil
}

// checkBounds refuses bounds of BETWEEN that are of two kinds or in the wrong
// order; nil is a bound that depends on the item.
func (c *checker) checkBounds(low, high *model.Value) error {
	if low == nil || high == nil {
		return nil
	}
	fault := ""
	if cmp, ok := low.Compare(*high); !ok {
		fault = "same data type for lower and upper bounds"
	} else if cmp > 0 {
		fault = "upper bound to be greater than or equal to lower bound"
	} else {
		return nil
	}
	return invalidf(c.param, "The BETWEEN operator requires %s; lower bound operand: AttributeValue: {%s}, upper bound operand: AttributeValue: {%s}", fault, boundText(low), boundText(high))
}
