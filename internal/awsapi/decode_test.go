package awsapi

import (
	"bytes"
	"encoding/json"
	"strings"
	"testing"
)

// tree reads any value and writes it again, for comparison.
func tree(d *Decoder, dst []byte) []byte {
	switch c := d.peek(); c {
	case '{':
		dst = append(dst, '{')
		for ok := d.open(); ok; ok = d.NextMember() {
			if dst[len(dst)-1] != '{' {
				dst = append(dst, ',')
			}
			dst = append(AppendJSONString(dst, d.Name), ':')
			dst = tree(d, dst)
		}
		return append(dst, '}')
	case '[':
		dst = append(dst, '[')
		for ok := d.openList(); ok; ok = d.NextElement() {
			if dst[len(dst)-1] != '[' {
				dst = append(dst, ',')
			}
			dst = tree(d, dst)
		}
		return append(dst, ']')
	case '"':
		return AppendJSONString(dst, d.text())
	case '-', '0', '1', '2', '3', '4', '5', '6', '7', '8', '9':
		text, _ := d.number()
		return append(dst, text...)
	default:
		start := d.i
		d.Skip()
		if d.err != nil {
			return dst
		}
		return append(dst, d.s[start:d.i]...)
	}
}

func FuzzDecoder(f *testing.F) {
	for _, s := range []string{
		`{}`, `[]`, `null`, ` {"a" : [1, -0.5e+3, "x\u00e9\ud83d\ude00\n", true, false, null, {}], "b":""} `,
		`{"a":1,}`, `[1 2]`, `"\ud800"`, "\"\xff\"", `01`, `1.`, `-`, `"\x"`, `{"a"}`, `nul`, `{"a":1}x`, "\"\x01\"",
		strings.Repeat("[", maxDepth) + strings.Repeat("]", maxDepth), strings.Repeat("[", maxDepth+1), `{"a":1,"a":2}`,
	} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		d := NewDecoder(s)
		got := tree(d, nil)
		err := d.Done()
		if err == nil && !json.Valid([]byte(s)) {
			t.Fatalf("took %q, which is not JSON", s)
		}
		skip := NewDecoder(s)
		skip.Skip()
		if skipErr := skip.Done(); (skipErr == nil) != (err == nil) {
			t.Fatalf("reading says %v, skipping says %v", err, skipErr)
		}
		if err != nil {
			// Stricter than encoding/json in three ways only.
			lenient := strings.Contains(s, `\u`) || strings.ToValidUTF8(s, "") != s || strings.Count(s, "[")+strings.Count(s, "{") > maxDepth
			if json.Valid([]byte(s)) && !lenient {
				t.Fatalf("refused %q: %v", s, err)
			}
			return
		}
		if !json.Valid(got) {
			t.Fatalf("wrote %q for %q", got, s)
		}
		if want, have := normal(t, s), normal(t, string(got)); !bytes.Equal(want, have) {
			t.Fatalf("read %s, want %s", have, want)
		}
	})
}

