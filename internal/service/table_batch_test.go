package service

import (
	"context"
	"fmt"
	"strings"
	"testing"

	"weir.dev/weir/internal/model"
)

// puts are n puts to table "hash", keys k0, k1, ...
func puts(n int) (writes []Write) {
	for i := range n {
		writes = append(writes, Write{Put: attrs("id", text(fmt.Sprint("k", i)), "n", num(fmt.Sprint(i)))})
	}
	return writes
}

func TestBatchWriteGoesToEachTabletOnce(t *testing.T) {
	s, c := newTables(t, 4)
	ctx := context.Background()
	req := &BatchWriteItemRequest{Invocation: model.RequestID{9}, Tables: []TableWrites{
		{"hash", puts(20)},
		{"sorted", []Write{{Put: attrs("id", text("a"), "pos", num("1"))}, {Delete: attrs("id", text("a"), "pos", num("2"))}}},
	}}
	c.Proposals = nil
	res := must[*BatchWriteItemResult](t)(s.BatchWriteItem(ctx, req))
	if len(res.Unprocessed) != 0 || res.Units[0] != (TableUnits{"hash", 20}) || res.Units[1] != (TableUnits{"sorted", 2}) {
		t.Errorf("%+v", res)
	}
	if n := len(c.Proposals); n < 4 || n > 6 {
		t.Errorf("%d commands", n)
	}
	ids := map[model.RequestID]bool{}
	for _, cmd := range c.Proposals {
		if cmd.Kind != model.CmdBatchWrite || cmd.ID.IsZero() || ids[cmd.ID] {
			t.Errorf("command %+v", cmd)
		}
		ids[cmd.ID] = true
	}
	c.Proposals = nil
	must[*BatchWriteItemResult](t)(s.BatchWriteItem(ctx, req))
	for _, cmd := range c.Proposals {
		if !ids[cmd.ID] {
			t.Errorf("the retry made another id: %v", cmd.ID)
		}
	}
	if page := must[*Page](t)(s.Scan(ctx, &ScanRequest{Table: "hash"})); page.Count != 20 {
		t.Errorf("%d items", page.Count)
	}
}

func TestBatchRules(t *testing.T) {
	s, c := newTables(t, 1)
	ctx := context.Background()
	c.Proposals = nil
	write := func(writes ...Write) error {
		_, err := s.BatchWriteItem(ctx, &BatchWriteItemRequest{Tables: []TableWrites{{"hash", writes}}})
		return err
	}
	wantError(t, write(puts(26)...), model.ErrValidation, "Too many items requested for the BatchWriteItem call")
	wantError(t, write(Write{Put: attrs("id", text("a"))}, Write{Delete: attrs("id", text("a"))}), model.ErrValidation, "Provided list of item keys contains duplicates")
	wantError(t, write(Write{Put: attrs("x", text("a"))}), model.ErrValidation, "The provided key element does not match the schema")
	wantError(t, write(Write{Delete: attrs("x", text("a"))}), model.ErrValidation, "The provided key element does not match the schema")
	wantError(t, write(Write{Put: attrs("id", text("a"), "x", text(strings.Repeat("x", model.MaxItemBytes)))}), model.ErrItemTooLarge, "Item size has exceeded the maximum allowed size")
	if len(c.Proposals) != 0 {
		t.Error("a refused batch did something")
	}
	_, err := s.BatchGetItem(ctx, &BatchGetItemRequest{Tables: []TableGets{{Table: "hash", Keys: []model.Item{attrs("id", text("a")), attrs("id", text("a"))}}}})
	wantError(t, err, model.ErrValidation, "Provided list of item keys contains duplicates")
	_, err = s.BatchGetItem(ctx, &BatchGetItemRequest{Tables: []TableGets{{Table: "hash", Keys: make([]model.Item, 101)}}})
	wantError(t, err, model.ErrValidation, "Too many items requested for the BatchGetItem call")
	_, err = s.BatchGetItem(ctx, &BatchGetItemRequest{Tables: []TableGets{{Table: "none"}}})
	wantError(t, err, model.ErrNotFound, "none not found")
}

func TestBatchNamesWhatWasNotDone(t *testing.T) {
	s, c := newTables(t, 4)
	ctx := context.Background()
	down := model.Errorf(model.ErrUnavailable, "no leader")
	c.Fault = func(tablet model.TabletID) (error, bool) {
		if tablet == 2 {
			return down, false
		}
		return nil, false
	}
	req := &BatchWriteItemRequest{Tables: []TableWrites{{"hash", puts(20)}}}
	res := must[*BatchWriteItemResult](t)(s.BatchWriteItem(ctx, req))
	c.Fault = nil
	left := len(res.Unprocessed[0].Writes)
	if left == 0 || left == 20 || res.Units[0].Units != float64(20-left) {
		t.Fatalf("%+v", res)
	}
	if page := must[*Page](t)(s.Scan(ctx, &ScanRequest{Table: "hash"})); page.Count != 20-left {
		t.Errorf("%d items, %d not done", page.Count, left)
	}
	must[*BatchWriteItemResult](t)(s.BatchWriteItem(ctx, &BatchWriteItemRequest{Tables: res.Unprocessed}))

	gets := &BatchGetItemRequest{Tables: []TableGets{{Table: "hash"}}}
	for i := range 20 {
		gets.Tables[0].Keys = append(gets.Tables[0].Keys, attrs("id", text(fmt.Sprint("k", i))))
	}
	gets.Tables[0].Keys = append(gets.Tables[0].Keys, attrs("id", text("absent")))
	found := must[*BatchGetItemResult](t)(s.BatchGetItem(ctx, gets))
	if len(found.Tables[0].Items) != 20 || len(found.Unprocessed) != 0 || found.Units[0].Units != 10.5 {
		t.Errorf("%+v", found)
	}
	c.Fault = func(tablet model.TabletID) (error, bool) { return down, false }
	_, err := s.BatchGetItem(ctx, gets)
	wantError(t, err, model.ErrUnavailable, "no leader")
	_, err = s.BatchWriteItem(ctx, req)
	wantError(t, err, model.ErrUnavailable, "no leader")
}

func TestBatchGetStopsAt16MB(t *testing.T) {
	s, _ := newTables(t, 2)
	ctx := context.Background()
	req := &BatchGetItemRequest{Tables: []TableGets{{Table: "hash"}}}
	big := text(strings.Repeat("x", 400_000))
	for i := range 50 {
		id := attrs("id", text(fmt.Sprint("k", i)))
		must[*WriteResult](t)(s.PutItem(ctx, &PutItemRequest{Table: "hash", Item: id.With("x", big)}))
		req.Tables[0].Keys = append(req.Tables[0].Keys, id)
	}
	found := 0
	for page := 0; len(req.Tables) > 0; page++ {
		res := must[*BatchGetItemResult](t)(s.BatchGetItem(ctx, req))
		n := len(res.Tables[0].Items)
		if page == 0 && n != 41 {
			t.Errorf("the first answer holds %d items", n)
		}
		found += n
		req = &BatchGetItemRequest{Tables: res.Unprocessed}
	}
	if found != 50 {
		t.Errorf("%d items", found)
	}
}
