package terms

import (
	"context"
	"testing"
	"time"

	"weir.dev/weir/internal/model"
)

func TestGiven(t *testing.T) {
	x := &Terms{Level: model.LevelAll, MaxLag: time.Second, After: Token{{3, 9}, {4, 1}}}
	ctx := With(context.Background(), x)
	if Of(ctx) != x || Of(context.Background()) != nil {
		t.Fatal("a context has the terms of another")
	}
	if g := x.Given(); g.Wrote || g.Read || g.Token.String() != x.After.String() {
		t.Errorf("before anything: %+v", g)
	}
	x.Wrote(4, 7, model.LevelAll)
	x.Wrote(5, 2, model.LevelQuorum)
	x.ReadAt(3, 8, 20*time.Millisecond)
	x.ReadAt(6, 5, 10*time.Millisecond)
	g := x.Given()
	want := Token{{3, 9}, {4, 7}, {5, 2}, {6, 5}}
	if !g.Wrote || g.Level != model.LevelQuorum || !g.Read || g.Lag != 20*time.Millisecond || g.Token.String() != want.String() {
		t.Errorf("given %+v", g)
	}
}

func TestNoTerms(t *testing.T) {
	var none *Terms
	none.Wrote(1, 2, model.LevelAll)
	none.ReadAt(1, 2, time.Second)
	if none.Asked() != model.LevelAsync || none.Lag() != 0 || none.Least(1) != 0 {
		t.Error("no terms ask for something")
	}
}

func TestToken(t *testing.T) {
	x := Token{{0, 1 << 40}, {1 << 33, 2}}
	if x.String() != "AQIAgICAgIAggICAgCAC" {
		t.Errorf("the token is %s", x)
	}
	back, err := ParseToken(x.String())
	if err != nil || back.At(0) != 1<<40 || back.At(1<<33) != 2 || back.At(5) != 0 {
		t.Errorf("read back %v, %v", back, err)
	}
	for _, bad := range []string{"x", "AgA", "AQ", "AQIAAA", "AQEAAAA", "AQEAAA=", "////////"} {
		if _, err := ParseToken(bad); err == nil {
			t.Errorf("%q is a token", bad)
		}
	}
	if got, err := ParseToken(""); err != nil || got != nil {
		t.Errorf("a new session: %v, %v", got, err)
	}
}

func FuzzParseToken(f *testing.F) {
	f.Add(Token{{1, 2}, {3, 4}}.String())
	f.Add("AQA")
	f.Fuzz(func(t *testing.T, text string) {
		x, err := ParseToken(text)
		if err != nil {
			return
		}
		if again, err := ParseToken(x.String()); err != nil || again.String() != x.String() {
			t.Fatalf("%q is %v, which is %v, %v", text, x, again, err)
		}
	})
}
