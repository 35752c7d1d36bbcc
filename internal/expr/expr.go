// Package expr reads and runs DynamoDB's expression languages: conditions and
// filters, key conditions, updates and projections.
//
// A Parse function turns text into a compiled form in which names and values
// are already put in place of #names and :values. Condition, Update and
// Projection have a stored form (docs/format/expr.md), because they travel in
// commands and are run where the command is applied, on every replica.
//
// The package is pure and deterministic: no clock, no I/O, no goroutine; the
// same input gives the same result and the same error everywhere. Compiled
// forms do not change once built and may be used by several goroutines; a
// Params is for one goroutine. Faults of an expression are *model.Error with
// ErrValidation in AWS's words. Limits are DynamoDB's: see the constants here.
//
// Start with ParseCondition and Condition.Eval.
package expr

import "weir.dev/weir/internal/model"

// Limits of one expression. Source: Amazon DynamoDB Developer Guide,
// "Service, account, and table quotas", and the answers of the service.
const (
	// maxTextBytes is the longest expression, in bytes of its text.
	maxTextBytes = 4096

	// maxOperators is how many operators and functions one expression has.
	maxOperators = 300

	// maxInOperands is how many values follow IN.
	maxInOperands = 100

	// maxPathSteps is how deep a document path reaches.
	maxPathSteps = model.MaxNesting

	// maxIndex is the highest list index.
	maxIndex = 1<<31 - 1

	// maxTextNesting bounds how deep parentheses, NOT and functions nest in a
	// text, so that parsing needs a bounded stack. With maxOperators it is
	// reached only by expressions that DynamoDB refuses too.
	maxTextNesting = 300

	// maxNodeDepth bounds the depth of a compiled form; one level of text
	// makes at most three levels of nodes.
	maxNodeDepth = 3*maxTextNesting + 3
)

// The names of the request parameters that hold expressions, as they begin the
// messages of errors.
const (
	conditionParam    = "ConditionExpression"
	filterParam       = "FilterExpression"
	keyConditionParam = "KeyConditionExpression"
	updateParam       = "UpdateExpression"
	projectionParam   = "ProjectionExpression"
)

// invalidf is a fault of the expression in the parameter.
func invalidf(param, format string, args ...any) error {
	return model.Errorf(model.ErrValidation, "Invalid "+param+": "+format, args...)
}

// validationf is a fault that AWS words without naming an expression.
func validationf(format string, args ...any) error {
	return model.Errorf(model.ErrValidation, format, args...)
}
