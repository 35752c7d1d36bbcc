package machine

import (
	"fmt"
	"testing"

	"weir.dev/weir/internal/model"
)

func digestOf(t testing.TB, r *rig, kind model.QueryKind, q model.DigestQuery) (res model.DigestResult) {
	t.Helper()
	out, err := Query(r.view, &model.Query{Kind: kind, Resource: watchedTable, Body: q.Append(nil)})
	if err != nil {
		t.Fatal(err)
	}
	if res, err = bodyOf[model.DigestResult](out.Body); err != nil {
		t.Fatal(err)
	}
	return res
}

// TestDigest holds sums to what they are for: equal items have equal sums
// however they were written and read, and any difference shows in one range.
func TestDigest(t *testing.T) {
	one, two := newRig(), newRig()
	watchTable(t, one, model.Watch{Reader: 9, Log: true, Keep: true})
	for i := range 100 {
		putText(t, one, fmt.Sprint("k", i), "1")
		putText(t, two, fmt.Sprint("k", 99-i), "0")
		putText(t, two, fmt.Sprint("k", 99-i), "1")
	}
	deleteText(t, one, "gone") // leaves a tombstone, which is no item
	whole := model.DigestQuery{HiSlot: model.SlotCount, Width: 1024, MaxBytes: 1 << 20}
	a, b := digestOf(t, one, model.QueryDigest, whole), digestOf(t, two, model.QueryDigest, whole)
	if fmt.Sprint(a.Sums) != fmt.Sprint(b.Sums) || len(a.Sums) != 64 || a.Items != 100 {
		t.Errorf("equal tables have other sums: %d sums, %d items", len(a.Sums), a.Items)
	}
	// In pages, and from the middle of a range.
	paged := model.DigestResult{Sums: make([]model.Sum, 64)}
	q := whole
	for q.MaxBytes = 100; ; {
		page := digestOf(t, one, model.QueryDigest, q)
		for i := range page.Sums {
			paged.Sums[i].Add(&page.Sums[i])
		}
		if q.After = page.Last; len(q.After) == 0 {
			break
		}
	}
	if fmt.Sprint(paged.Sums) != fmt.Sprint(a.Sums) {
		t.Error("pages sum to something else")
	}
	q = model.DigestQuery{LoSlot: 1000, HiSlot: 3000, Width: 1024, MaxBytes: 1 << 20}
	if got := digestOf(t, one, model.QueryDigest, q); len(got.Sums) != 3 || got.Sums[1] != a.Sums[1] {
		t.Errorf("a part has %d sums", len(got.Sums))
	}
	putText(t, two, "k7", "2")
	b = digestOf(t, two, model.QueryDigest, whole)
	differing := 0
	for i := range a.Sums {
		if a.Sums[i] != b.Sums[i] {
			differing++
		}
	}
	if differing != 1 {
		t.Errorf("one changed item changes %d sums", differing)
	}
	list := digestOf(t, one, model.QuerySums, whole)
	var all model.Sum
	for i := range list.Keys {
		all.Add(&list.Keys[i].Sum)
	}
	for i := range a.Sums {
		all.Add(&a.Sums[i])
	}
	if len(list.Keys) != 100 || all != (model.Sum{}) {
		t.Errorf("%d keys, whose sums are not those of the ranges", len(list.Keys))
	}
}

// TestRewrite writes an item, and an absence, once more, and nothing when it has
// changed meanwhile.
func TestRewrite(t *testing.T) {
	r := newRig()
	watchTable(t, r, model.Watch{Reader: 9, Log: true, Keep: true})
	putText(t, r, "a", "1")
	first := logOf(t, r, 0)[0]
	rewrite := func(key []byte, version model.Version) model.Status {
		body := model.Rewrite{Self: 5, Key: key, If: version.Rename(0, 5)}
		return change(t, r, model.CmdRewrite, watchedTable, body.Append(nil), nil)
	}
	if s := rewrite(first.Key, model.Version{Stamp: 1}); s != model.StatusStale {
		t.Errorf("status %d", s)
	}
	if s := rewrite(first.Key, first.Version); s != model.StatusOK {
		t.Errorf("status %d", s)
	}
	log := logOf(t, r, 1)
	if len(log) != 1 || string(log[0].Item) != string(first.Item) || log[0].Version.Stamp <= first.Version.Stamp {
		t.Errorf("%+v", log)
	}
	if s := rewrite(itemKey(jsonItem(t, `{"p":"never"}`)), model.Version{}); s != model.StatusOK {
		t.Errorf("status %d", s)
	}
	if log = logOf(t, r, 2); len(log) != 1 || !log[0].Delete {
		t.Errorf("%+v", log)
	}
}
