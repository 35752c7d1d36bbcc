package service

import (
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"weir.dev/weir/internal/expr"
	"weir.dev/weir/internal/model"
)

// plain is what a table should hold: a map from "id/pos" to the item.
type plain map[string]model.Item

func plainKey(item model.Item) string {
	id, _ := item.Get("id")
	at, _ := item.Get("pos")
	return id.Str + "/" + at.Str
}

// randomTable drives the service and a plain map with the same operations.
type randomTable struct {
	t    *testing.T
	s    *Service
	rng  *rand.Rand
	want plain
}

func (r *randomTable) key() model.Item {
	at := []string{"-100", "-1.5", "-1", "0", "0.25", "1", "2", "10", "1E20"}
	return attrs("id", text(fmt.Sprint("k", r.rng.IntN(6))), "pos", num(at[r.rng.IntN(len(at))]))
}

// TestTableAgainstAMap runs random writes and reads on one and several tablets
// and compares everything with a map. The seeds are fixed.
func TestTableAgainstAMap(t *testing.T) {
	for _, tablets := range []int{1, 5} {
		for seed := range uint64(4) {
			t.Run(fmt.Sprintf("tablets=%d,seed=%d", tablets, seed), func(t *testing.T) {
				s, _ := newTables(t, tablets)
				r := &randomTable{t: t, s: s, rng: rand.New(rand.NewPCG(seed, uint64(tablets))), want: plain{}}
				for range 400 {
					r.step()
				}
			})
		}
	}
}

func (r *randomTable) step() {
	ctx := context.Background()
	key := r.key()
	old, exists := r.want[plainKey(key)]
	n := num(fmt.Sprint(r.rng.IntN(10)))
	switch r.rng.IntN(8) {
	case 0, 1:
		item := key.With("n", n)
		res := must[*WriteResult](r.t)(r.s.PutItem(ctx, &PutItemRequest{Table: "sorted", Item: item, ReturnOld: true}))
		r.same("put's old item", res.Attributes, old)
		r.want[plainKey(key)] = item
	case 2:
		res := must[*WriteResult](r.t)(r.s.DeleteItem(ctx, &DeleteItemRequest{Table: "sorted", Key: key, ReturnOld: true}))
		r.same("delete's old item", res.Attributes, old)
		delete(r.want, plainKey(key))
	case 3:
		r.conditionalUpdate(key, old, exists, n)
	case 4:
		r.batch()
	case 5:
		got := must[*GetItemResult](r.t)(r.s.GetItem(ctx, &GetItemRequest{Table: "sorted", Key: key, Strong: true}))
		r.same("get", got.Item, old)
	case 6:
		r.query()
	default:
		r.scan()
	}
}

func (r *randomTable) same(what string, got, want model.Item) {
	r.t.Helper()
	if !got.Equal(want) {
		r.t.Fatalf("%s: got %v, want %v", what, got, want)
	}
}

func (r *randomTable) conditionalUpdate(key, old model.Item, exists bool, n model.Value) {
	_, err := r.s.UpdateItem(context.Background(), &UpdateItemRequest{
		Table: "sorted", Key: key, Update: update(r.t, "SET n = :n", ":n", n),
		Condition: condition(r.t, "n < :five", ":five", num("5")),
	})
	before, has := old.Get("n")
	if exists && has && model.CompareNumbers(before.Str, "5") < 0 {
		if err != nil {
			r.t.Fatal(err)
		}
		r.want[plainKey(key)] = old.With("n", n)
		return
	}
	wantError(r.t, err, model.ErrConditionFailed, "The conditional request failed")
}

func (r *randomTable) batch() {
	req := &BatchWriteItemRequest{Tables: []TableWrites{{Table: "sorted"}}}
	done := map[string]bool{}
	for range 10 {
		key := r.key()
		if done[plainKey(key)] {
			continue
		}
		done[plainKey(key)] = true
		if r.rng.IntN(3) == 0 {
			req.Tables[0].Writes = append(req.Tables[0].Writes, Write{Delete: key})
			delete(r.want, plainKey(key))
			continue
		}
		item := key.With("batch", text("yes"))
		req.Tables[0].Writes = append(req.Tables[0].Writes, Write{Put: item})
		r.want[plainKey(key)] = item
	}
	if res := must[*BatchWriteItemResult](r.t)(r.s.BatchWriteItem(context.Background(), req)); len(res.Unprocessed) > 0 {
		r.t.Fatalf("%+v", res)
	}
}

