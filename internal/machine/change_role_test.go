package machine

import (
	"testing"

	"weir.dev/weir/internal/keys"
	"weir.dev/weir/internal/model"
)

// TestPassiveTables checks that a passive table refuses clients and takes in
// what regions say, that a refusal is not remembered as a request's result, and
// that what was decided from an older resource changes nothing.
func TestPassiveTables(t *testing.T) {
	r := newRig()
	watchTable(t, r, model.Watch{Reader: 9, Version: 3, Log: true, Keep: true})
	role := func(version uint64, passive bool) model.Status {
		body := model.Role{Version: version, Passive: passive}
		return change(t, r, model.CmdRole, 9, body.Append(nil), nil)
	}
	if s := role(2, true); s != model.StatusStale {
		t.Errorf("a role of an older version: status %d", s)
	}
	if s := role(4, true); s != model.StatusOK {
		t.Fatalf("passive: status %d", s)
	}
	old := model.Watch{Reader: 9, Version: 3, Off: true}
	if s := change(t, r, model.CmdWatch, watchedTable, old.Append(nil), nil); s != model.StatusStale {
		t.Errorf("a watch of an older version: status %d", s)
	}
	if err := r.machine.Load(r.view); err != nil { // as after a restart
		t.Fatal(err)
	}
	item := jsonItem(t, `{"p":"a"}`)
	put := model.PutItem{Key: itemKey(item), Item: model.AppendItem(nil, item)}
	cmd := &model.Command{Kind: model.CmdPutItem, ID: model.RequestID{1}, Resource: watchedTable, Body: put.Append(nil)}
	status := func(cmd *model.Command) model.Status {
		out, err := r.apply(cmd)
		if err != nil {
			t.Fatal(err)
		}
		return out.Result.Status
	}
	if s := status(cmd); s != model.StatusPassive {
		t.Errorf("a put into a passive table: status %d", s)
	}
	other := *cmd
	other.Resource = 8
	if s := status(&other); s != model.StatusOK {
		t.Errorf("a put into another table: status %d", s)
	}
	came := model.ApplyChanges{Self: 5, Changes: []model.Change{{Version: model.Version{Stamp: 1, Region: 6}, Key: put.Key, Item: put.Item}}}
	if s := change(t, r, model.CmdApplyChanges, watchedTable, came.Append(nil), nil); s != model.StatusOK {
		t.Errorf("what another region wrote: status %d", s)
	}
	if s := readerState(t, r, 9); !s.Passive || s.Version != 4 {
		t.Errorf("%+v", s)
	}
	if s := role(5, false); s != model.StatusOK {
		t.Errorf("active: status %d", s)
	}
	if s := status(cmd); s != model.StatusOK {
		t.Errorf("the retry of a refused put: status %d", s)
	}
	role(6, true)
	change(t, r, model.CmdDropResource, 9, nil, nil)
	if s := status(&model.Command{Kind: model.CmdPutItem, Resource: watchedTable, Body: put.Append(nil)}); s != model.StatusOK {
		t.Errorf("a table is passive for a reader that is gone: status %d", s)
	}
	for _, k := range r.view.keys {
		if _, ok := keys.SplitReader([]byte(k)); ok {
			t.Errorf("a reader is left: %s", keys.String([]byte(k)))
		}
	}
}
