package expr

import (
	"testing"

	"weir.dev/weir/internal/model"
)

func benchItem(b *testing.B) model.Item {
	return parseValue(b, `{"id":"user#12345","author":"someone","score":41,"title":"a title of some length","tags":{"$SS":["a","b"]},"created":1700000000}`).Map
}

func BenchmarkParseCondition(b *testing.B) {
	values := define(b, ":v 41\n:p \"user\"").values
	b.ReportAllocs()
	for b.Loop() {
		p, _ := NewParams(nil, values)
		if _, err := ParseCondition("attribute_exists(id) AND score >= :v AND begins_with(id, :p)", p); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkEvalCondition(b *testing.B) {
	p, _ := NewParams(nil, define(b, ":v 41\n:p \"user\"").values)
	c, err := ParseCondition("attribute_exists(id) AND score >= :v AND begins_with(id, :p)", p)
	if err != nil {
		b.Fatal(err)
	}
	item := benchItem(b)
	b.ReportAllocs()
	for b.Loop() {
		c.Eval(item)
	}
}

// BenchmarkAddScore is the way of one ADD score :n: parsed and encoded at the
// door, decoded and applied at each replica.
func BenchmarkAddScore(b *testing.B) {
	values := define(b, ":n 1").values
	b.Run("parse", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			p, _ := NewParams(nil, values)
			if _, err := ParseUpdate("ADD score :n", p); err != nil {
				b.Fatal(err)
			}
		}
	})
	p, _ := NewParams(nil, values)
	u, err := ParseUpdate("ADD score :n", p)
	if err != nil {
		b.Fatal(err)
	}
	enc := u.Append(nil)
	b.Run("decode", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			DecodeUpdate(model.NewDecoder(enc))
		}
	})
	item := benchItem(b)
	b.Run("apply", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			if _, err := u.Apply(item, "id"); err != nil {
				b.Fatal(err)
			}
		}
	})
	stored := model.AppendItem(nil, item)
	b.Run("replica", func(b *testing.B) {
		b.ReportAllocs()
		var buf []byte
		for b.Loop() {
			old := model.DecodeItem(model.NewDecoder(stored))
			next, err := DecodeUpdate(model.NewDecoder(enc)).Apply(old, "id")
			if err != nil {
				b.Fatal(err)
			}
			buf = model.AppendItem(buf[:0], next)
		}
	})
}
