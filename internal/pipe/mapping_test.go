package pipe

import (
	"encoding/json"
	"strings"
	"testing"

	"weir.dev/weir/internal/model"
)

const sampleBody = `{"post": "p1", "n": 3, "tags": ["a", {"deep": true}], "none": null, "a": {"b": {"c": 1.50}}, "": 1}`

// show is a value as JSON-like text.
func show(v model.Value) string {
	switch v.Kind {
	case model.KindS:
		return "S:" + v.Str
	case model.KindN:
		return "N:" + v.Str
	case model.KindBool:
		if v.Bool {
			return "true"
		}
		return "false"
	case model.KindNull:
		return "null"
	case model.KindL:
		var parts []string
		for _, e := range v.List {
			parts = append(parts, show(e))
		}
		return "[" + strings.Join(parts, " ") + "]"
	case model.KindM:
		var parts []string
		for _, a := range v.Map {
			parts = append(parts, a.Name+"="+show(a.Value))
		}
		return "{" + strings.Join(parts, " ") + "}"
	}
	return "?"
}

func TestSources(t *testing.T) {
	for text, want := range map[string]string{
		"$.post":          "S:p1",
		"$.n":             "N:3",
		"$.tags":          "[S:a {deep=true}]",
		"$.tags[0]":       "S:a",
		"$.tags[1].deep":  "true",
		"$.none":          "null",
		"$.a.b.c":         "N:1.5",
		"$.a":             "{b={c=N:1.5}}",
		"$body":           "S:" + sampleBody,
		"$id":             "S:the-id",
		"$sent":           "N:1700000000000",
		`"text"`:          "S:text",
		"12e2":            "N:1200",
		"-0.5":            "N:-0.5",
		"true":            "true",
		"null":            "null",
		`{"b": 1, "a":2}`: "{a=N:2 b=N:1}",
		"[1, \"x\"]":      "[N:1 S:x]",
	} {
		s, err := ParseSource(text)
		if err != nil {
			t.Errorf("%s: %v", text, err)
			continue
		}
		v, err := s.Value(&Message{ID: "the-id", SentMs: 1700000000000, Body: sampleBody})
		if err != nil || show(v) != want {
			t.Errorf("%s: %s, %v, want %s", text, show(v), err, want)
		}
	}
}

func TestSourcesThatAreMalformed(t *testing.T) {
	for _, text := range []string{
		"", "post", "$post", "$.", "$..a", "$.a.", "$.a[", "$.a[]", "$.a[x]", "$.a[-1]", "$.a[1", "$.a[99999999999]", "$ .a",
		"{", "1 2", "'x'", strings.Repeat("x", maxSourceBytes+1), "$" + strings.Repeat(".a", maxSteps+1),
	} {
		if s, err := ParseSource(text); kindOf(err) != model.ErrValidation {
			t.Errorf("%.40q: %+v, %v", text, s, err)
		}
	}
	if _, err := ParseSource("$" + strings.Repeat(".a", maxSteps)); err != nil {
		t.Errorf("a path of the greatest length: %v", err)
	}
}

// TestMissingValues: the error is the reason that a dead letter carries.
func TestMissingValues(t *testing.T) {
	for _, c := range []struct{ source, body, want string }{
		{"$.post", "no JSON", "the body is not JSON"},
		{"$.post", "", "the body is not JSON"},
		{"$", "1 2", "the body is not JSON"},
		{"$.post", "{}", "the body has no $.post"},
		{"$.post", "[]", "the body has no $.post"},
		{"$.a.b", `{"a": 1}`, "the body has no $.a.b"},
		{"$[1]", "[1]", "the body has no $[1]"},
		{"$[0]", `{"0": 1}`, "the body has no $[0]"},
		{"$", strings.Repeat("[", 50) + strings.Repeat("]", 50), "nested deeper than 32"},
		{"$", "1e999", "the body is not JSON"},
	} {
		s, err := ParseSource(c.source)
		if err != nil {
			t.Fatal(err)
		}
		if v, err := s.Value(&Message{Body: c.body}); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s of %.30s: %s, %v, want %q", c.source, c.body, show(v), err, c.want)
		}
	}
}

