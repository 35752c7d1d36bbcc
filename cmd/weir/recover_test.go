package main

import (
	"bytes"
	"errors"
	"strings"
	"testing"
	"time"

	"weir.dev/weir/internal/cluster"
	"weir.dev/weir/internal/model"
	"weir.dev/weir/internal/server"
)

func TestRecoverAsks(t *testing.T) {
	lost := &server.Recovery{ClusterID: "c1", Node: 3, Others: []server.OtherMember{{ID: 1, Address: "a:1"}, {ID: 2, Address: "b:1", Answers: true}}}
	lost.Tablets = []cluster.TabletSurvey{
		{Tablet: 0, Held: true, Voter: true, Last: 9, Committed: 8, LastTerm: 2, Term: 2},
		{Tablet: 1, Hi: 100, Held: true, Last: 70, Committed: 60, LastTerm: 2, Term: 5, NewestMs: time.Now().Add(-90 * time.Second).UnixMilli()},
		{Tablet: 2, Lo: 100, Hi: 200},
	}
	for _, c := range []struct {
		name  string
		flags recoverFlags
		alive []model.TabletID
		typed string
		asks  bool
		fails bool
	}{
		{name: "confirmed", typed: "recover\n", asks: true},
		{name: "confirmed without a line's end", typed: "recover", asks: true},
		{name: "another word", typed: "yes\n", asks: true, fails: true},
		{name: "nobody there", asks: true, fails: true},
		{name: "--yes", flags: recoverFlags{yes: true}},
		{name: "--dry-run", flags: recoverFlags{dry: true}},
		{name: "refused anyway", alive: []model.TabletID{0}},
		{name: "forced", flags: recoverFlags{force: true}, alive: []model.TabletID{0}, typed: "no\n", asks: true, fails: true},
	} {
		r := *lost
		r.Alive = c.alive
		var out bytes.Buffer
		err := c.flags.confirm(&out, strings.NewReader(c.typed), &r)
		if c.fails != errors.Is(err, errNotConfirmed) || !c.fails && err != nil || c.asks != strings.Contains(out.String(), "type recover") {
			t.Errorf("%s: %v\n%s", c.name, err, out.String())
		}
		text := strings.Join(strings.Fields(out.String()), " ")
		for _, want := range []string{
			"b:1 ANSWERS: it may be alive", "t0 catalog voter 9 of term 2 8 none what the others acknowledged later",
			"t1 0-99 learner 70 of term 2 60 1m30s ago all since an election in term 5", "t2 100-199 not here - - - EVERYTHING",
		} {
			if !strings.Contains(text, want) {
				t.Errorf("%s: no %q in\n%s", c.name, want, out.String())
			}
		}
	}
	if err := dispatch([]string{"recover", "extra"}); err == nil || !strings.Contains(err.Error(), "no arguments") {
		t.Error(err)
	}
	if err := dispatch([]string{"recover", "--data", t.TempDir(), "--yes"}); err == nil || !strings.Contains(err.Error(), "holds no node") {
		t.Error(err)
	}
}
