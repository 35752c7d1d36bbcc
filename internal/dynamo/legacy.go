package dynamo

import (
	"strconv"
	"strings"

	"weir.dev/weir/internal/awsapi"
	"weir.dev/weir/internal/model"
)

// translation writes the parameters that came before expressions (Expected,
// AttributeUpdates, KeyConditions, filters, AttributesToGet) as an expression
// with placeholders of its own, so that they mean the same by construction.
type translation struct {
	text   strings.Builder
	names  []awsapi.Entry[string]
	values []model.Attr
}

// name returns a placeholder for an attribute.
func (t *translation) name(attr string) string {
	p := "#a" + strconv.Itoa(len(t.names))
	t.names = append(t.names, awsapi.Entry[string]{Key: p, Val: attr})
	return p
}

// value returns a placeholder for a value.
func (t *translation) value(v model.Value) string {
	p := ":v" + strconv.Itoa(len(t.values))
	t.values = append(t.values, model.Attr{Name: p, Value: v})
	return p
}

// expressions is the translation's own space of placeholders.
func (t *translation) expressions() *expressions {
	values, _ := model.NewItem(t.values)
	return &expressions{names: awsapi.NewMap(t.names), values: values}
}

// join begins another part of the text.
func (t *translation) join(separator string) {
	if t.text.Len() > 0 {
		t.text.WriteString(separator)
	}
}

// comparison is a legacy operator: how many values it takes and how it is
// written: $a is the attribute, $v and $w are the values.
type comparison struct {
	least, most int
	pattern     string
	key         bool // allowed in KeyConditions
}

// maxInValues is how many values IN takes, as in expressions.
const maxInValues = 100

var comparisons = map[string]comparison{
	"EQ":           {1, 1, "$a = $v", true},
	"NE":           {1, 1, "$a <> $v", false},
	"LE":           {1, 1, "$a <= $v", true},
	"LT":           {1, 1, "$a < $v", true},
	"GE":           {1, 1, "$a >= $v", true},
	"GT":           {1, 1, "$a > $v", true},
	"BETWEEN":      {2, 2, "$a BETWEEN $v AND $w", true},
	"BEGINS_WITH":  {1, 1, "begins_with($a, $v)", true},
	"CONTAINS":     {1, 1, "contains($a, $v)", false},
	"NOT_CONTAINS": {1, 1, "NOT contains($a, $v)", false},
	"NULL":         {0, 0, "attribute_not_exists($a)", false},
	"NOT_NULL":     {0, 0, "attribute_exists($a)", false},
	"IN":           {1, maxInValues, "", false},
}

// compare appends one comparison.
func (t *translation) compare(attr, operator string, values []model.Value) error {
	cmp := comparisons[operator]
	if len(values) < cmp.least || len(values) > cmp.most {
		return badParameter("Invalid number of argument(s) for the %s ComparisonOperator", operator)
	}
	if err := checkArguments(operator, values); err != nil {
		return err
	}
	a := t.name(attr)
	if operator == "IN" {
		var list []string
		for _, v := range values {
			list = append(list, t.value(v))
		}
		t.text.WriteString(a + " IN (" + strings.Join(list, ", ") + ")")
		return nil
	}
	replaced := []string{"$a", a}
	if len(values) > 0 {
		replaced = append(replaced, "$v", t.value(values[0]))
	}
	if len(values) > 1 {
		replaced = append(replaced, "$w", t.value(values[1]))
	}
	t.text.WriteString(strings.NewReplacer(replaced...).Replace(cmp.pattern))
	return nil
}

// checkArguments holds the values of an operator to the types it takes.
func checkArguments(operator string, values []model.Value) error {
	scalar := true
	switch operator {
	case "EQ", "NE":
		scalar = false
	case "BEGINS_WITH":
		if k := values[0].Kind; k != model.KindS && k != model.KindB {
			return badParameter("ComparisonOperator %s is not valid for %s AttributeValue type", operator, k)
		}
	}
	for _, v := range values {
		if k := v.Kind; scalar && k != model.KindS && k != model.KindN && k != model.KindB {
			return badParameter("ComparisonOperator %s is not valid for %s AttributeValue type", operator, k)
		}
	}
	if operator == "BETWEEN" {
		cmp, ok := values[0].Compare(values[1])
		if !ok {
			return badParameter("AttributeValues inside AttributeValueList must be of same type")
		}
		if cmp > 0 {
			return invalid("The BETWEEN condition was provided a range where the lower bound is greater than the upper bound")
		}
	}
	return nil
}

// joiner is how a ConditionalOperator joins comparisons.
func joiner(operator awsapi.Opt[string]) string { return " " + operator.Or("AND") + " " }

