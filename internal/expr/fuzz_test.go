package expr

import (
	"testing"

	"weir.dev/weir/internal/model"
)

// fuzzDefinitions are the names, values and items of all fuzz targets.
func fuzzDefinitions(t testing.TB) *definitions {
	return define(t, `#n name
#a a
:v 5
:s "x"
:t true
:l [1,"x"]
:k "SS"
:ss {"$SS":["a"]}
:ns {"$NS":[1,2]}
:m {"k":1}
item {"a":5,"b":"x","c":[1,2,{"d":3}],"m":{"k":1,"j":[1]},"ss":{"$SS":["a","b"]},"ns":{"$NS":[1]},"name":null}
item {}`)
}

// useUpdate applies the update and checks that the result can be stored.
func useUpdate(t *testing.T, u *Update, items []model.Item) {
	for _, it := range items {
		before := formatItem(it)
		next, err := u.Apply(it)
		if formatItem(it) != before {
			t.Fatal("the item changed")
		}
		if err != nil {
			verdict(t, err)
			continue
		}
		d := model.NewDecoder(model.AppendItem(nil, next))
		if !model.DecodeItem(d).Equal(next) || d.Done() != nil {
			t.Fatalf("cannot be stored: %s", formatItem(next))
		}
		u.UpdatedOld(it)
		u.UpdatedNew(next)
	}
}

func FuzzParseCondition(f *testing.F) {
	for _, s := range []string{
		"#n = :v", "a between :v and b or not (b in (:s, c[0]))", "attribute_exists(m.k) and size(c) > :v", "begins_with(b, :s)",
		"contains(ss, :s) and attribute_type(ss, :k)", "((a))", "(size(a)) <> :v", "a[", "f(", "(a) = (b)", "not not a <= b",
	} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, text string) {
		defs := fuzzDefinitions(t)
		c, err := ParseCondition(text, defs.params(t))
		if err != nil {
			verdict(t, err)
		} else {
			back := again(t, c, DecodeCondition)
			for _, it := range defs.items {
				if c.Eval(it) != back.Eval(it) {
					t.Fatal("another answer")
				}
			}
		}
		if k, err := ParseKeyCondition(text, defs.params(t)); err == nil {
			_, _, err = k.Resolve(model.KeyAttr{Name: "a", Kind: model.KindN}, model.KeyAttr{Name: "b", Kind: model.KindS})
			verdict(t, err)
		}
	})
}

func FuzzParseUpdate(f *testing.F) {
	for _, s := range []string{
		"SET a = :v", "SET a = a + :v, c[1] = list_append(c, :l) REMOVE b ADD ns :ns DELETE ss :ss", "SET x = if_not_exists(x, :l)",
		"REMOVE c[0], m.k", "SET a = (a - :v)", "ADD score :v", "SET", "SET a =", "SET c[9] = :m, c[2].d = :ss",
	} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, text string) {
		defs := fuzzDefinitions(t)
		u, err := ParseUpdate(text, defs.params(t))
		if err != nil {
			verdict(t, err)
			return
		}
		useUpdate(t, again(t, u, DecodeUpdate), defs.items)
	})
}

func FuzzParseProjection(f *testing.F) {
	for _, s := range []string{"a", "#n, c[2].d, m.k", "a, a", "c[0], c[1]", "m.", "c[99999999999]"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, text string) {
		defs := fuzzDefinitions(t)
		p, err := ParseProjection(text, defs.params(t))
		if err != nil {
			verdict(t, err)
			return
		}
		p = again(t, p, DecodeProjection)
		for _, it := range defs.items {
			once := p.Apply(it)
			if once.Size() > it.Size() {
				t.Fatal("a part larger than the whole")
			}
		}
	})
}

// fuzzDecode adds a target that decodes, encodes and uses what it got.
func fuzzDecode[T stored](f *testing.F, decode func(*model.Decoder) T, use func(*testing.T, T, []model.Item), seeds ...T) {
	for _, s := range seeds {
		f.Add(s.Append(nil))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		d := model.NewDecoder(b)
		x := decode(d)
		if d.Done() != nil {
			return
		}
		use(t, again(t, x, decode), fuzzDefinitions(t).items)
	})
}

func must[T any](f *testing.F, parse func(string, *Params) (T, error), text string) T {
	x, err := parse(text, fuzzDefinitions(f).params(f))
	if err != nil {
		f.Fatal(err)
	}
	return x
}

func FuzzDecodeCondition(f *testing.F) {
	use := func(_ *testing.T, c *Condition, items []model.Item) {
		for _, it := range items {
			c.Eval(it)
		}
	}
	fuzzDecode(f, DecodeCondition, use,
		must(f, ParseCondition, "#n = :v or not a between b and size(c[2].d)"),
		must(f, ParseCondition, "attribute_type(ss, :k) and a in (:v, :m)"))
}

func FuzzDecodeUpdate(f *testing.F) {
	fuzzDecode(f, DecodeUpdate, useUpdate,
		must(f, ParseUpdate, "SET a = a + :v, c[1] = list_append(c, :l) REMOVE b ADD ns :ns DELETE ss :ss"),
		must(f, ParseUpdate, "SET m.j[5] = if_not_exists(m.x, :m)"))
}

func FuzzDecodeProjection(f *testing.F) {
	use := func(_ *testing.T, p *Projection, items []model.Item) {
		for _, it := range items {
			p.Apply(it)
		}
	}
	fuzzDecode(f, DecodeProjection, use, must(f, ParseProjection, "#n, c[2].d, m.k"))
}
