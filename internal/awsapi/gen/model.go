package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"slices"
	"strings"
)

// apiModel is a trimmed service model.
type apiModel struct {
	Metadata       struct{ TargetPrefix string } `json:"metadata"`
	OperationNames []string                      `json:"operationNames"` // all, also those not served
	Operations     ordered[*operation]           `json:"operations"`
	Shapes         map[string]*modelShape        `json:"shapes"`
}

type operation struct {
	Input  *ref `json:"input,omitempty"`
	Output *ref `json:"output,omitempty"`
}

type ref struct {
	Shape string `json:"shape"`
}

type modelShape struct {
	Type     string        `json:"type"`
	Required []string      `json:"required"`
	Members  ordered[*ref] `json:"members"`
	Member   *ref          `json:"member"`
	Key      *ref          `json:"key"`
	Value    *ref          `json:"value"`
	Enum     []string      `json:"enum"`
	Min      *int64        `json:"min"`
	Max      *int64        `json:"max"`
	Pattern  string        `json:"pattern"`
}

// ordered is a JSON object whose order matters: constraints are checked in
// the order of a structure's members.
type ordered[T any] struct {
	names []string
	byKey map[string]T
}

func (o *ordered[T]) UnmarshalJSON(b []byte) error {
	o.byKey = map[string]T{}
	dec := json.NewDecoder(bytes.NewReader(b))
	if _, err := dec.Token(); err != nil {
		return err
	}
	for dec.More() {
		name, err := dec.Token()
		if err != nil {
			return err
		}
		var v T
		if err := dec.Decode(&v); err != nil {
			return err
		}
		o.set(name.(string), v)
	}
	return nil
}

// MarshalJSON keeps the order.
func (o ordered[T]) MarshalJSON() ([]byte, error) {
	var b bytes.Buffer
	b.WriteByte('{')
	for i, n := range o.names {
		if i > 0 {
			b.WriteByte(',')
		}
		v, err := json.Marshal(o.byKey[n])
		if err != nil {
			return nil, err
		}
		fmt.Fprintf(&b, "%q:%s", n, v)
	}
	b.WriteByte('}')
	return b.Bytes(), nil
}

func (o *ordered[T]) set(name string, v T) {
	if o.byKey == nil {
		o.byKey = map[string]T{}
	}
	if _, ok := o.byKey[name]; !ok {
		o.names = append(o.names, name)
	}
	o.byKey[name] = v
}

func readModel(path string) (*apiModel, error) {
	b, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	var m apiModel
	if err := json.Unmarshal(b, &m); err != nil {
		return nil, fmt.Errorf("cannot parse %s: %w", path, err)
	}
	return &m, nil
}

// reorder lists the values of sets as AWS does in its errors. An order must have
// exactly the model's values.
func (m *apiModel) reorder(enums map[string][]string) error {
	for name, order := range enums {
		s, ok := m.Shapes[name]
		if !ok || !slices.Equal(slices.Sorted(slices.Values(s.Enum)), slices.Sorted(slices.Values(order))) {
			return fmt.Errorf("the values of %s are not those of its order: %q", name, order)
		}
		s.Enum = order
	}
	return nil
}

func lowerFirst(s string) string { return strings.ToLower(s[:1]) + s[1:] }
func upperFirst(s string) string { return strings.ToUpper(s[:1]) + s[1:] }
