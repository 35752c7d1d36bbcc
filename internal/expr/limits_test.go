package expr

import (
	"strings"
	"testing"

	"weir.dev/weir/internal/model"
)

func oneValue(t testing.TB) *Params {
	t.Helper()
	p, err := NewParams(nil, model.Item{{Name: ":v", Value: model.StringValue("x")}})
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func TestLimits(t *testing.T) {
	many := func(n int, part, between string) string {
		return strings.TrimSuffix(strings.Repeat(part+between, n), between)
	}
	for name, c := range map[string]struct{ text, want string }{
		"empty":                  {"", "Invalid ConditionExpression: The expression can not be empty;"},
		"4096 bytes":             {"a = :v" + strings.Repeat(" ", 4090), ""},
		"4097 bytes":             {"a = :v" + strings.Repeat(" ", 4091), "Invalid ConditionExpression: Expression size has exceeded the maximum allowed size; expression size: 4097"},
		"299 operators":          {many(150, "a=:v", " or "), ""},
		"300 operators":          {"not " + many(150, "a=:v", " or "), ""},
		"301 operators":          {many(151, "a=:v", " or "), "Invalid ConditionExpression: The expression contains too many operators; operator count: 301"},
		"100 IN operands":        {"a in (" + many(100, ":v", ",") + ")", ""},
		"101 IN operands":        {"a in (" + many(101, ":v", ",") + ")", "Invalid ConditionExpression: The IN operator is provided with too many operands; number of operands: 101"},
		"deep NOT":               {strings.Repeat("not ", 299) + "a=:v", ""},
		"deeper NOT":             {strings.Repeat("not ", 301) + "a=:v", "Invalid ConditionExpression: The expression has too many nesting levels; nesting levels: 301"},
		"parentheses":            {strings.Repeat("(", 4000), "Invalid ConditionExpression: The expression has too many nesting levels; nesting levels: 301"},
		"deep parentheses":       {strings.Repeat("(not ", 149) + "a=:v" + strings.Repeat(")", 149), ""},
		"deep OR and AND":        {strings.Repeat("(a=:v or b=:v and ", 70) + "a=:v" + strings.Repeat(")", 70), ""},
		"functions in functions": {strings.Repeat("f(", 2000), "Invalid ConditionExpression: The expression has too many nesting levels; nesting levels: 301"},
	} {
		cond, err := ParseCondition(c.text, oneValue(t))
		got := ""
		if err != nil {
			got = err.Error()
		}
		if got != c.want {
			t.Errorf("%s: got %q, want %q", name, got, c.want)
		}
		if err == nil {
			again(t, cond, DecodeCondition).Eval(model.Item{})
		}
	}
}

func TestUpdateLimits(t *testing.T) {
	nested := "SET a=" + strings.Repeat("if_not_exists(b,", 200) + ":v" + strings.Repeat(")", 200)
	u, err := ParseUpdate(nested, oneValue(t))
	if err != nil {
		t.Fatal(err)
	}
	if got, err := again(t, u, DecodeUpdate).Apply(nil); err != nil || len(got) != 1 {
		t.Fatal(got, err)
	}
	if _, err := ParseUpdate("SET a="+strings.Repeat("(", 3000), oneValue(t)); err == nil || !strings.Contains(err.Error(), "nesting levels: 301") {
		t.Error(err)
	}
	if _, err := ParseUpdate("REMOVE a"+strings.Repeat(",a", 2000), nil); err == nil || !strings.Contains(err.Error(), "overlap") {
		t.Error(err)
	}
}

func TestDecodeBoundsDepth(t *testing.T) {
	enc := append([]byte{conditionVersion}, strings.Repeat(string(rune(opNot)), 1<<20)...)
	d := model.NewDecoder(enc)
	if DecodeCondition(d); d.Err() == nil {
		t.Error("a million levels decode")
	}
}

func TestParams(t *testing.T) {
	value := func(key string) model.Item { return model.Item{{Name: key, Value: model.NullValue()}} }
	for want, c := range map[string]struct {
		names  map[string]string
		values model.Item
	}{
		"": {names: map[string]string{"#a": "x", "#_1": "x"}, values: value(":9_z")},
		"ExpressionAttributeNames must not be empty":                                                                                    {names: map[string]string{}},
		"ExpressionAttributeValues must not be empty":                                                                                   {values: model.Item{}},
		`ExpressionAttributeNames contains invalid key: Syntax error; key: "a"`:                                                         {names: map[string]string{"a": "x"}},
		`ExpressionAttributeNames contains invalid key: Syntax error; key: "#"`:                                                         {names: map[string]string{"#": "x", "#ok": "y"}},
		`ExpressionAttributeNames contains invalid key: Syntax error; key: "#a-b"`:                                                      {names: map[string]string{"#a-b": "x"}},
		"ExpressionAttributeNames contains invalid value: Empty attribute name for key #a":                                              {names: map[string]string{"#a": ""}},
		`ExpressionAttributeValues contains invalid key: Syntax error; key: "v"`:                                                        {values: value("v")},
		`ExpressionAttributeValues contains invalid key: Syntax error; key: ":a.b"`:                                                     {values: value(":a.b")},
		"ExpressionAttributeNames contains invalid key: The expression attribute map contains a key that is too long; size of key: 256": {names: map[string]string{"#" + strings.Repeat("a", 255): "x"}},
		"ExpressionAttributeValues contains invalid key: The expression attribute map contains a key that is too long;":                 {values: value(":" + strings.Repeat("a", 255))},
	} {
		_, err := NewParams(c.names, c.values)
		got := ""
		if err != nil {
			got = err.Error()
		}
		if got != want {
			t.Errorf("got %q, want %q", got, want)
		}
	}
	var none *Params
	if none.CheckUnused() != nil {
		t.Error("no parameters are unused")
	}
	if _, err := ParseCondition("a = :v", none); err == nil {
		t.Error("a value out of nowhere")
	}
}

func TestReservedWords(t *testing.T) {
	if len(reserved) != 573 {
		t.Errorf("%d reserved words, want 573", len(reserved))
	}
	for w := range reserved {
		if !isReserved(w) || !isReserved(strings.ToLower(w)) {
			t.Errorf("%s is not found", w)
		}
	}
	for _, w := range []string{"score", "id", "a", strings.Repeat("a", 300)} {
		if isReserved(w) {
			t.Errorf("%s is not reserved", w)
		}
	}
}

func TestSortConditionHolds(t *testing.T) {
	v := func(s string) model.Value { return model.StringValue(s) }
	for _, c := range []struct {
		op        SortOp
		no, yes   string
		low, high string
	}{
		{SortEqual, "b", "c", "c", ""}, {SortLess, "c", "b", "c", ""}, {SortLessOrEqual, "d", "c", "c", ""}, {SortGreater, "c", "d", "c", ""},
		{SortGreaterOrEqual, "b", "c", "c", ""}, {SortBetween, "d", "c", "b", "c"}, {SortBetween, "a", "b", "b", "c"}, {SortBeginsWith, "b", "ca", "c", ""},
	} {
		s := &SortCondition{Op: c.op, Value: v(c.low), High: v(c.high)}
		if s.Holds(v(c.no)) || !s.Holds(v(c.yes)) || s.Holds(model.Value{Kind: model.KindN, Str: "1"}) {
			t.Errorf("%+v", c)
		}
	}
	if !(*SortCondition)(nil).Holds(v("")) {
		t.Error("no condition does not hold")
	}
}

func TestNewProjection(t *testing.T) {
	p := again(t, NewProjection("b", "a", "b"), DecodeProjection)
	item := parseValue(t, `{"a":1,"b":2,"c":3}`).Map
	if got := formatItem(p.Apply(item)); got != `{"a":1,"b":2}` {
		t.Error(got)
	}
	if got := (*Projection)(nil).Apply(item); len(got) != 3 {
		t.Error("no projection leaves something out")
	}
}
