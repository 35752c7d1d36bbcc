package service

import (
	"context"
	"errors"
	"testing"

	"weir.dev/weir/internal/model"
)

// TestResolutionTag sets how a table resolves conflicts by its tag at creation
// and by SetResolution, and finds tag and policy agreeing; what no table can
// have is refused.
func TestResolutionTag(t *testing.T) {
	s, _ := newFake(t, 2)
	ctx := context.Background()
	req := hashTable()
	req.Tags = []model.Tag{{Key: "a", Value: "b"}, {Key: ResolutionTag, Value: "union"}}
	tab := must[*Table](t)(s.CreateTable(ctx, req))
	want := func(text string, tags int) {
		t.Helper()
		list := must[[]Resolution](t)(s.ListResolutions(ctx))
		if len(list) != 1 || list[0].Table != tab.Name || list[0].Resolution.String() != text {
			t.Errorf("%+v, want %s", list, text)
		}
		now := must[*Table](t)(s.DescribeTable(ctx, tab.Name))
		if len(now.Spec.Tags) != tags {
			t.Errorf("tags %v", now.Spec.Tags)
		}
	}
	want("union", 2)
	for text, tags := range map[string]int{"region:east/west": 2, "fields": 2, "last-writer": 1} {
		res, err := model.ParseResolution(text)
		if err != nil {
			t.Fatal(err)
		}
		if err := s.SetResolution(ctx, tab.Name, &res); err != nil {
			t.Fatal(err)
		}
		want(text, tags)
	}
	bad := func(what string, kind model.ErrorKind, err error) {
		t.Helper()
		var known *model.Error
		if !errors.As(err, &known) || known.Kind != kind {
			t.Errorf("%s: %v", what, err)
		}
	}
	other := hashTable()
	other.Name, other.Tags = "other", []model.Tag{{Key: ResolutionTag, Value: "biggest"}}
	_, err := s.CreateTable(ctx, other)
	bad("a policy that there is not", model.ErrValidation, err)
	_, err = s.CreateQueue(ctx, &CreateQueueRequest{Name: "q", Tags: []model.Tag{{Key: ResolutionTag, Value: "union"}}})
	bad("a queue", model.ErrValidation, err)
	bad("a table that is not there", model.ErrNotFound, s.SetResolution(ctx, "nobody", &model.Resolution{}))
	_, err = s.ResolutionOf(999)
	bad("no table", model.ErrNotFound, err)
}
