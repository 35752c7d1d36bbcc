package service

import (
	"context"
	"fmt"
	"testing"

	"weir.dev/weir/internal/model"
)

func TestCreateTableRules(t *testing.T) {
	s, _ := newFake(t, 1)
	for _, c := range []struct {
		name   string
		change func(r *CreateTableRequest)
		want   string
	}{
		{"range first", func(r *CreateTableRequest) { r.KeySchema[0].Type = "RANGE" }, "Invalid KeySchema: The first KeySchemaElement is not a HASH key type"},
		{"hash twice", func(r *CreateTableRequest) { r.KeySchema[1].Type = "HASH" }, "Invalid KeySchema: The second KeySchemaElement is not a RANGE key type"},
		{"same name", func(r *CreateTableRequest) { r.KeySchema[1].Name = "id" }, "Both the Hash Key and the Range Key element in the KeySchema have the same name"},
		{"undefined", func(r *CreateTableRequest) { r.KeySchema[1].Name = "x" }, "One or more parameter values were invalid: Some index key attributes are not defined in AttributeDefinitions. Keys: [id, x], AttributeDefinitions: [pos, id]"},
		{"unused", func(r *CreateTableRequest) { r.KeySchema = r.KeySchema[:1] }, "One or more parameter values were invalid: Number of attributes in KeySchema does not exactly match number of attributes defined in AttributeDefinitions"},
		{"defined twice", func(r *CreateTableRequest) { r.Attributes[0].Name = "id" }, "Cannot have two attributes with the same name"},
		{"no units", func(r *CreateTableRequest) { r.Billing = 0 }, "One or more parameter values were invalid: ReadCapacityUnits and WriteCapacityUnits must both be specified when BillingMode is PROVISIONED"},
		{"units", func(r *CreateTableRequest) { r.ReadUnits = 1 }, "One or more parameter values were invalid: Neither ReadCapacityUnits nor WriteCapacityUnits can be specified when BillingMode is PAY_PER_REQUEST"},
	} {
		t.Run(c.name, func(t *testing.T) {
			req := sortedTable()
			c.change(req)
			_, err := s.CreateTable(context.Background(), req)
			wantError(t, err, model.ErrValidation, c.want)
		})
	}
}

func TestCreateTableAgain(t *testing.T) {
	s, _ := newFake(t, 1)
	ctx := context.Background()
	req := hashTable()
	req.Invocation = model.RequestID{1}
	first := must[*Table](t)(s.CreateTable(ctx, req))
	retried := must[*Table](t)(s.CreateTable(ctx, req))
	if first.ID != retried.ID || first.Spec.TableID != retried.Spec.TableID {
		t.Errorf("the retry made %+v, the first try %+v", retried, first)
	}
	req.Invocation = model.RequestID{2}
	_, err := s.CreateTable(ctx, req)
	wantError(t, err, model.ErrInUse, "Table already exists: hash")
}

func TestUpdateAndDeleteTable(t *testing.T) {
	s, _ := newTables(t, 1)
	ctx := context.Background()
	_, err := s.UpdateTable(ctx, &UpdateTableRequest{Name: "hash"})
	wantError(t, err, model.ErrValidation, msgNothingToDo)
	on, off, read, write, provisioned := true, false, uint64(5), uint64(6), model.BillingProvisioned
	_, err = s.UpdateTable(ctx, &UpdateTableRequest{Name: "hash", Billing: &provisioned})
	wantError(t, err, model.ErrValidation, msgNeedUnits)
	must[*Table](t)(s.UpdateTable(ctx, &UpdateTableRequest{
		Name: "hash", Billing: &provisioned, ReadUnits: &read, WriteUnits: &write, DeletionProtection: &on,
	}))
	tab := must[*Table](t)(s.DescribeTable(ctx, "hash"))
	if tab.Spec.ReadUnits != 5 || tab.Spec.WriteUnits != 6 || !tab.Spec.DeletionProtection {
		t.Errorf("%+v", tab.Spec)
	}
	_, err = s.DeleteTable(ctx, "hash")
	wantError(t, err, model.ErrValidation, "Resource cannot be deleted as it is currently protected against deletion. Disable deletion protection first.")
	must[*Table](t)(s.UpdateTable(ctx, &UpdateTableRequest{Name: "hash", DeletionProtection: &off}))
	if deleted := must[*Table](t)(s.DeleteTable(ctx, "hash")); !deleted.Deleting || deleted.ID != tab.ID {
		t.Errorf("%+v", deleted)
	}
	_, err = s.DescribeTable(ctx, "hash")
	wantError(t, err, model.ErrNotFound, "hash not found")
	if again := must[*Table](t)(s.CreateTable(ctx, hashTable())); again.ID == tab.ID {
		t.Error("the new table has the old one's id")
	}
}

func TestListTables(t *testing.T) {
	s, _ := newFake(t, 1)
	ctx := context.Background()
	for i := range 5 {
		req := hashTable()
		req.Name = fmt.Sprintf("table-%d", i)
		must[*Table](t)(s.CreateTable(ctx, req))
	}
	var pages []string
	for start := ""; ; {
		page := must[*ListTablesResult](t)(s.ListTables(ctx, &ListTablesRequest{Start: start, Limit: 2}))
		pages = append(pages, fmt.Sprint(page.Names))
		if start = page.Last; start == "" {
			break
		}
	}
	if got := fmt.Sprint(pages); got != "[[table-0 table-1] [table-2 table-3] [table-4]]" {
		t.Error(got)
	}
}

// TestTableCacheFollowsTheCatalog checks that a changed spec is seen.
func TestTableCacheFollowsTheCatalog(t *testing.T) {
	s, _ := newTables(t, 1)
	ctx := context.Background()
	must[*Table](t)(s.DescribeTable(ctx, "hash"))
	must[*Table](t)(s.DescribeTable(ctx, "sorted"))
	must[*Table](t)(s.DeleteTable(ctx, "hash"))
	on := true
	must[*Table](t)(s.UpdateTable(ctx, &UpdateTableRequest{Name: "sorted", DeletionProtection: &on}))
	if tab := must[*Table](t)(s.DescribeTable(ctx, "sorted")); !tab.Spec.DeletionProtection {
		t.Error("the cache shows an old spec")
	}
}
