package sim

import (
	"strings"
	"testing"

	"weir.dev/weir/internal/model"
)

// TestFlowChecker: the checker of the chain of pipes finds what it is there for.
func TestFlowChecker(t *testing.T) {
	list := func(numbers ...string) (vs []model.Value) {
		for _, n := range numbers {
			vs = append(vs, model.Value{Kind: model.KindN, Str: n})
		}
		return vs
	}
	for _, c := range []struct {
		sent  int
		seen  []model.Value
		total string
		want  string
	}{
		{3, list("0", "1", "2"), "3", ""},
		{2, list("0", "1", "2"), "3", ""}, // the last one was not acknowledged
		{0, nil, "", ""},
		{3, list("0", "1"), "1", "of 3 messages"},
		{3, list("0", "2", "1"), "3", "[0 2 1]"},
		{3, list("0", "1", "1", "2"), "4", "[0 1 1 2]"},
		{3, list("0", "1", "2"), "4", "the sum 4 of key-5, not 3"},
		{1, list("0", "1", "2"), "3", "of 1 messages"},
	} {
		got := strings.Join(checkFlow(5, c.sent, c.seen, c.total), "; ")
		if !strings.Contains(got, c.want) || (c.want == "") != (got == "") {
			t.Errorf("%d sent, seen %v: %q, want %q", c.sent, c.seen, got, c.want)
		}
	}
}