func FuzzSource(f *testing.F) {
	for _, text := range []string{"$", "$.a.b[0]", "$body", "$id", "$sent", `"x"`, "1", "[1,{}]", "$..", "$.[", "{\"a\":null}"} {
		f.Add(text, sampleBody)
	}
	f.Fuzz(func(t *testing.T, text, body string) {
		s, err := ParseSource(text)
		if err != nil {
			if kindOf(err) != model.ErrValidation {
				t.Fatalf("%q: %v", text, err)
			}
			return
		}
		v, err := s.Value(&Message{Body: body})
		if err == nil && v.Depth() > 2*maxJSONDepth {
			t.Fatalf("%q of %q is %d deep", text, body, v.Depth())
		}
	})
}

func compile(t *testing.T, s *Settings) (*mapping, error) {
	t.Helper()
	stored, err := json.Marshal(mappingText{Key: s.Key, Update: s.Update, Names: s.Names, Values: s.Values})
	if err != nil {
		t.Fatal(err)
	}
	return compileMapping(stored)
}

func TestMappingMakesAnUpdate(t *testing.T) {
	m, err := compile(t, &Settings{
		Key: map[string]string{"id": "$.post", "at": "$sent"}, Update: "ADD #s :n SET seen = :yes",
		Names: map[string]string{"#s": "score"}, Values: map[string]string{":n": "$.n", ":yes": "true"},
	})
	if err != nil {
		t.Fatal(err)
	}
	if err := m.check(model.KindTable); err != nil {
		t.Fatal(err)
	}
	key, update, err := m.update(&Message{SentMs: 5, Body: sampleBody})
	if err != nil || update == nil {
		t.Fatal(err)
	}
	if got := show(model.Value{Kind: model.KindM, Map: key}); got != "{at=N:5 id=S:p1}" {
		t.Errorf("key %s", got)
	}
	// The same message makes the same bytes each time: claims are driven again.
	_, again, err := m.update(&Message{SentMs: 5, Body: sampleBody})
	if err != nil || string(again.Append(nil)) != string(update.Append(nil)) {
		t.Errorf("the same message makes another update, %v", err)
	}
}

func TestMappingsThatAreRefused(t *testing.T) {
	for name, change := range map[string]func(*Settings){
		"no update":           func(s *Settings) { s.Update = "" },
		"bad update":          func(s *Settings) { s.Update = "ADD" },
		"unknown value":       func(s *Settings) { s.Values = nil },
		"unused value":        func(s *Settings) { s.Values[":unused"] = "1" },
		"unused name":         func(s *Settings) { s.Names = map[string]string{"#unused": "x"} },
		"value without :":     func(s *Settings) { s.Values = map[string]string{"n": "$.n"} },
		"bad source of key":   func(s *Settings) { s.Key["id"] = "$." },
		"bad source of value": func(s *Settings) { s.Values[":n"] = "nonsense" },
	} {
		s := likes()
		change(s)
		m, err := compile(t, s)
		if err == nil {
			err = m.check(model.KindTable)
		}
		if err == nil {
			t.Errorf("%s: accepted", name)
		}
	}
	if _, err := compileMapping([]byte("{")); kindOf(err) != model.ErrValidation {
		t.Errorf("a mapping that is no JSON: %v", err)
	}
}

func TestShorten(t *testing.T) {
	for _, c := range []struct {
		text string
		n    int
		want string
	}{{"abc", 3, "abc"}, {"abcd", 3, "abc"}, {"aé", 2, "a"}, {"é", 1, ""}, {"", 0, ""}, {"日本", 5, "日"}} {
		if got := shorten(c.text, c.n); got != c.want {
			t.Errorf("shorten(%q, %d) = %q, want %q", c.text, c.n, got, c.want)
		}
	}
}

func TestPlanLeavesOutWhatDoesNotMatter(t *testing.T) {
	a := model.PipeSpec{Source: 1, Target: 2, TargetKind: model.KindTable, Mapping: []byte("m"), Bounds: []model.Slot{0, 9}}
	b := a
	b.RateMilli, b.Paused, b.Text, b.ModifiedMs = 5, true, "text", 9
	if string(plan(&a)) != string(plan(&b)) {
		t.Error("a change of rate changes the plan")
	}
	b.Mapping = []byte("other")
	if string(plan(&a)) == string(plan(&b)) {
		t.Error("another mapping has the same plan")
	}
}
