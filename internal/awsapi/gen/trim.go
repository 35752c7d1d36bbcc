package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"slices"
	"strings"
)

// keptMembers are what a trimmed model keeps of a shape and of a reference;
// above all not the documentation.
var (
	keptMetadata = set("apiVersion", "jsonVersion", "targetPrefix", "serviceFullName")
	keptShape    = set("type", "required", "members", "member", "key", "value", "enum", "min", "max", "pattern", "flattened", "box")
	keptRef      = set("shape", "flattened", "locationName")
)

type rawObject = ordered[json.RawMessage]

// trim writes to out the part of the full model at path that the operations
// reach, and the names of all operations.
func trim(path, out string, operations []string) error {
	b, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	var full struct {
		Metadata   rawObject            `json:"metadata"`
		Operations map[string]operation `json:"operations"`
		Shapes     map[string]rawObject `json:"shapes"`
	}
	if err := json.Unmarshal(b, &full); err != nil {
		return fmt.Errorf("cannot parse %s: %w", path, err)
	}
	t := trimmer{shapes: full.Shapes, kept: map[string]rawObject{}}
	var model struct {
		Metadata       rawObject            `json:"metadata"`
		OperationNames []string             `json:"operationNames"`
		Operations     ordered[operation]   `json:"operations"`
		Shapes         map[string]rawObject `json:"shapes"`
	}
	model.Metadata = keep(full.Metadata, keptMetadata)
	for name := range full.Operations {
		model.OperationNames = append(model.OperationNames, name)
	}
	slices.Sort(model.OperationNames)
	for _, name := range operations {
		op, ok := full.Operations[name]
		if !ok {
			return fmt.Errorf("the model has no operation %s", name)
		}
		for _, r := range []*ref{op.Input, op.Output} {
			if r != nil {
				if err := t.shape(r.Shape); err != nil {
					return err
				}
			}
		}
		model.Operations.set(name, op)
	}
	model.Shapes = t.kept
	text, err := json.Marshal(&model)
	if err != nil {
		return err
	}
	var indented bytes.Buffer
	if err := json.Indent(&indented, text, "", " "); err != nil {
		return err
	}
	indented.WriteByte('\n')
	return os.WriteFile(out, indented.Bytes(), 0o644)
}

// trimmer copies shapes.
type trimmer struct {
	shapes, kept map[string]rawObject
}

// shape keeps a shape and all that it reaches.
func (t *trimmer) shape(name string) error {
	if _, done := t.kept[name]; done {
		return nil
	}
	s := keep(t.shapes[name], keptShape)
	t.kept[name] = s
	for _, part := range s.names {
		var err error
		switch part {
		case "member", "key", "value":
			s.byKey[part], err = t.ref(s.byKey[part])
		case "members":
			var members rawObject
			if err = json.Unmarshal(s.byKey[part], &members); err == nil {
				for _, m := range members.names {
					if members.byKey[m], err = t.ref(members.byKey[m]); err != nil {
						return err
					}
				}
				s.byKey[part], err = json.Marshal(&members)
			}
		}
		if err != nil {
			return fmt.Errorf("shape %s: %w", name, err)
		}
	}
	return nil
}

// ref keeps a reference and the shape that it names.
func (t *trimmer) ref(raw json.RawMessage) (json.RawMessage, error) {
	var r rawObject
	if err := json.Unmarshal(raw, &r); err != nil {
		return nil, err
	}
	if err := t.shape(strings.Trim(string(r.byKey["shape"]), `"`)); err != nil {
		return nil, err
	}
	r = keep(r, keptRef)
	return json.Marshal(&r)
}

// keep is o without the members that are not wanted.
func keep(o rawObject, wanted map[string]bool) rawObject {
	var out rawObject
	for _, n := range o.names {
		if wanted[n] {
			out.set(n, o.byKey[n])
		}
	}
	return out
}
