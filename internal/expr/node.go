package expr

import "weir.dev/weir/internal/model"

// op is what a node of a compiled expression does. The numbers are part of the
// stored format.
type op uint8

const (
	opCall op = 0 // a function not yet looked up; only while parsing

	// Operands: they have a value, or none.
	opPath        op = 1
	opValue       op = 2
	opSize        op = 3
	opIfNotExists op = 4
	opListAppend  op = 5
	opPlus        op = 6
	opMinus       op = 7

	// Conditions: they hold or not.
	opAnd        op = 16
	opOr         op = 17
	opNot        op = 18
	opEq         op = 19
	opNe         op = 20
	opLt         op = 21
	opLe         op = 22
	opGt         op = 23
	opGe         op = 24
	opBetween    op = 25
	opIn         op = 26
	opExists     op = 27
	opNotExists  op = 28
	opType       op = 29
	opBeginsWith op = 30
	opContains   op = 31

	opCount = 32
)

// node is a node of an expression's tree.
type node struct {
	op    op
	paren bool         // while parsing: it stood in parentheses
	text  string       // while parsing: the function's name, or the :value
	path  Path         // opPath
	value *model.Value // opValue
	kids  []node
}

// opInfo is what is known of an op: its name in messages, its number of
// operands (-1: a list of at least two) and where it may stand.
type opInfo struct {
	name  string
	kids  int
	place place
	path  bool // the first operand must be a path
}

// place is where a node may stand.
type place uint8

const (
	placeCondition  place = 1 << iota // as a condition
	placeOperand                      // as an operand of a condition
	placeUpdate                       // as an operand of an update
	placeAnyOperand = placeOperand | placeUpdate
)

var ops = [opCount]opInfo{
	opPath:        {place: placeAnyOperand},
	opValue:       {place: placeAnyOperand},
	opSize:        {name: "size", kids: 1, place: placeOperand},
	opIfNotExists: {name: "if_not_exists", kids: 2, place: placeUpdate, path: true},
	opListAppend:  {name: "list_append", kids: 2, place: placeUpdate},
	opPlus:        {name: "+", kids: 2, place: placeUpdate},
	opMinus:       {name: "-", kids: 2, place: placeUpdate},
	opAnd:         {name: "AND", kids: -1, place: placeCondition},
	opOr:          {name: "OR", kids: -1, place: placeCondition},
	opNot:         {name: "NOT", kids: 1, place: placeCondition},
	opEq:          {name: "=", kids: 2, place: placeCondition},
	opNe:          {name: "<>", kids: 2, place: placeCondition},
	opLt:          {name: "<", kids: 2, place: placeCondition},
	opLe:          {name: "<=", kids: 2, place: placeCondition},
	opGt:          {name: ">", kids: 2, place: placeCondition},
	opGe:          {name: ">=", kids: 2, place: placeCondition},
	opBetween:     {name: "BETWEEN", kids: 3, place: placeCondition},
	opIn:          {name: "IN", kids: -1, place: placeCondition},
	opExists:      {name: "attribute_exists", kids: 1, place: placeCondition, path: true},
	opNotExists:   {name: "attribute_not_exists", kids: 1, place: placeCondition, path: true},
	opType:        {name: "attribute_type", kids: 2, place: placeCondition, path: true},
	opBeginsWith:  {name: "begins_with", kids: 2, place: placeCondition},
	opContains:    {name: "contains", kids: 2, place: placeCondition},
}

// functions are the ops that are written name(operands).
var functions = []op{
	opExists, opNotExists, opType, opBeginsWith, opContains, opSize, opIfNotExists, opListAppend,
}

func functionNamed(name string) (op, bool) {
	for _, o := range functions {
		if ops[o].name == name {
			return o, true
		}
	}
	return 0, false
}

// kidPlace is where the operands of o stand, when o itself stands at p.
func (o op) kidPlace(p place) place {
	switch {
	case o == opAnd || o == opOr || o == opNot:
		return placeCondition
	case p == placeUpdate:
		return placeUpdate
	default:
		return placeOperand
	}
}

// eachPath calls f with every path below n until f returns an error.
func (n *node) eachPath(f func(Path) error) error {
	if n.op == opPath {
		return f(n.path)
	}
	for i := range n.kids {
		if err := n.kids[i].eachPath(f); err != nil {
			return err
		}
	}
	return nil
}
