package machine

import (
	"fmt"
	"testing"

	"weir.dev/weir/internal/model"
)

func digestOf(t testing.TB, r *rig, q model.DigestQuery) (res model.DigestResult) {
	t.Helper()
	q.Kind = model.KindTable
	out, err := Query(r.view, &model.Query{Kind: model.QueryDigest, Resource: watchedTable, Body: q.Append(nil)})
	if err != nil {
		t.Fatal(err)
	}
	if res, err = bodyOf[model.DigestResult](out.Body); err != nil {
		t.Fatal(err)
	}
	return res
}

// endsOf asks for the same ranges again.
func endsOf(runs []model.DigestRun) (ends []model.DigestEnd) {
	for _, r := range runs {
		ends = append(ends, model.DigestEnd{Hi: r.Hi, Listed: r.Listed})
	}
	return ends
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
	a := digestOf(t, one, model.DigestQuery{Grain: 8, List: 4, MaxBytes: 1 << 20})
	items, listed := uint64(0), 0
	for _, r := range a.Runs {
		items += r.Items
		listed += len(r.Keys)
	}
	if len(a.Runs) != 13 || items != 100 || listed != 4 || len(a.Next) != 0 {
		t.Errorf("%d ranges of %d items, %d listed", len(a.Runs), items, listed)
	}
	same := model.DigestQuery{Ends: endsOf(a.Runs), MaxBytes: 1 << 20}
	if b := digestOf(t, two, same); fmt.Sprint(a.Runs) != fmt.Sprint(b.Runs) {
		t.Errorf("equal tables have other sums: %v and %v", a, b)
	}
	// In pages, and from the middle of a range.
	var whole, paged model.Sum
	for i := range a.Runs {
		whole.Add(&a.Runs[i].Sum)
	}
	q := model.DigestQuery{Ends: same.Ends, MaxBytes: 100}
	for pages := 0; ; pages++ {
		page := digestOf(t, two, q)
		for i := range page.Runs {
			paged.Add(&page.Runs[i].Sum)
		}
		if q.Lo = page.Next; len(q.Lo) == 0 {
			if pages < 5 {
				t.Errorf("%d pages", pages)
			}
			break
		}
		for len(q.Ends) > 1 && !model.Within(q.Lo, q.Ends[0].Hi) {
			q.Ends = q.Ends[1:]
		}
	}
	if paged != whole {
		t.Error("pages sum to something else")
	}
	putText(t, two, "k7", "2")
	b := digestOf(t, two, same)
	differing := 0
	for i := range a.Runs {
		if a.Runs[i].Sum != b.Runs[i].Sum {
			differing++
		}
	}
	if differing != 1 {
		t.Errorf("one changed item changes %d sums", differing)
	}
	part := digestOf(t, one, model.DigestQuery{Lo: model.SlotPlace(1000), Hi: model.SlotPlace(30000), Grain: 1000, List: 1000, MaxBytes: 1 << 20})
	if len(part.Runs) != 1 || part.Runs[0].Items == 0 || part.Runs[0].Items > 90 || len(part.Runs[0].Keys) != int(part.Runs[0].Items) {
		t.Errorf("a part is %+v", part)
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