// expected translates Expected.
func expected(conditions awsapi.Map[ExpectedAttributeValue], operator awsapi.Opt[string]) (*translation, error) {
	t := &translation{}
	for _, e := range conditions {
		t.join(joiner(operator))
		if err := t.expect(e.Key, &e.Val); err != nil {
			return nil, err
		}
	}
	return t, nil
}

// expect translates the condition on one attribute.
func (t *translation) expect(attr string, e *ExpectedAttributeValue) error {
	hasValue := e.Value.Kind != 0
	switch {
	case e.ComparisonOperator.Set && e.Exists.Set:
		return badParameter("Exists and ComparisonOperator cannot be used together for Attribute: %s", attr)
	case e.ComparisonOperator.Set && e.AttributeValueList != nil && hasValue:
		return badParameter("Value and AttributeValueList cannot be used together for Attribute: %s", attr)
	case e.ComparisonOperator.Set:
		values := e.AttributeValueList
		if hasValue {
			values = []model.Value{e.Value}
		}
		return t.compare(attr, e.ComparisonOperator.V, values)
	case e.AttributeValueList != nil:
		return badParameter("AttributeValueList can only be used with a ComparisonOperator for Attribute: %s", attr)
	case e.Exists.Or(true) && !hasValue:
		exists := "null"
		if e.Exists.Set {
			exists = "true"
		}
		return badParameter("Value must be provided when Exists is %s for Attribute: %s", exists, attr)
	case e.Exists.Or(true):
		return t.compare(attr, "EQ", []model.Value{e.Value})
	case hasValue:
		return badParameter("Value cannot be used when Exists is false for Attribute: %s", attr)
	default:
		return t.compare(attr, "NULL", nil)
	}
}

// conditions translates QueryFilter and ScanFilter.
func conditions(filter awsapi.Map[Condition], operator awsapi.Opt[string]) (*translation, error) {
	t := &translation{}
	for _, e := range filter {
		t.join(joiner(operator))
		if err := t.compare(e.Key, e.Val.ComparisonOperator.V, e.Val.AttributeValueList); err != nil {
			return nil, err
		}
	}
	return t, nil
}

// keyConditions translates KeyConditions.
func keyConditions(keys awsapi.Map[Condition]) (*translation, error) {
	if len(keys) < 1 || len(keys) > 2 {
		return nil, invalid("Conditions can be of length 1 or 2 only")
	}
	t := &translation{}
	for _, e := range keys {
		if !comparisons[e.Val.ComparisonOperator.V].key {
			return nil, invalid("Attempted conditional constraint is not an indexable operation")
		}
		t.join(" AND ")
		if err := t.compare(e.Key, e.Val.ComparisonOperator.V, e.Val.AttributeValueList); err != nil {
			return nil, err
		}
	}
	return t, nil
}

// attributeUpdates translates AttributeUpdates; its text is empty when there
// are none.
func attributeUpdates(updates awsapi.Map[AttributeValueUpdate]) (*translation, error) {
	t := &translation{}
	clauses := map[string][]string{}
	for _, e := range updates {
		action, v := e.Val.Action.Or("PUT"), e.Val.Value
		name := t.name(e.Key)
		switch {
		case action == "DELETE" && v.Kind == 0:
			clauses["REMOVE"] = append(clauses["REMOVE"], name)
		case v.Kind == 0:
			return nil, badParameter("Only DELETE action is allowed when no attribute value is specified")
		case action == "PUT":
			clauses["SET"] = append(clauses["SET"], name+" = "+t.value(v))
		case action == "DELETE" && !v.Kind.IsSet():
			return nil, badParameter("DELETE action with value is not supported for the type %s", v.Kind)
		case action == "ADD" && v.Kind == model.KindL:
			// Only the legacy ADD appends to lists.
			clauses["SET"] = append(clauses["SET"], t.appendToList(name, v))
		case action == "ADD" && v.Kind != model.KindN && !v.Kind.IsSet():
			return nil, badParameter("ADD action is not supported for the type %s", v.Kind)
		default:
			clauses[action] = append(clauses[action], name+" "+t.value(v))
		}
	}
	for _, clause := range []string{"SET", "REMOVE", "ADD", "DELETE"} {
		if list := clauses[clause]; len(list) > 0 {
			t.join(" ")
			t.text.WriteString(clause + " " + strings.Join(list, ", "))
		}
	}
	return t, nil
}

func (t *translation) appendToList(name string, v model.Value) string {
	empty := t.value(model.ListValue())
	return name + " = list_append(if_not_exists(" + name + ", " + empty + "), " + t.value(v) + ")"
}

// attributesToGet translates AttributesToGet.
func attributesToGet(names []string) (*translation, error) {
	t := &translation{}
	seen := map[string]bool{}
	for _, n := range names {
		if seen[n] {
			return nil, badParameter("Duplicate value in attribute name: %s", n)
		}
		seen[n] = true
		t.join(", ")
		t.text.WriteString(t.name(n))
	}
	return t, nil
}
