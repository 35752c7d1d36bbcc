package service

import (
	"context"
	"errors"
	"strings"
	"testing"

	"weir.dev/weir/internal/expr"
	"weir.dev/weir/internal/fakecluster"
	"weir.dev/weir/internal/model"
)

// text and num are values; attrs makes an item of names and values.
func text(s string) model.Value { return model.StringValue(s) }

func num(s string) model.Value {
	v, err := model.NumberValue(s)
	if err != nil {
		panic(err)
	}
	return v
}

func attrs(namesAndValues ...any) model.Item {
	var list []model.Attr
	for i := 0; i < len(namesAndValues); i += 2 {
		list = append(list, model.Attr{Name: namesAndValues[i].(string), Value: namesAndValues[i+1].(model.Value)})
	}
	item, _ := model.NewItem(list)
	return item
}

func params(t testing.TB, namesAndValues ...any) *expr.Params {
	t.Helper()
	p, err := expr.NewParams(nil, attrs(namesAndValues...))
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func condition(t testing.TB, expression string, namesAndValues ...any) *expr.Condition {
	t.Helper()
	c, err := expr.ParseCondition(expression, params(t, namesAndValues...))
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func update(t testing.TB, expression string, namesAndValues ...any) *expr.Update {
	t.Helper()
	u, err := expr.ParseUpdate(expression, params(t, namesAndValues...))
	if err != nil {
		t.Fatal(err)
	}
	return u
}

func keyCondition(t testing.TB, expression string, namesAndValues ...any) *expr.KeyCondition {
	t.Helper()
	k, err := expr.ParseKeyCondition(expression, params(t, namesAndValues...))
	if err != nil {
		t.Fatal(err)
	}
	return k
}

// hashTable asks for table "hash" with the key id (S); sortedTable for table
// "sorted" with the keys id (S) and pos (N).
func hashTable() *CreateTableRequest {
	return &CreateTableRequest{
		Name: "hash", Billing: model.BillingPerRequest,
		Attributes: []model.KeyAttr{{Name: "id", Kind: model.KindS}},
		KeySchema:  []KeyElement{{"id", "HASH"}},
	}
}

func sortedTable() *CreateTableRequest {
	return &CreateTableRequest{
		Name: "sorted", Billing: model.BillingPerRequest,
		Attributes: []model.KeyAttr{{Name: "pos", Kind: model.KindN}, {Name: "id", Kind: model.KindS}},
		KeySchema:  []KeyElement{{"id", "HASH"}, {"pos", "RANGE"}},
	}
}

// newTables is a service with both tables.
func newTables(t testing.TB, tablets int) (*Service, *fakecluster.Cluster) {
	t.Helper()
	s, c := newFake(t, tablets)
	for _, req := range []*CreateTableRequest{hashTable(), sortedTable()} {
		if _, err := s.CreateTable(context.Background(), req); err != nil {
			t.Fatal(err)
		}
	}
	return s, c
}

func must[T any](t testing.TB) func(T, error) T {
	return func(v T, err error) T {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
}

// wantError checks kind and message.
func wantError(t testing.TB, err error, kind model.ErrorKind, message string) {
	t.Helper()
	var e *model.Error
	if !errors.As(err, &e) || e.Kind != kind || e.Message != message {
		t.Errorf("got %#v, want kind %d %q", err, kind, message)
	}
}

func TestKeysThatDoNotFit(t *testing.T) {
	s, _ := newTables(t, 1)
	ctx := context.Background()
	put := func(table string, item model.Item) error {
		_, err := s.PutItem(ctx, &PutItemRequest{Table: table, Item: item})
		return err
	}
	get := func(table string, key model.Item) error {
		_, err := s.GetItem(ctx, &GetItemRequest{Table: table, Key: key})
		return err
	}
	long, longer := text(strings.Repeat("x", 2048)), text(strings.Repeat("x", 2049))
	for _, c := range []struct {
		err  error
		want string
	}{
		{put("hash", attrs("x", text("y"))), "One or more parameter values were invalid: Missing the key id in the item"},
		{put("sorted", attrs("id", text("y"))), "One or more parameter values were invalid: Missing the key pos in the item"},
		{put("hash", attrs("id", num("1"))), "One or more parameter values were invalid: Type mismatch for key id expected: S actual: N"},
		{put("hash", attrs("id", text(""))), "One or more parameter values are not valid. The AttributeValue for a key attribute cannot contain an empty string value. Key: id"},
		{put("hash", attrs("id", longer)), "One or more parameter values were invalid: Size of hashkey has exceeded the maximum size limit of2048 bytes"},
		{get("hash", attrs("id", num("1"))), "The provided key element does not match the schema"},
		{get("hash", attrs("id", text("a"), "x", text("b"))), "The provided key element does not match the schema"},
		{get("sorted", attrs("id", text("a"))), "The provided key element does not match the schema"},
		{get("sorted", attrs("id", text("a"), "x", num("1"))), "The provided key element does not match the schema"},
		{get("hash", attrs("id", text(""))), "One or more parameter values are not valid. The AttributeValue for a key attribute cannot contain an empty string value. Key: id"},
	} {
		wantError(t, c.err, model.ErrValidation, c.want)
	}
	if err := put("hash", attrs("id", long)); err != nil {
		t.Error(err)
	}
	_, err := s.UpdateItem(ctx, &UpdateItemRequest{Table: "hash", Key: attrs("id", text("a")), Update: update(t, "SET id = :v", ":v", text("b"))})
	wantError(t, err, model.ErrValidation, "One or more parameter values were invalid: Cannot update attribute id. This attribute is part of the key")
	_, err = s.GetItem(ctx, &GetItemRequest{Table: "none", Key: attrs("id", text("a"))})
	wantError(t, err, model.ErrNotFound, "none not found")
}

func TestItemsTooLarge(t *testing.T) {
	s, _ := newTables(t, 1)
	ctx := context.Background()
	big := text(strings.Repeat("x", model.MaxItemBytes-4))
	item := attrs("id", text("a"), "x", big)
	_, err := s.PutItem(ctx, &PutItemRequest{Table: "hash", Item: item})
	if err != nil {
		t.Fatal(err)
	}
	_, err = s.PutItem(ctx, &PutItemRequest{Table: "hash", Item: item.With("y", text(""))})
	wantError(t, err, model.ErrItemTooLarge, "Item size has exceeded the maximum allowed size")
	_, err = s.UpdateItem(ctx, &UpdateItemRequest{Table: "hash", Key: attrs("id", text("a")), Update: update(t, "SET y = :y", ":y", text("z"))})
	wantError(t, err, model.ErrItemTooLarge, "Item size to update has exceeded the maximum allowed size")
}

func TestConditions(t *testing.T) {
	s, _ := newTables(t, 1)
	ctx := context.Background()
	item := attrs("id", text("a"), "n", num("1"))
	must[*WriteResult](t)(s.PutItem(ctx, &PutItemRequest{Table: "hash", Item: item, Condition: condition(t, "attribute_not_exists(id)")}))
	_, err := s.PutItem(ctx, &PutItemRequest{Table: "hash", Item: item, Condition: condition(t, "attribute_not_exists(id)"), ReturnOnFail: true})
	wantError(t, err, model.ErrConditionFailed, "The conditional request failed")
	var e *model.Error
	if errors.As(err, &e); !model.DecodeItem(model.NewDecoder(e.Item)).Equal(item) {
		t.Error("the failed condition does not carry the item")
	}
	_, err = s.DeleteItem(ctx, &DeleteItemRequest{Table: "hash", Key: attrs("id", text("a")), Condition: condition(t, "n = :n", ":n", num("2"))})
	wantError(t, err, model.ErrConditionFailed, "The conditional request failed")
	_, err = s.UpdateItem(ctx, &UpdateItemRequest{Table: "hash", Key: attrs("id", text("a")), Update: update(t, "SET n = id + :n", ":n", num("2"))})
	wantError(t, err, model.ErrValidation, "An operand in the update expression has an incorrect data type")
}

func TestUnits(t *testing.T) {
	s, _ := newTables(t, 1)
	ctx := context.Background()
	item := attrs("id", text("a"), "x", text(strings.Repeat("x", 5000)))
	if r := must[*WriteResult](t)(s.PutItem(ctx, &PutItemRequest{Table: "hash", Item: item})); r.Units != 5 {
		t.Errorf("put of 5 KB: %v units", r.Units)
	}
	small := attrs("id", text("a"))
	if r := must[*WriteResult](t)(s.PutItem(ctx, &PutItemRequest{Table: "hash", Item: small, WantUnits: true})); r.Units != 5 {
		t.Errorf("put over 5 KB: %v units", r.Units)
	}
	for strong, want := range map[bool]float64{true: 1, false: 0.5} {
		if r := must[*GetItemResult](t)(s.GetItem(ctx, &GetItemRequest{Table: "hash", Key: small, Strong: strong})); r.Units != want {
			t.Errorf("get, strong %v: %v units", strong, r.Units)
		}
	}
	must[*WriteResult](t)(s.PutItem(ctx, &PutItemRequest{Table: "hash", Item: item}))
	if r := must[*GetItemResult](t)(s.GetItem(ctx, &GetItemRequest{Table: "hash", Key: small, Strong: true})); r.Units != 2 {
		t.Errorf("get of 5 KB: %v units", r.Units)
	}
	if r := must[*WriteResult](t)(s.UpdateItem(ctx, &UpdateItemRequest{Table: "hash", Key: small, Update: update(t, "REMOVE x")})); r.Units != 5 {
		t.Errorf("update of 5 KB: %v units", r.Units)
	}
	if r := must[*Page](t)(s.Scan(ctx, &ScanRequest{Table: "hash"})); r.Units != 0.5 {
		t.Errorf("scan: %v units", r.Units)
	}
}

func TestRetriesTakeEffectOnce(t *testing.T) {
	s, c := newTables(t, 4)
	ctx := context.Background()
	call := model.RequestID{1, 2, 3}
	req := &UpdateItemRequest{
		Invocation: call, Table: "hash", Key: attrs("id", text("a")),
		Update: update(t, "ADD n :one", ":one", num("1")), Return: model.ReturnUpdatedNew,
	}
	first := must[*WriteResult](t)(s.UpdateItem(ctx, req))
	c.Advance(model.DedupeWindow / 2)
	again := must[*WriteResult](t)(s.UpdateItem(ctx, req))
	if !again.Attributes.Equal(first.Attributes) || !again.Attributes.Equal(attrs("n", num("1"))) {
		t.Errorf("first %v, again %v", first.Attributes, again.Attributes)
	}
	other := *req
	other.Key = attrs("id", text("b"))
	if r := must[*WriteResult](t)(s.UpdateItem(ctx, &other)); !r.Attributes.Equal(attrs("n", num("1"))) {
		t.Errorf("another request under the same id: %v", r.Attributes)
	}
	req.Invocation = model.RequestID{} // a client that sends none means each request
	must[*WriteResult](t)(s.UpdateItem(ctx, req))
	if third := must[*WriteResult](t)(s.UpdateItem(ctx, req)); !third.Attributes.Equal(attrs("n", num("3"))) {
		t.Errorf("without an id: %v", third.Attributes)
	}
}

func TestTableIsGone(t *testing.T) {
	s, c := newTables(t, 1)
	ctx := context.Background()
	tab := must[*Table](t)(s.DescribeTable(ctx, "hash"))
	drop := &model.Command{Kind: model.CmdDropResource, Resource: tab.ID}
	must[model.Result](t)(c.Propose(ctx, drop))
	_, err := s.PutItem(ctx, &PutItemRequest{Table: "hash", Item: attrs("id", text("a"))})
	wantError(t, err, model.ErrNotFound, "Requested resource not found")
}

// BenchmarkPutItem measures the way from the request to the command's bytes.
func BenchmarkPutItem(b *testing.B) {
	s, _ := newTables(b, 1)
	s.cluster = sink{s.cluster}
	req := &PutItemRequest{
		Invocation: model.RequestID{1}, Table: "sorted",
		Item: attrs("id", text("user-000001"), "pos", num("1700000000"), "name", text("somebody"), "score", num("42")),
	}
	b.ReportAllocs()
	for b.Loop() {
		if _, err := s.PutItem(context.Background(), req); err != nil {
			b.Fatal(err)
		}
	}
}

// sink is a cluster that takes every command and does nothing.
type sink struct{ Cluster }

func (sink) Propose(context.Context, *model.Command) (model.Result, error) {
	return model.Result{}, nil
}
