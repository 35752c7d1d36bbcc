package expr

// parseCondition reads a condition's text and checks it; param is the request
// parameter that holds it.
func parseCondition(param, text string, params *Params) (node, error) {
	var buf [48]token
	p, err := start(param, text, buf[:], conditionKeywords)
	if err != nil {
		return node{}, err
	}
	n, f := p.condition()
	if err := p.finish(f); err != nil {
		return node{}, err
	}
	c := checker{param: param, params: params}
	if err := c.placeNode(&n, placeCondition); err != nil {
		return node{}, err
	}
	return n, c.resolve(&n)
}

// condition reads conditions joined by OR, the weakest operator.
func (p *parser) condition() (node, *failure) {
	return p.joined(tokenOr, opOr, (*parser).andCondition)
}

func (p *parser) andCondition() (node, *failure) {
	return p.joined(tokenAnd, opAnd, (*parser).notCondition)
}

// joined reads parts with the keyword between them: one node for all of them.
func (p *parser) joined(keyword tokenKind, o op, part func(*parser) (node, *failure)) (node, *failure) {
	first, f := part(p)
	if f != nil || p.kind() != keyword {
		return first, f
	}
	joined := node{op: o, kids: []node{first}}
	for p.accept(keyword) {
		p.ops++
		n, f := part(p)
		if f != nil {
			return node{}, f
		}
		joined.kids = append(joined.kids, n)
	}
	return joined, nil
}

func (p *parser) notCondition() (node, *failure) {
	if p.kind() != tokenNot {
		return p.simpleCondition()
	}
	if f := p.enter(); f != nil {
		return node{}, f
	}
	defer p.leave()
	p.i++
	p.ops++
	n, f := p.notCondition()
	return node{op: opNot, kids: []node{n}}, f
}

// simpleCondition reads a condition in parentheses or a comparison, whose
// first operand may be in parentheses too.
func (p *parser) simpleCondition() (node, *failure) {
	if p.kind() != '(' {
		return p.comparison()
	}
	return p.either((*parser).parenthesized, (*parser).comparison)
}

// parenthesized reads a condition in parentheses. A function in parentheses
// that is compared with something is not one.
func (p *parser) parenthesized() (node, *failure) {
	n, f := p.inParens((*parser).condition)
	if f == nil && n.op == opCall {
		if kind := p.kind(); comparators[kind] != 0 || kind == tokenBetween || kind == tokenIn {
			return n, p.fail()
		}
	}
	return n, f
}

// comparators are the ops of the tokens between two operands.
var comparators = [128]op{'=': opEq, tokenNe: opNe, '<': opLt, tokenLe: opLe, '>': opGt, tokenGe: opGe}

// comparison reads an operand and what is asked of it, or a function.
func (p *parser) comparison() (node, *failure) {
	left, f := p.operand()
	if f != nil {
		return node{}, f
	}
	switch kind := p.kind(); {
	case comparators[kind] != 0:
		p.i++
		p.ops++
		right, f := p.operand()
		return node{op: comparators[kind], kids: []node{left, right}}, f
	case kind == tokenBetween:
		return p.between(left)
	case kind == tokenIn:
		p.i++
		p.ops++
		list, f := p.operandList()
		return node{op: opIn, kids: append([]node{left}, list...)}, f
	case left.op == opCall && !left.paren:
		return left, nil
	default:
		return node{}, p.fail()
	}
}

func (p *parser) between(left node) (node, *failure) {
	p.i++
	p.ops++
	low, f := p.operand()
	if f != nil {
		return node{}, f
	}
	if f := p.expect(tokenAnd); f != nil {
		return node{}, f
	}
	high, f := p.operand()
	return node{op: opBetween, kids: []node{left, low, high}}, f
}
