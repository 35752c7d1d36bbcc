package expr

import (
	"strconv"

	"weir.dev/weir/internal/model"
)

// parser reads one expression. Its methods return the tree as it is written;
// what the names mean is for a checker.
type parser struct {
	param string
	text  string
	toks  []token
	i     int // the next token
	ops   int // operators and functions read
	depth int
}

// failure is why an expression cannot be read: a syntax error at a token, or
// else what message says.
type failure struct {
	at      int
	message string
}

// start checks the text's size and makes a parser of it. buf is where the
// tokens go when they fit.
func start(param, text string, buf []token, keywords []keyword) (*parser, error) {
	if text == "" {
		return nil, invalidf(param, "The expression can not be empty;")
	}
	if len(text) > maxTextBytes {
		return nil, invalidf(param, "Expression size has exceeded the maximum allowed size; expression size: %d", len(text))
	}
	return &parser{param: param, text: text, toks: lex(buf[:0], text, keywords)}, nil
}

// finish turns a failure, or what is left of the text, into AWS's error.
func (p *parser) finish(f *failure) error {
	if f == nil && p.kind() != tokenEnd {
		f = p.fail()
	}
	switch {
	case f == nil:
		if p.ops > maxOperators {
			return invalidf(p.param, "The expression contains too many operators; operator count: %d", p.ops)
		}
		return nil
	case f.message != "":
		return invalidf(p.param, "%s", f.message)
	default:
		return p.syntaxError(f.at)
	}
}

// syntaxError names the token, and the text from the one before it to the one
// after it.
func (p *parser) syntaxError(at int) error {
	from, to := p.toks[max(at-1, 0)].start, p.toks[min(at+1, len(p.toks)-1)].end
	if at == 0 {
		from = 0
	}
	tok := "<EOF>"
	if t := p.toks[at]; t.kind != tokenEnd {
		tok = p.text[t.start:t.end]
	}
	return invalidf(p.param, `Syntax error; token: "%s", near: "%s"`, tok, p.text[from:to])
}

func (p *parser) kind() tokenKind { return p.toks[p.i].kind }

// next takes a token and returns its text.
func (p *parser) next() string {
	t := p.toks[p.i]
	p.i++
	return p.text[t.start:t.end]
}

func (p *parser) accept(kind tokenKind) bool {
	if p.kind() != kind {
		return false
	}
	p.i++
	return true
}

func (p *parser) expect(kind tokenKind) *failure {
	if p.accept(kind) {
		return nil
	}
	return p.fail()
}

func (p *parser) fail() *failure { return &failure{at: p.i} }

// enter counts a level of nesting, which leave ends.
func (p *parser) enter() *failure {
	p.depth++
	if p.depth > maxTextNesting {
		return &failure{message: "The expression has too many nesting levels; nesting levels: " + strconv.Itoa(p.depth)}
	}
	return nil
}

func (p *parser) leave() { p.depth-- }

// either reads with first or, when that fails, with second from the same
// token. Of two failures the one that read further counts.
func (p *parser) either(first, second func(*parser) (node, *failure)) (node, *failure) {
	at, ops, depth := p.i, p.ops, p.depth
	n, f := first(p)
	if f == nil || f.message != "" {
		return n, f
	}
	p.i, p.ops, p.depth = at, ops, depth
	n, g := second(p)
	if g != nil && g.message == "" && f.at > g.at {
		return n, f
	}
	return n, g
}

// inParens reads ( inner ). Parentheses around parentheses are refused.
func (p *parser) inParens(inner func(*parser) (node, *failure)) (node, *failure) {
	if f := p.enter(); f != nil {
		return node{}, f
	}
	defer p.leave()
	if f := p.expect('('); f != nil {
		return node{}, f
	}
	n, f := inner(p)
	if f != nil {
		return node{}, f
	}
	if f := p.expect(')'); f != nil {
		return node{}, f
	}
	if n.paren {
		return node{}, &failure{message: "The expression has redundant parentheses;"}
	}
	n.paren = true
	return n, nil
}

// operand reads a path, a :value, a function or an operand in parentheses.
func (p *parser) operand() (node, *failure) {
	switch p.kind() {
	case tokenValueRef:
		return node{op: opValue, text: p.next()}, nil
	case '(':
		return p.inParens((*parser).operand)
	case tokenName:
		if p.toks[p.i+1].kind == '(' {
			return p.call()
		}
	}
	path, f := p.path()
	return node{op: opPath, path: path}, f
}

// call reads name(operand, ...).
func (p *parser) call() (node, *failure) {
	if f := p.enter(); f != nil {
		return node{}, f
	}
	defer p.leave()
	p.ops++
	n := node{op: opCall, text: p.next()}
	kids, f := p.operandList()
	n.kids = kids
	return n, f
}

// operandList reads (operand, ...).
func (p *parser) operandList() (list []node, f *failure) {
	if f := p.expect('('); f != nil {
		return nil, f
	}
	for {
		n, f := p.operand()
		if f != nil {
			return nil, f
		}
		list = append(list, n)
		if !p.accept(',') {
			return list, p.expect(')')
		}
	}
}

// path reads a document path. A #name stays as it is written, with its mark.
func (p *parser) path() (Path, *failure) {
	path := make(Path, 0, p.pathLen())
	for {
		if p.kind() != tokenName && p.kind() != tokenNameRef {
			return nil, p.fail()
		}
		path = append(path, Step{Name: p.next()})
		for p.accept('[') {
			if p.kind() != tokenInt {
				return nil, p.fail()
			}
			path = append(path, indexStep(p.next()))
			if f := p.expect(']'); f != nil {
				return nil, f
			}
		}
		if !p.accept('.') {
			return path, nil
		}
	}
}

// pathLen is how many steps the path at the next token seems to have.
func (p *parser) pathLen() int {
	n := 1
	for _, t := range p.toks[p.i:] {
		switch t.kind {
		case '.', '[':
			n++
		case tokenName, tokenNameRef, tokenInt, ']':
		default:
			return n
		}
	}
	return n
}

// indexStep is the step to an index. One that is out of range keeps its digits
// as Name, with the Index -1, for the checker to refuse.
func indexStep(digits string) Step {
	index, err := strconv.Atoi(digits)
	if err != nil || index > maxIndex {
		return Step{Name: digits, Index: -1}
	}
	return Step{Index: index}
}

// valueOf is the operand's value when it is a :value that was resolved.
func (n *node) valueOf() *model.Value {
	if n.op == opValue {
		return n.value
	}
	return nil
}
