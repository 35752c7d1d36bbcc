package pipe

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"sort"
	"strconv"
	"strings"
	"unicode/utf8"

	"weir.dev/weir/internal/model"
)

// Source says where a value comes from: a member of the message, or itself.
//
//	$            the whole body, parsed as JSON
//	$.a.b[0]     a member of the body
//	$body        the body as text
//	$id          the message's id, or the record's sequence number
//	$key         the record's partition key, or the message's group
//	$sent        when the message was sent, in milliseconds since the Unix epoch
//	"x", 1, true a JSON literal
type Source struct {
	text    string
	kind    sourceKind
	path    []step      // kindBody
	literal model.Value // kindLiteral
}

type sourceKind uint8

const (
	kindBody sourceKind = iota
	kindText
	kindID
	kindKey
	kindSent
	kindLiteral
)

// step is one element of a path: a member's name, or an index when name is "".
type step struct {
	name  string
	index int
}

// Limits of a mapping.
const (
	maxSourceBytes = 1024 // of one source's text
	maxSteps       = 32   // of one path
)

// ParseSource reads a source. Errors are ErrValidation.
func ParseSource(text string) (*Source, error) {
	s := &Source{text: text}
	switch {
	case len(text) > maxSourceBytes:
		return nil, model.Errorf(model.ErrValidation, "a source is longer than %d bytes", maxSourceBytes)
	case text == "$body":
		s.kind = kindText
	case text == "$id":
		s.kind = kindID
	case text == "$key":
		s.kind = kindKey
	case text == "$sent":
		s.kind = kindSent
	case strings.HasPrefix(text, "$"):
		steps, err := parseSteps(text)
		if err != nil {
			return nil, err
		}
		s.path = steps
	default:
		v, err := parseJSON([]byte(text))
		if err != nil {
			return nil, model.Errorf(model.ErrValidation, "%q is neither a path such as $.post nor JSON", text)
		}
		s.kind, s.literal = kindLiteral, v
	}
	return s, nil
}

func parseSteps(text string) ([]step, error) {
	bad := model.Errorf(model.ErrValidation, "the path %q is malformed; write $.name, $.a.b or $.list[0]", text)
	rest := text[1:]
	var steps []step
	for rest != "" {
		if len(steps) == maxSteps {
			return nil, model.Errorf(model.ErrValidation, "the path %q has more than %d steps", text, maxSteps)
		}
		switch rest[0] {
		case '.':
			end := strings.IndexAny(rest[1:], ".[")
			if end < 0 {
				end = len(rest) - 1
			}
			if end == 0 {
				return nil, bad
			}
			steps = append(steps, step{name: rest[1 : 1+end]})
			rest = rest[1+end:]
		case '[':
			digits, after, ok := strings.Cut(rest[1:], "]")
			n, err := strconv.ParseUint(digits, 10, 31)
			if !ok || err != nil {
				return nil, bad
			}
			steps = append(steps, step{index: int(n)})
			rest = after
		default:
			return nil, bad
		}
	}
	return steps, nil
}

// Message is what a source reads from.
type Message struct {
	ID     string
	Key    string // "" when it has none
	SentMs int64
	Body   string
	parsed *model.Value // of the body, once needed
}

// Value reads the source's value from a message. An error says why the
// message has none; it is the reason that a dead letter carries.
func (s *Source) Value(m *Message) (model.Value, error) {
	switch s.kind {
	case kindText:
		if !utf8.ValidString(m.Body) {
			return model.Value{}, errors.New("the data is not text")
		}
		return model.Value{Kind: model.KindS, Str: m.Body}, nil
	case kindKey:
		if m.Key == "" {
			return model.Value{}, errors.New("the message has no group")
		}
		return model.Value{Kind: model.KindS, Str: m.Key}, nil
	case kindID:
		return model.Value{Kind: model.KindS, Str: m.ID}, nil
	case kindSent:
		return model.Value{Kind: model.KindN, Str: strconv.FormatInt(m.SentMs, 10)}, nil
	case kindLiteral:
		return s.literal, nil
	}
	if m.parsed == nil {
		v, err := parseJSON([]byte(m.Body))
		if err != nil {
			return model.Value{}, fmt.Errorf("the body is not JSON: %w", err)
		}
		m.parsed = &v
	}
	v := *m.parsed
	for _, st := range s.path {
		ok := false
		switch {
		case st.name != "" && v.Kind == model.KindM:
			v, ok = v.Map.Get(st.name)
		case st.name == "" && v.Kind == model.KindL && st.index < len(v.List):
			v, ok = v.List[st.index], true
		}
		if !ok {
			return model.Value{}, fmt.Errorf("the body has no %s", s.text)
		}
	}
	return v, nil
}

// maxJSONDepth leaves room for what DynamoDB allows in an item.
const maxJSONDepth = model.MaxNesting

// parseJSON turns a JSON text into the value that DynamoDB's document clients
// make of it: texts, numbers, booleans, null, lists and maps.
func parseJSON(text []byte) (model.Value, error) {
	d := json.NewDecoder(bytes.NewReader(text))
	d.UseNumber()
	var raw any
	if err := d.Decode(&raw); err != nil {
		return model.Value{}, err
	}
	if d.More() {
		return model.Value{}, fmt.Errorf("more than one JSON value")
	}
	return jsonValue(raw, 0)
}

func jsonValue(raw any, depth int) (model.Value, error) {
	if depth > maxJSONDepth {
		return model.Value{}, fmt.Errorf("nested deeper than %d", maxJSONDepth)
	}
	switch raw := raw.(type) {
	case nil:
		return model.Value{Kind: model.KindNull}, nil
	case bool:
		return model.Value{Kind: model.KindBool, Bool: raw}, nil
	case string:
		return model.Value{Kind: model.KindS, Str: raw}, nil
	case json.Number:
		text, err := model.ParseNumber(raw.String())
		return model.Value{Kind: model.KindN, Str: text}, err
	case []any:
		v := model.Value{Kind: model.KindL}
		for _, e := range raw {
			ev, err := jsonValue(e, depth+1)
			if err != nil {
				return model.Value{}, err
			}
			v.List = append(v.List, ev)
		}
		return v, nil
	case map[string]any:
		v := model.Value{Kind: model.KindM}
		names := make([]string, 0, len(raw))
		for name := range raw {
			names = append(names, name)
		}
		sort.Strings(names)
		for _, name := range names {
			mv, err := jsonValue(raw[name], depth+1)
			if err != nil {
				return model.Value{}, err
			}
			v.Map = append(v.Map, model.Attr{Name: name, Value: mv})
		}
		return v, nil
	}
	return model.Value{}, fmt.Errorf("unexpected JSON value")
}