// sortCases are key conditions and what they mean.
var sortCases = []struct {
	text  string
	holds func(at string) bool
}{
	{"", func(string) bool { return true }},
	{" AND pos = :a", func(at string) bool { return model.CompareNumbers(at, "0") == 0 }},
	{" AND pos < :a", func(at string) bool { return model.CompareNumbers(at, "0") < 0 }},
	{" AND pos <= :a", func(at string) bool { return model.CompareNumbers(at, "0") <= 0 }},
	{" AND pos > :a", func(at string) bool { return model.CompareNumbers(at, "0") > 0 }},
	{" AND pos >= :a", func(at string) bool { return model.CompareNumbers(at, "0") >= 0 }},
	{" AND pos BETWEEN :a AND :b", func(at string) bool {
		return model.CompareNumbers(at, "0") >= 0 && model.CompareNumbers(at, "2") <= 0
	}},
}

func (r *randomTable) query() {
	c := sortCases[r.rng.IntN(len(sortCases))]
	id := fmt.Sprint("k", r.rng.IntN(6))
	values := []any{":id", text(id), ":a", num("0"), ":b", num("2")}
	req := &QueryRequest{
		Table: "sorted", Key: keyCondition(r.t, "id = :id"+c.text, values...),
		Reverse: r.rng.IntN(2) == 0, Limit: r.rng.IntN(4), Strong: true,
	}
	if r.rng.IntN(3) == 0 {
		req.Filter = condition(r.t, "attribute_exists(n)")
	}
	var want []model.Item
	for _, item := range r.want {
		at, _ := item.Get("pos")
		if _, hasN := item.Get("n"); strings.HasPrefix(plainKey(item), id+"/") && c.holds(at.Str) && (req.Filter == nil || hasN) {
			want = append(want, item)
		}
	}
	slices.SortFunc(want, func(a, b model.Item) int {
		x, _ := a.Get("pos")
		y, _ := b.Get("pos")
		if req.Reverse {
			x, y = y, x
		}
		return model.CompareNumbers(x.Str, y.Str)
	})
	got := r.pages(func(start model.Item) (*Page, error) {
		req.StartKey = start
		return r.s.Query(context.Background(), req)
	}, req.Limit)
	if fmt.Sprint(got) != fmt.Sprint(want) {
		r.t.Fatalf("query %q: got %v, want %v", c.text, got, want)
	}
}

// pages reads all pages and checks the limit and the counts.
func (r *randomTable) pages(read func(start model.Item) (*Page, error), limit int) (items []model.Item) {
	var start model.Item
	for n := 0; ; n++ {
		page := must[*Page](r.t)(read(start))
		if limit > 0 && page.Scanned > limit || page.Count != len(page.Items) || n > 100 {
			r.t.Fatalf("page %d: %+v", n, page)
		}
		items = append(items, page.Items...)
		if start = page.LastKey; start == nil {
			return items
		}
	}
}

// scan reads all pages of all segments.
func (r *randomTable) scan() {
	limit, segments := r.rng.IntN(5), r.rng.IntN(4)
	var projection *expr.Projection
	got := map[string]model.Item{}
	for i := range max(segments, 1) {
		items := r.pages(func(start model.Item) (*Page, error) {
			return r.s.Scan(context.Background(), &ScanRequest{
				Table: "sorted", Limit: limit, StartKey: start, Segment: i, TotalSegments: segments, Projection: projection, Strong: true,
			})
		}, limit)
		for _, item := range items {
			if _, twice := got[plainKey(item)]; twice {
				r.t.Fatalf("the scan returned %s twice", plainKey(item))
			}
			got[plainKey(item)] = item
		}
	}
	if len(got) != len(r.want) {
		r.t.Fatalf("the scan returned %d items of %d", len(got), len(r.want))
	}
	for k, want := range r.want {
		r.same("scan", got[k], want)
	}
}

