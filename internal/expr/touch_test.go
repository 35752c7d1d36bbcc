package expr

import (
	"fmt"
	"strings"
	"testing"

	"weir.dev/weir/internal/model"
)

// TestTouches lists what updates do to each attribute, and knows additions in
// every way that they are written.
func TestTouches(t *testing.T) {
	n := func(text string) model.Value { return model.Value{Kind: model.KindN, Str: text} }
	set, _ := model.NewSet(model.KindSS, []model.Value{model.StringValue("x"), model.StringValue("y")})
	values := map[string]model.Value{":two": n("2"), ":zero": n("0"), ":set": set, ":text": model.StringValue("t")}
	old := model.Item{{Name: "n", Value: n("5")}}
	for _, c := range []struct{ update, want string }{
		{"ADD n :two", "n+2"},
		{"SET n = n + :two", "n+2"},
		{"SET n = :two + n", "n+2"},
		{"SET n = n - :two", "n+-2"},
		{"SET n = if_not_exists(n, :two) + :two", "n+2"},
		{"SET m = if_not_exists(m, :zero) + :two", "m+2"},
		{"SET m = if_not_exists(m, :two) + :two", "m"},
		{"SET m = n + :two", "m"},
		{"SET n = :two - n", "n"},
		{"SET n = if_not_exists(m, :zero) + :two", "n"},
		{"SET n = :two REMOVE m ADD s :set DELETE q :set", "n m s|x,y q&x,y"},
		{"SET a.b = :two, a.c = :two", "a"},
		{"ADD a.b :two", "a"},
	} {
		var used model.Item
		for _, name := range []string{":set", ":text", ":two", ":zero"} {
			if strings.Contains(c.update, name) {
				used = append(used, model.Attr{Name: name, Value: values[name]})
			}
		}
		params, err := NewParams(nil, used)
		if err != nil {
			t.Fatal(err)
		}
		u, err := ParseUpdate(c.update, params)
		if err != nil {
			t.Fatal(c.update, err)
		}
		var got []string
		for _, touch := range u.Touches(old) {
			text := touch.Name
			if touch.Plus != "" {
				text += "+" + touch.Plus
			}
			if touch.Join != nil {
				text += "|" + members(touch.Join)
			}
			if touch.Leave != nil {
				text += "&" + members(touch.Leave)
			}
			got = append(got, text)
		}
		if fmt.Sprint(got) != "["+c.want+"]" {
			t.Errorf("%s: %v, want %s", c.update, got, c.want)
		}
	}
}

func members(set *model.Value) string {
	var all []string
	for _, v := range set.List {
		all = append(all, v.Str)
	}
	return strings.Join(all, ",")
}
