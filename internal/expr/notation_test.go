package expr

import (
	"bytes"
	"encoding/json"
	"fmt"
	"sort"
	"strings"
	"testing"

	"weir.dev/weir/internal/model"
)

// The scripts write values as JSON: strings, numbers, booleans, null, arrays
// and objects are S, N, BOOL, NULL, L and M; {"$B": "text"} is B, and
// {"$SS": [...]}, {"$NS": [...]} and {"$BS": [...]} are sets.

func parseValue(t testing.TB, text string) model.Value {
	t.Helper()
	dec := json.NewDecoder(strings.NewReader(text))
	dec.UseNumber()
	var v any
	if err := dec.Decode(&v); err != nil {
		t.Fatalf("%s: %v", text, err)
	}
	return toValue(t, v)
}

func toValue(t testing.TB, v any) model.Value {
	t.Helper()
	switch v := v.(type) {
	case string:
		return model.StringValue(v)
	case json.Number:
		n, err := model.NumberValue(v.String())
		if err != nil {
			t.Fatal(err)
		}
		return n
	case bool:
		return model.BoolValue(v)
	case nil:
		return model.NullValue()
	case []any:
		return model.ListValue(toValues(t, v)...)
	case map[string]any:
		return toMapOrSet(t, v)
	default:
		t.Fatalf("no value: %v", v)
		return model.Value{}
	}
}

func toValues(t testing.TB, list []any) (out []model.Value) {
	for _, v := range list {
		out = append(out, toValue(t, v))
	}
	return out
}

func toMapOrSet(t testing.TB, m map[string]any) model.Value {
	t.Helper()
	if b, ok := m["$B"]; ok {
		return model.BytesValue([]byte(b.(string)))
	}
	for _, kind := range []model.Kind{model.KindSS, model.KindNS, model.KindBS} {
		if members, ok := m["$"+kind.String()]; ok {
			vs := toValues(t, members.([]any))
			for i := range vs {
				vs[i].Kind = kind.Member()
			}
			set, dup := model.NewSet(kind, vs)
			if dup {
				t.Fatalf("duplicates in %v", m)
			}
			return set
		}
	}
	var attrs []model.Attr
	for name, v := range m {
		attrs = append(attrs, model.Attr{Name: name, Value: toValue(t, v)})
	}
	item, _ := model.NewItem(attrs)
	return model.MapValue(item)
}

// format writes a value as the scripts do.
func format(v model.Value) string {
	var b bytes.Buffer
	writeValue(&b, v)
	return b.String()
}

func writeValue(b *bytes.Buffer, v model.Value) {
	quote := func(s string) string {
		q, _ := json.Marshal(s)
		return string(q)
	}
	list := func(vs []model.Value) {
		b.WriteByte('[')
		for i, e := range vs {
			if i > 0 {
				b.WriteByte(',')
			}
			if v.Kind == model.KindBS {
				b.WriteString(quote(e.Str))
			} else {
				writeValue(b, e)
			}
		}
		b.WriteByte(']')
	}
	switch {
	case v.Kind == model.KindS:
		b.WriteString(quote(v.Str))
	case v.Kind == model.KindN:
		b.WriteString(v.Str)
	case v.Kind == model.KindB:
		fmt.Fprintf(b, `{"$B":%s}`, quote(v.Str))
	case v.Kind == model.KindBool:
		fmt.Fprint(b, v.Bool)
	case v.Kind == model.KindNull:
		b.WriteString("null")
	case v.Kind == model.KindL:
		list(v.List)
	case v.Kind.IsSet():
		fmt.Fprintf(b, `{"$%s":`, v.Kind)
		list(v.List)
		b.WriteByte('}')
	default:
		b.WriteByte('{')
		for i, a := range v.Map {
			if i > 0 {
				b.WriteByte(',')
			}
			b.WriteString(quote(a.Name) + ":")
			writeValue(b, a.Value)
		}
		b.WriteByte('}')
	}
}

func formatItem(it model.Item) string { return format(model.MapValue(it)) }

// definitions are what a script's define command sets for those after it.
type definitions struct {
	names  map[string]string
	values model.Item
	items  []model.Item
}

// define reads lines "#name attribute", ":value json" and "item json".
func define(t testing.TB, input string) *definitions {
	t.Helper()
	d := &definitions{}
	for _, line := range strings.Split(strings.TrimSpace(input), "\n") {
		word, rest, _ := strings.Cut(line, " ")
		switch {
		case word == "":
		case word == "item":
			d.items = append(d.items, parseValue(t, rest).Map)
		case word[0] == '#':
			if d.names == nil {
				d.names = map[string]string{}
			}
			d.names[word] = rest
		case word[0] == ':':
			d.values = append(d.values, model.Attr{Name: word, Value: parseValue(t, rest)})
		default:
			t.Fatalf("define: %s", line)
		}
	}
	sort.Slice(d.values, func(i, j int) bool { return d.values[i].Name < d.values[j].Name })
	return d
}

func (d *definitions) params(t testing.TB) *Params {
	t.Helper()
	p, err := NewParams(d.names, d.values)
	if err != nil {
		t.Fatal(err)
	}
	return p
}