func TestQueryRules(t *testing.T) {
	s, _ := newTables(t, 3)
	ctx := context.Background()
	values := []any{":id", text("a"), ":at", num("1")}
	query := func(req QueryRequest) error {
		req.Table = "sorted"
		_, err := s.Query(ctx, &req)
		return err
	}
	all := keyCondition(t, "id = :id", values[:2]...)
	above := keyCondition(t, "id = :id AND pos > :at", values...)
	filter, err := expr.ParseFilter("pos > :at", params(t, ":at", num("1")))
	if err != nil {
		t.Fatal(err)
	}
	start := attrs("id", text("a"), "pos", num("0"))
	for _, c := range []struct {
		err  error
		want string
	}{
		{query(QueryRequest{Key: keyCondition(t, "pos = :at", values[2:]...)}), "Query condition missed key schema element: id"},
		{query(QueryRequest{Key: all, Filter: filter}), "Filter Expression can only contain non-primary key attributes: Primary key attribute: pos"},
		{query(QueryRequest{Key: all, StartKey: attrs("id", text("a"))}), "The provided starting key is invalid: The provided key element does not match the schema"},
		{query(QueryRequest{Key: all, StartKey: attrs("id", text("b"), "pos", num("0"))}), "The provided starting key is outside query boundaries based on provided conditions"},
		{query(QueryRequest{Key: above, StartKey: start}), "The provided starting key does not match the range key predicate"},
	} {
		wantError(t, c.err, model.ErrValidation, c.want)
	}
	_, slot, err := (&table{spec: model.TableSpec{Partition: model.KeyAttr{Name: "id", Kind: model.KindS}, Sort: model.KeyAttr{Name: "pos", Kind: model.KindN}}}).startKey(start)
	if err != nil {
		t.Fatal(err)
	}
	wrong := 0
	if uint32(slot) < model.SlotCount/2 {
		wrong = 1
	}
	_, err = s.Scan(ctx, &ScanRequest{Table: "sorted", StartKey: start, Segment: wrong, TotalSegments: 2})
	wantError(t, err, model.ErrValidation, fmt.Sprintf("The provided starting key is invalid: Invalid ExclusiveStartKey. Please use ExclusiveStartKey with correct Segment. TotalSegments: 2 Segment: %d", wrong))
}

// TestQueryTextPrefix queries sort keys that are texts by their beginning.
func TestQueryTextPrefix(t *testing.T) {
	s, _ := newFake(t, 1)
	ctx := context.Background()
	must[*Table](t)(s.CreateTable(ctx, &CreateTableRequest{
		Name: "texts", Billing: model.BillingPerRequest,
		Attributes: []model.KeyAttr{{Name: "id", Kind: model.KindS}, {Name: "pos", Kind: model.KindS}},
		KeySchema:  []KeyElement{{"id", "HASH"}, {"pos", "RANGE"}},
	}))
	for _, at := range []string{"a", "a\x00", "a\x00\xc3\xbf", "ab", "b", "\u00e9", "\u00e9t\u00e9"} {
		must[*WriteResult](t)(s.PutItem(ctx, &PutItemRequest{Table: "texts", Item: attrs("id", text("x"), "pos", text(at))}))
	}
	for prefix, want := range map[string]int{"a": 4, "a\x00": 2, "ab": 1, "\u00e9": 2, "c": 0} {
		page := must[*Page](t)(s.Query(ctx, &QueryRequest{
			Table: "texts", Key: keyCondition(t, "id = :id AND begins_with(pos, :p)", ":id", text("x"), ":p", text(prefix)),
		}))
		if page.Count != want {
			t.Errorf("begins_with %q: %d items", prefix, page.Count)
		}
	}
}

// TestScanPagesHold1MB scans items over several tablets that do not fit into
// one page.
func TestScanPagesHold1MB(t *testing.T) {
	s, _ := newTables(t, 3)
	ctx := context.Background()
	for i := range 9 {
		item := attrs("id", text(fmt.Sprint("k", i)), "x", text(strings.Repeat("x", 300_000)))
		must[*WriteResult](t)(s.PutItem(ctx, &PutItemRequest{Table: "hash", Item: item}))
	}
	total, pages := 0, 0
	for req := (&ScanRequest{Table: "hash", CountOnly: true}); ; pages++ {
		page := must[*Page](t)(s.Scan(ctx, req))
		if page.Scanned > 5 || len(page.Items) > 0 {
			t.Errorf("page %d: %+v", pages, page)
		}
		total += page.Count
		if req.StartKey = page.LastKey; req.StartKey == nil {
			break
		}
	}
	if total != 9 || pages < 2 {
		t.Errorf("%d items on %d pages", total, pages+1)
	}
}
