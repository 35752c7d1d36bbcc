package dynamo

import (
	"strings"

	"weir.dev/weir/internal/awsapi"
	"weir.dev/weir/internal/expr"
	"weir.dev/weir/internal/model"
)

// parameter is a request parameter that holds an expression.
type parameter struct {
	name string
	text awsapi.Opt[string]
}

// expressions are the expressions of one request with the names and values
// that they share. Use: fill it in, checkParameters, then one method for each
// expression, then finish. The order of checks is DynamoDB's.
type expressions struct {
	names  awsapi.Map[string]
	values model.Item
	given  []parameter // all that the operation takes, set or not
	legacy []string    // names of the sent parameters that do not go with expressions

	params *expr.Params
}

// present is a list of the name, when the parameter was sent.
func present(name string, sent bool) []string {
	if sent {
		return []string{name}
	}
	return nil
}

// begin checks the parameters around expressions, then the values that the
// request holds.
func (c *call) begin(x *expressions) error {
	if err := x.checkParameters(); err != nil {
		return err
	}
	if err := c.faultIn("ExpressionAttributeValues"); err != nil {
		return err
	}
	return c.faultIn("")
}

// faultIn reports what was found wrong with a value while the request was
// read: that of the member, or, for an empty member, any.
func (c *call) faultIn(member string) error {
	f := c.fault
	switch {
	case f.Message == "" || member != "" && member != f.Member:
		return nil
	case f.Member == "ExpressionAttributeValues":
		return invalid("ExpressionAttributeValues contains invalid value: %s for key %s", f.Message, f.Key)
	default:
		return invalid("%s", f.Message)
	}
}

// checkParameters holds names, values and the parameters to each other.
func (x *expressions) checkParameters() error {
	var sent []string
	for _, p := range x.given {
		if p.text.Set {
			sent = append(sent, p.name)
		}
	}
	if len(sent) > 0 && len(x.legacy) > 0 {
		return invalid("Can not use both expression and non-expression parameters in the same request: "+
			"Non-expression parameters: {%s} Expression parameters: {%s}", strings.Join(x.legacy, ", "), strings.Join(sent, ", "))
	}
	if x.names != nil && len(sent) == 0 {
		return invalid("ExpressionAttributeNames can only be specified when using expressions")
	}
	if x.values != nil {
		if err := x.checkValuesUsable(); err != nil {
			return err
		}
	}
	if x.names == nil && x.values == nil {
		return nil
	}
	var names map[string]string
	if x.names != nil {
		names = make(map[string]string, len(x.names))
		for _, e := range x.names {
			names[e.Key] = e.Val
		}
	}
	params, err := expr.NewParams(names, x.values)
	x.params = params
	return err
}

// checkValuesUsable refuses values without an expression that could use them;
// a projection uses none.
func (x *expressions) checkValuesUsable() error {
	var takers []string
	for _, p := range x.given {
		if p.name == "ProjectionExpression" {
			continue
		}
		if p.text.Set {
			return nil
		}
		takers = append(takers, p.name)
	}
	verb := " is null"
	if len(takers) > 1 {
		verb = " and " + takers[len(takers)-1] + " are null"
		takers = takers[:len(takers)-1]
	}
	return invalid("ExpressionAttributeValues can only be specified when using expressions: %s%s", strings.Join(takers, ", "), verb)
}

// finish refuses names and values that no expression used.
func (x *expressions) finish() error { return x.params.CheckUnused() }

// translated is the translation's own expressions, ready to parse its text.
func translated(t *translation) (*expressions, error) {
	x := t.expressions()
	if len(x.names) == 0 {
		x.names = nil
	}
	if len(x.values) == 0 {
		x.values = nil
	}
	x.given = []parameter{{"", awsapi.Some(t.text.String())}}
	return x, x.checkParameters()
}

// writeCondition is the condition of a write: its expression or Expected.
func (x *expressions) writeCondition(text awsapi.Opt[string], legacy awsapi.Map[ExpectedAttributeValue], operator awsapi.Opt[string]) (*expr.Condition, error) {
	if text.Set {
		return expr.ParseCondition(text.V, x.params)
	}
	if operator.Set && legacy == nil {
		return nil, badParameter("ConditionalOperator cannot be used without Filter or Expected")
	}
	if len(legacy) == 0 {
		return nil, nil
	}
	if operator.Set && len(legacy) < 2 {
		return nil, badParameter("ConditionalOperator can only be used when Filter or Expected has two or more elements")
	}
	t, err := expected(legacy, operator)
	if err != nil {
		return nil, err
	}
	own, err := translated(t)
	if err != nil {
		return nil, err
	}
	return expr.ParseCondition(t.text.String(), own.params)
}

// filter is the filter of a query or scan: its expression or the legacy
// parameter of that name.
func (x *expressions) filter(text awsapi.Opt[string], legacy awsapi.Map[Condition], operator awsapi.Opt[string]) (*expr.Condition, error) {
	if text.Set {
		return expr.ParseFilter(text.V, x.params)
	}
	if operator.Set && legacy == nil {
		return nil, badParameter("ConditionalOperator cannot be used without Filter or Expected")
	}
	if len(legacy) == 0 {
		return nil, nil
	}
	if operator.Set && len(legacy) < 2 {
		return nil, badParameter("ConditionalOperator can only be used when Filter or Expected has two or more elements")
	}
	t, err := conditions(legacy, operator)
	if err != nil {
		return nil, err
	}
	own, err := translated(t)
	if err != nil {
		return nil, err
	}
	return expr.ParseFilter(t.text.String(), own.params)
}

// keyCondition is what a query asks for.
func (x *expressions) keyCondition(text awsapi.Opt[string], legacy awsapi.Map[Condition]) (*expr.KeyCondition, error) {
	if text.Set {
		return expr.ParseKeyCondition(text.V, x.params)
	}
	if legacy == nil {
		return nil, invalid("Either the KeyConditions or KeyConditionExpression parameter must be specified in the request.")
	}
	t, err := keyConditions(legacy)
	if err != nil {
		return nil, err
	}
	own, err := translated(t)
	if err != nil {
		return nil, err
	}
	return expr.ParseKeyCondition(t.text.String(), own.params)
}

// update is what an update does; nil when it only creates the item.
func (x *expressions) update(text awsapi.Opt[string], legacy awsapi.Map[AttributeValueUpdate]) (*expr.Update, error) {
	if text.Set {
		return expr.ParseUpdate(text.V, x.params)
	}
	if len(legacy) == 0 {
		return nil, nil
	}
	t, err := attributeUpdates(legacy)
	if err != nil {
		return nil, err
	}
	own, err := translated(t)
	if err != nil {
		return nil, err
	}
	return expr.ParseUpdate(t.text.String(), own.params)
}

// projection is which attributes to return; nil for all.
func (x *expressions) projection(text awsapi.Opt[string], legacy []string) (*expr.Projection, error) {
	if text.Set {
		return expr.ParseProjection(text.V, x.params)
	}
	if legacy == nil {
		return nil, nil
	}
	t, err := attributesToGet(legacy)
	if err != nil {
		return nil, err
	}
	own, err := translated(t)
	if err != nil {
		return nil, err
	}
	return expr.ParseProjection(t.text.String(), own.params)
}