// normal is the JSON as encoding/json reads and writes it.
func normal(t *testing.T, s string) []byte {
	t.Helper()
	dec := json.NewDecoder(strings.NewReader(s))
	dec.UseNumber()
	var v any
	if err := dec.Decode(&v); err != nil {
		t.Fatal(err)
	}
	b, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// TestTypeErrors holds the decoder to AWS's words.
func TestTypeErrors(t *testing.T) {
	read := map[string]func(d *Decoder){
		"String":  func(d *Decoder) { d.String() },
		"Integer": func(d *Decoder) { d.Integer() },
		"Long":    func(d *Decoder) { d.Long() },
		"Double":  func(d *Decoder) { d.Double() },
		"Boolean": func(d *Decoder) { d.Bool() },
		"Blob":    func(d *Decoder) { d.Blob() },
		"List":    func(d *Decoder) { d.Strings() },
		"Field":   func(d *Decoder) { d.Object("class x.Y", false) },
		"Element": func(d *Decoder) { d.Object("class x.Y", true) },
	}
	for _, c := range []struct{ typ, json, want string }{
		{"String", `true`, "TRUE_VALUE cannot be converted to String"},
		{"String", `false`, "FALSE_VALUE cannot be converted to String"},
		{"String", `23`, "NUMBER_VALUE cannot be converted to String"},
		{"String", `34.56`, "DECIMAL_VALUE cannot be converted to String"},
		{"String", `[]`, "Unrecognized collection type class java.lang.String"},
		{"String", `{}`, "Start of structure or map found where not expected"},
		{"String", `null`, ""},
		{"Integer", `"23"`, "STRING_VALUE cannot be converted to Integer"},
		{"Integer", `true`, "TRUE_VALUE cannot be converted to Integer"},
		{"Integer", `[]`, "Unrecognized collection type class java.lang.Integer"},
		{"Integer", `2147483648`, "Numeric value out of range of integer"},
		{"Integer", `1e99`, "Numeric value out of range of integer"},
		{"Integer", `34.56`, ""},
		{"Long", `"23"`, "STRING_VALUE cannot be converted to Long"},
		{"Long", `9223372036854775807`, ""},
		{"Long", `9223372036854775808`, "Numeric value out of range of long"},
		{"Double", `"1"`, "STRING_VALUE cannot be converted to Double"},
		{"Double", `1e999`, "Numeric value out of range of double"},
		{"Boolean", `"23"`, "Unexpected token received from parser"},
		{"Boolean", `23`, "NUMBER_VALUE cannot be converted to Boolean"},
		{"Boolean", `[]`, "Unrecognized collection type class java.lang.Boolean"},
		{"Blob", `23`, "only base-64-encoded strings are convertible to bytes"},
		{"Blob", `[]`, "Unrecognized collection type class java.nio.ByteBuffer"},
		{"Blob", `"23456"`, "Base64 encoded length is expected a multiple of 4 bytes but found: 5"},
		{"Blob", `"=+/="`, "Invalid last non-pad Base64 character dectected"},
		{"Blob", `"+/+="`, "Invalid last non-pad Base64 character dectected"},
		{"List", `"23"`, "Unexpected field type"},
		{"List", `{}`, "Start of structure or map found where not expected"},
		{"Field", `23`, "Unexpected field type"},
		{"Field", `[]`, "Unrecognized collection type class x.Y"},
		{"Element", `"23"`, "Unexpected value type in payload"},
	} {
		d := NewDecoder(c.json)
		read[c.typ](d)
		got := ""
		if err := d.Err(); err != nil {
			got = err.Message
			if err.Code != "SerializationException" {
				t.Errorf("%s of %s: code %s", c.typ, c.json, err.Code)
			}
		}
		if got != c.want {
			t.Errorf("%s of %s: %q, want %q", c.typ, c.json, got, c.want)
		}
	}
}

func TestPlainStringsShareMemory(t *testing.T) {
	d := NewDecoder(`{"name":"value"}`)
	allocs := testing.AllocsPerRun(100, func() {
		d.i, d.depth = 0, 0
		for ok := d.Object("class x.Y", true); ok; ok = d.NextMember() {
			if d.Name != "name" || d.Text() != "value" {
				t.Fatal("read something else")
			}
		}
	})
	if allocs != 0 {
		t.Errorf("reading allocated %v times", allocs)
	}
}

func TestCheckWords(t *testing.T) {
	var c Check
	c.Null("tableName")
	c.Length("indexName", "ab", 3, 255)
	c.Pattern("indexName", "a$", NewPattern("[a-z]+"))
	c.Enum("select", "x", []string{"A", "B"})
	c.Min("limit", 0, 1)
	c.Enter("keySchema")
	c.EnterIndex(1)
	c.Max("n", 7, 5)
	c.Leave()
	c.Leave()
	c.ListLength("keys", 0, 1, 100)
	c.TableName("tableName", "a;")
	want := "9 validation errors detected: " +
		"Value null at 'tableName' failed to satisfy constraint: Member must not be null; " +
		"Value 'ab' at 'indexName' failed to satisfy constraint: Member must have length greater than or equal to 3; " +
		"Value 'a$' at 'indexName' failed to satisfy constraint: Member must satisfy regular expression pattern: [a-z]+; " +
		"Value 'x' at 'select' failed to satisfy constraint: Member must satisfy enum value set: [A, B]; " +
		"Value '0' at 'limit' failed to satisfy constraint: Member must have value greater than or equal to 1; " +
		"Value '7' at 'keySchema.2.member.n' failed to satisfy constraint: Member must have value less than or equal to 5; " +
		"Value '[]' at 'keys' failed to satisfy constraint: Member must have length greater than or equal to 1; " +
		"Value 'a;' at 'tableName' failed to satisfy constraint: Member must satisfy regular expression pattern: [a-zA-Z0-9_.-]+; " +
		"Value 'a;' at 'tableName' failed to satisfy constraint: Member must have length greater than or equal to 3"
	if got := c.Error().Message; got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
	if c.Missing() != "tableName" {
		t.Errorf("missing %q", c.Missing())
	}
}

func TestErrorResponses(t *testing.T) {
	for _, c := range []struct {
		p     Protocol
		style Style
		e     *Error
		want  string
	}{
		{JSON10, StyleDynamoDB, Validation("m"), `{"__type":"com.amazon.coral.validate#ValidationException","message":"m"}`},
		{JSON10, StyleDynamoDB, Serialization("m"), `{"__type":"com.amazon.coral.service#SerializationException","Message":"m"}`},
		{JSON10, StyleDynamoDB, ErrUnknownOperation, `{"__type":"com.amazon.coral.service#UnknownOperationException"}`},
		{JSON10, StyleDynamoDB, &Error{Code: "X", Message: "m", Extra: []byte(`"Item":{}`)},
			`{"__type":"com.amazonaws.dynamodb.v20120810#X","Item":{},"message":"m"}`},
		{JSON11, StyleKinesis, &Error{Code: "X", Message: `"`}, `{"__type":"X","message":"\""}`},
		{Query, StyleSQS, &Error{Code: "X", QueryCode: "Y", Message: "<", Sender: true},
			`<?xml version="1.0"?><ErrorResponse xmlns="http://queue.amazonaws.com/doc/2012-11-05/"><Error><Type>Sender</Type>` +
				`<Code>Y</Code><Message>&lt;</Message><Detail/></Error><RequestId>id</RequestId></ErrorResponse>`},
	} {
		r := ErrorResponse(c.p, c.style, "id", c.e)
		if got := string(r.Body); got != c.want {
			t.Errorf("got  %s\nwant %s", got, c.want)
		}
		r.Release()
	}
}

func TestForm(t *testing.T) {
	f := NewForm([]Pair{{"b", "1"}, {"a.10.x", "ten"}, {"a.2.x", "two"}, {"a.1", "one"}, {"b", "2"}, {"ab", "no"}, {"a.01", "no"}})
	if v, _ := f.Get("b"); v != "2" {
		t.Errorf("b is %q", v)
	}
	r := FormReader{form: f}
	var names []string
	for name := range r.Elements("a") {
		names = append(names, name)
	}
	if got := strings.Join(names, " "); got != "a.1 a.2 a.10" {
		t.Errorf("elements %s", got)
	}
	if !f.HasPrefix("a") || f.HasPrefix("c") || !f.HasPrefix("b") {
		t.Error("HasPrefix is wrong")
	}
}
