package expr

import "weir.dev/weir/internal/model"

// ParseUpdate compiles an UpdateExpression. Errors are ErrValidation.
func ParseUpdate(text string, params *Params) (*Update, error) {
	var buf [48]token
	p, err := start(updateParam, text, buf[:], updateKeywords)
	if err != nil {
		return nil, err
	}
	u, repeated, f := p.update()
	if err := p.finish(f); err != nil {
		return nil, err
	}
	c := checker{param: updateParam, params: params}
	if err := c.checkUpdate(u, repeated); err != nil {
		return nil, err
	}
	return u, nil
}

// section is the verb that a keyword begins; zero when it begins none.
func section(kind tokenKind) verb {
	switch kind {
	case tokenSet:
		return verbSet
	case tokenRemove:
		return verbRemove
	case tokenAdd:
		return verbAdd
	case tokenDelete:
		return verbDelete
	default:
		return 0
	}
}

// update reads all sections. repeated is the verb of the first section that
// occurs for the second time; zero when none does.
func (p *parser) update() (u *Update, repeated verb, f *failure) {
	u = &Update{}
	seen := [verbDelete + 1]bool{}
	for {
		v := section(p.kind())
		if v == 0 {
			return nil, 0, p.fail()
		}
		if seen[v] && repeated == 0 {
			repeated = v
		}
		seen[v] = true
		p.i++
		for {
			a, f := p.action(v)
			if f != nil {
				return nil, 0, f
			}
			u.actions = append(u.actions, a)
			if !p.accept(',') {
				break
			}
		}
		if p.kind() == tokenEnd {
			return u, repeated, nil
		}
	}
}

func (p *parser) action(v verb) (a action, f *failure) {
	a.verb = v
	if a.path, f = p.path(); f != nil {
		return a, f
	}
	switch v {
	case verbSet:
		if f := p.expect('='); f != nil {
			return a, f
		}
		a.value, f = p.setValue()
		return a, f
	case verbAdd, verbDelete:
		if p.kind() != tokenValueRef {
			return a, p.fail()
		}
		a.value = node{op: opValue, text: p.next()}
	}
	return a, nil
}

// setValue reads what SET puts into an attribute: an operand, or a sum or
// difference of two, which may stand in parentheses.
func (p *parser) setValue() (node, *failure) {
	if p.kind() != '(' {
		return p.sum()
	}
	inParens := func(p *parser) (node, *failure) { return p.inParens((*parser).setValue) }
	return p.either((*parser).sum, inParens)
}

func (p *parser) sum() (node, *failure) {
	left, f := p.operand()
	if f != nil {
		return node{}, f
	}
	o := opPlus
	switch p.kind() {
	case '+':
	case '-':
		o = opMinus
	default:
		return left, nil
	}
	p.i++
	p.ops++
	right, f := p.operand()
	return node{op: o, kids: []node{left, right}}, f
}

// checkUpdate checks in DynamoDB's order: words and functions section by
// section, the names of the targets and their overlaps, then the other names
// and after them the values, from the last action back to the first.
func (c *checker) checkUpdate(u *Update, repeated verb) error {
	for v := verbSet; v <= verbDelete; v++ {
		v := u.nthSection(v)
		if v == 0 {
			break
		}
		if err := c.placeSection(u, v); err != nil {
			return err
		}
		if v == repeated {
			return invalidf(c.param, `The "%s" section can only be used once in an update expression;`, verbNames[v])
		}
	}
	targets := make([]Path, len(u.actions))
	for i := range u.actions {
		if err := c.resolvePath(u.actions[i].path); err != nil {
			return err
		}
		targets[i] = u.actions[i].path
	}
	if err := checkOverlaps(c.param, targets); err != nil {
		return err
	}
	for i := len(u.actions) - 1; i >= 0; i-- {
		if err := u.actions[i].value.eachPath(c.resolvePath); err != nil {
			return err
		}
	}
	for i := len(u.actions) - 1; i >= 0; i-- {
		a := &u.actions[i]
		if a.verb == verbRemove {
			continue
		}
		if err := c.resolveUpdateValue(&a.value); err != nil {
			return err
		}
		if err := c.checkSetOperand(a); err != nil {
			return err
		}
	}
	return nil
}

// nthSection is the verb of the nth section in the order in which the verbs
// first occur, counted from verbSet; zero when there are fewer.
func (u *Update) nthSection(n verb) verb {
	seen := [verbDelete + 1]bool{}
	for i := range u.actions {
		v := u.actions[i].verb
		if seen[v] {
			continue
		}
		seen[v] = true
		if n == verbSet {
			return v
		}
		n--
	}
	return 0
}

func (c *checker) placeSection(u *Update, v verb) error {
	for i := range u.actions {
		a := &u.actions[i]
		if a.verb != v {
			continue
		}
		if err := c.checkWords(a.path); err != nil {
			return err
		}
		if a.verb == verbRemove {
			continue
		}
		if err := c.placeNode(&a.value, placeUpdate); err != nil {
			return err
		}
	}
	return nil
}

// resolveUpdateValue is resolve for an update's value, whose paths are resolved
// already and whose functions count their operands only now.
func (c *checker) resolveUpdateValue(n *node) error {
	if n.op == opIfNotExists || n.op == opListAppend {
		if err := c.checkCount(n); err != nil {
			return err
		}
	}
	if n.op == opValue {
		return c.resolveValue(n)
	}
	for i := range n.kids {
		if err := c.resolveUpdateValue(&n.kids[i]); err != nil {
			return err
		}
	}
	if n.op == opPath {
		return nil
	}
	return c.checkOperands(n)
}

// longKinds are the names of kinds in the message on ADD and DELETE.
var longKinds = map[model.Kind]string{
	model.KindS: "STRING", model.KindN: "NUMBER", model.KindB: "BINARY", model.KindBool: "BOOLEAN", model.KindNull: "NULL",
	model.KindM: "MAP", model.KindL: "LIST", model.KindSS: "STRING_SET", model.KindNS: "NUMBER_SET", model.KindBS: "BINARY_SET",
}

// checkSetOperand refuses what ADD and DELETE cannot work with.
func (c *checker) checkSetOperand(a *action) error {
	if a.takes(a.value.value) {
		return nil
	}
	name := verbNames[a.verb]
	return invalidf(c.param, "Incorrect operand type for operator or function; operator: %s, operand type: %s, typeSet: ALLOWED_FOR_%s_OPERAND", name, longKinds[a.value.value.Kind], name)
}
