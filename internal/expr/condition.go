package expr

import (
	"fmt"

	"weir.dev/weir/internal/model"
)

// Condition is a compiled ConditionExpression or FilterExpression.
type Condition struct {
	root node
}

// ParseCondition compiles a ConditionExpression. Errors are ErrValidation.
func ParseCondition(text string, params *Params) (*Condition, error) {
	return newCondition(conditionParam, text, params)
}

// ParseFilter compiles a FilterExpression: a condition in every other respect.
func ParseFilter(text string, params *Params) (*Condition, error) {
	return newCondition(filterParam, text, params)
}

func newCondition(param, text string, params *Params) (*Condition, error) {
	root, err := parseCondition(param, text, params)
	if err != nil {
		return nil, err
	}
	return &Condition{root: root}, nil
}

// CheckKeys refuses a condition that looks inside one of the key attributes,
// which are scalars. The error is ErrValidation.
func (c *Condition) CheckKeys(keys ...string) error {
	return c.root.eachPath(func(p Path) error { return checkScalar(p, keys) })
}

// CheckQueryFilter refuses a Query's filter that uses one of the key
// attributes; the key condition is for those. The error is ErrValidation.
func (c *Condition) CheckQueryFilter(keys ...string) error {
	return c.root.eachPath(func(p Path) error {
		for _, k := range keys {
			if k != "" && p[0].Name == k {
				return validationf("Filter Expression can only contain non-primary key attributes: Primary key attribute: %s", k)
			}
		}
		return nil
	})
}

// checkScalar refuses a path into one of the key attributes.
func checkScalar(p Path, keys []string) error {
	for _, k := range keys {
		if k != "" && len(p) > 1 && p[0].Name == k {
			return validationf("Key attributes must be scalars; list random access '[]' and map lookup '.' are not allowed: Key: %s", k)
		}
	}
	return nil
}

// boundText is how AWS shows a bound of BETWEEN.
func boundText(v *model.Value) string {
	switch v.Kind {
	case model.KindB:
		return fmt.Sprintf("B:java.nio.HeapByteBuffer[pos=0 lim=%d cap=%d]", len(v.Str), len(v.Str))
	default:
		return v.Kind.String() + ":" + v.Str
	}
}
