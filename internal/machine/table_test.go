package machine

import (
	"encoding/json"
	"fmt"
	"strconv"
	"strings"
	"testing"

	"github.com/cockroachdb/datadriven"

	"weir.dev/weir/internal/expr"
	"weir.dev/weir/internal/keys"
	"weir.dev/weir/internal/model"
)

// TestTableScripts runs the scripts in testdata/table on one table whose
// partition key is p and whose sort key, in scripts that have one, is s. A
// command's input is lines of a word and what belongs to it; values are JSON.
func TestTableScripts(t *testing.T) {
	datadriven.Walk(t, "testdata/table", func(t *testing.T, path string) {
		r := newRig()
		datadriven.RunTest(t, path, func(t *testing.T, td *datadriven.TestData) string {
			s := parseScript(t, td.Input)
			switch td.Cmd {
			case "put", "update", "delete", "batch":
				return s.write(t, r, td.Cmd)
			case "get", "query", "scan", "multiget":
				return s.read(t, r, td.Cmd)
			case "dump":
				return dump(t, r)
			case "drop":
				out, err := r.apply(&model.Command{Kind: model.CmdDropResource, Resource: 7})
				return showResult(t, out.Result, err)
			default:
				t.Fatalf("unknown command %s", td.Cmd)
				return ""
			}
		})
	})
}

type scriptLine struct{ word, rest string }

// script is a command's input.
type script []scriptLine

func parseScript(t *testing.T, input string) (s script) {
	for _, line := range strings.Split(input, "\n") {
		if word, rest, _ := strings.Cut(line, " "); word != "" {
			s = append(s, scriptLine{word, rest})
		}
	}
	return s
}

func (s script) get(word string) (string, bool) {
	for _, l := range s {
		if l.word == word {
			return l.rest, true
		}
	}
	return "", false
}

func (s script) has(word string) bool { _, ok := s.get(word); return ok }

func (s script) number(word string) uint64 {
	text, _ := s.get(word)
	n, _ := strconv.ParseUint(text, 10, 64)
	return n
}

func (s script) item(t *testing.T, word string) model.Item {
	text, ok := s.get(word)
	if !ok {
		return nil
	}
	return jsonItem(t, text)
}

func (s script) params(t *testing.T) *expr.Params {
	var values model.Item
	for _, a := range s.item(t, "values") {
		values = append(values, model.Attr{Name: ":" + a.Name, Value: a.Value})
	}
	p, err := expr.NewParams(nil, values)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func (s script) condition(t *testing.T, word string) []byte {
	text, ok := s.get(word)
	if !ok {
		return nil
	}
	c, err := expr.ParseCondition(text, s.params(t))
	if err != nil {
		t.Fatal(err)
	}
	return c.Append(nil)
}

func (s script) projection(t *testing.T) []byte {
	text, ok := s.get("projection")
	if !ok {
		return nil
	}
	p, err := expr.ParseProjection(text, s.params(t))
	if err != nil {
		t.Fatal(err)
	}
	return p.Append(nil)
}

// itemKey encodes the key attributes p and s of an item.
func itemKey(item model.Item) []byte {
	p, _ := item.Get("p")
	key := keys.AppendValue(nil, p)
	if s, ok := item.Get("s"); ok {
		key = keys.AppendValue(key, s)
	}
	return key
}

func keyOnly(item model.Item) model.Item {
	var key model.Item
	for _, a := range item {
		if a.Name == "p" || a.Name == "s" {
			key = append(key, a)
		}
	}
	return key
}

var scriptReturns = map[string]model.ReturnMode{
	"all-old": model.ReturnAllOld, "updated-old": model.ReturnUpdatedOld,
	"all-new": model.ReturnAllNew, "updated-new": model.ReturnUpdatedNew,
}

func (s script) write(t *testing.T, r *rig, verb string) string {
	item := s.item(t, "item")
	key := itemKey(item)
	cmd := model.Command{Resource: 7}
	mode, _ := s.get("return")
	switch verb {
	case "put":
		put := model.PutItem{Key: key, Item: model.AppendItem(nil, item), Size: uint64(item.Size()), Condition: s.condition(t, "if"),
			ReturnOld: mode == "all-old", ReturnOnFail: s.has("on-fail"), WantSize: s.has("size")}
		cmd.Kind, cmd.Body = model.CmdPutItem, put.Append(nil)
	case "delete":
		del := model.DeleteItem{Key: key, Condition: s.condition(t, "if"),
			ReturnOld: mode == "all-old", ReturnOnFail: s.has("on-fail"), WantSize: s.has("size")}
		cmd.Kind, cmd.Body = model.CmdDeleteItem, del.Append(nil)
	case "update":
		up := model.UpdateItem{Key: key, KeyItem: model.AppendItem(nil, keyOnly(item)), Condition: s.condition(t, "if"),
			Return: scriptReturns[mode], ReturnOnFail: s.has("on-fail")}
		if text, ok := s.get("update"); ok {
			u, err := expr.ParseUpdate(text, s.params(t))
			if err != nil {
				t.Fatal(err)
			}
			up.Update = u.Append(nil)
		}
		cmd.Kind, cmd.Body = model.CmdUpdateItem, up.Append(nil)
	case "batch":
		key, cmd.Body = s.batch(t)
		cmd.Kind = model.CmdBatchWrite
	}
	cmd.Slot, _ = slotOfItem(key)
	out, err := r.apply(&cmd)
	return showResult(t, out.Result, err)
}

func (s script) batch(t *testing.T) (first, body []byte) {
	var batch model.BatchWrite
	for _, l := range s {
		item := jsonItem(t, l.rest)
		e := model.BatchEntry{Key: itemKey(item), Delete: l.word == "delete"}
		if !e.Delete {
			e.Item, e.Size = model.AppendItem(nil, item), uint64(item.Size())
		}
		batch.Writes = append(batch.Writes, e)
	}
	return batch.Writes[0].Key, batch.Append(nil)
}

func (s script) read(t *testing.T, r *rig, verb string) string {
	q := model.Query{Resource: 7}
	switch verb {
	case "get":
		key := itemKey(s.item(t, "item"))
		q.Kind, q.Body = model.QueryGetItem, (&model.GetItem{Key: key, Projection: s.projection(t)}).Append(nil)
	case "multiget":
		get := model.GetBatch{Projection: s.projection(t), MaxBytes: 1 << 20}
		if s.has("max") {
			get.MaxBytes = s.number("max")
		}
		for _, l := range s {
			if l.word == "item" {
				get.Keys = append(get.Keys, itemKey(jsonItem(t, l.rest)))
			}
		}
		q.Kind, q.Body = model.QueryGetBatch, get.Append(nil)
	case "query":
		q.Kind, q.Body = model.QueryItems, s.query(t).Append(nil)
	case "scan":
		scan := model.Scan{HiSlot: model.SlotCount, Filter: s.condition(t, "filter"), Projection: s.projection(t),
			Limit: s.number("limit"), MaxBytes: model.MaxPageBytes, CountOnly: s.has("count")}
		if s.has("after") {
			scan.After = itemKey(s.item(t, "after"))
		}
		q.Kind, q.Body = model.QueryScan, scan.Append(nil)
	}
	res, err := Query(r.view, &q)
	if err != nil {
		return err.Error() + "\n"
	}
	return showAnswer(t, verb, res)
}

func (s script) query(t *testing.T) *model.QueryPartition {
	value := func(word string) []byte {
		text, ok := s.get(word)
		if !ok {
			return nil
		}
		return keys.AppendValue(nil, jsonValue(t, text))
	}
	q := &model.QueryPartition{Partition: value("p"), Lo: value("lo"), Hi: value("hi"), After: value("after"), HasAfter: s.has("after"),
		Filter: s.condition(t, "filter"), Projection: s.projection(t),
		Limit: s.number("limit"), Reverse: s.has("reverse"), CountOnly: s.has("count")}
	return q
}

func showResult(t *testing.T, res model.Result, err error) string {
	switch {
	case err != nil:
		return "error: " + err.Error() + "\n"
	case res.Status == model.StatusConditionFailed:
		return "condition failed " + showItem(t, res.Body) + "\n"
	case res.Status == model.StatusInvalid:
		return "invalid: " + string(res.Body) + "\n"
	case res.Status != model.StatusOK:
		return fmt.Sprintf("status %d\n", res.Status)
	}
	var w model.WriteResult
	w.Decode(model.NewDecoder(res.Body))
	return fmt.Sprintf("ok charged=%d %s\n", w.Charged, showItem(t, w.Item))
}

func showAnswer(t *testing.T, verb string, res model.Result) string {
	var out strings.Builder
	d := model.NewDecoder(res.Body)
	switch verb {
	case "get":
		var get model.GetResult
		get.Decode(d)
		fmt.Fprintf(&out, "found=%v size=%d %s\n", get.Found, get.Size, showItem(t, get.Item))
	case "multiget":
		var batch model.GetBatchResult
		batch.Decode(d)
		for _, get := range batch.Results {
			fmt.Fprintf(&out, "found=%v size=%d %s\n", get.Found, get.Size, showItem(t, get.Item))
		}
	default:
		var page model.PageResult
		page.Decode(d)
		items, err := page.AppendItems(nil)
		if err != nil {
			t.Fatal(err)
		}
		for _, item := range items {
			fmt.Fprintln(&out, showItem(t, model.AppendItem(nil, item)))
		}
		fmt.Fprintf(&out, "scanned=%d count=%d size=%d", page.Scanned, page.Count, page.Size)
		if len(page.Last) > 0 {
			fmt.Fprintf(&out, " last=%s", keys.String(keys.AppendItem(nil, 7, 0, page.Last)))
		}
		out.WriteByte('\n')
	}
	if err := d.Done(); err != nil {
		t.Fatal(err)
	}
	return out.String()
}

func dump(t *testing.T, r *rig) string {
	var out strings.Builder
	for _, k := range r.view.keys {
		fmt.Fprint(&out, keys.String([]byte(k)))
		if rec, ok := keys.SplitItemRecord(r.view.values[k]); ok && k[0] == 'd' {
			fmt.Fprintf(&out, " stamp=%d size=%d %s", rec.Stamp, rec.Size, showItem(t, rec.Item))
		}
		out.WriteByte('\n')
	}
	return out.String()
}

func showItem(t *testing.T, encoded []byte) string {
	if len(encoded) == 0 {
		return "-"
	}
	item, err := decodeItem(encoded)
	if err != nil {
		t.Fatal(err)
	}
	return showValue(model.MapValue(item))
}

func showValue(v model.Value) string {
	var parts []string
	switch v.Kind {
	case model.KindS:
		if len(v.Str) > 40 {
			return fmt.Sprintf("text(%d)", len(v.Str))
		}
		return strconv.Quote(v.Str)
	case model.KindM:
		for _, a := range v.Map {
			parts = append(parts, strconv.Quote(a.Name)+":"+showValue(a.Value))
		}
		return "{" + strings.Join(parts, ",") + "}"
	case model.KindL:
		for _, e := range v.List {
			parts = append(parts, showValue(e))
		}
		return "[" + strings.Join(parts, ",") + "]"
	default:
		return v.Str
	}
}

// jsonItem reads {"name": value}; the string "repeat:1000" stands for a text of
// 1000 letters.
func jsonItem(t testing.TB, text string) model.Item {
	t.Helper()
	return jsonValue(t, text).Map
}

func jsonValue(t testing.TB, text string) model.Value {
	t.Helper()
	d := json.NewDecoder(strings.NewReader(text))
	d.UseNumber()
	var v any
	if err := d.Decode(&v); err != nil {
		t.Fatalf("%s: %v", text, err)
	}
	return toValue(t, v)
}

func toValue(t testing.TB, v any) model.Value {
	t.Helper()
	switch v := v.(type) {
	case string:
		if n, ok := strings.CutPrefix(v, "repeat:"); ok {
			count, _ := strconv.Atoi(n)
			return model.StringValue(strings.Repeat("x", count))
		}
		return model.StringValue(v)
	case json.Number:
		n, err := model.NumberValue(v.String())
		if err != nil {
			t.Fatal(err)
		}
		return n
	case []any:
		var list []model.Value
		for _, e := range v {
			list = append(list, toValue(t, e))
		}
		return model.ListValue(list...)
	case map[string]any:
		var attrs []model.Attr
		for name, e := range v {
			attrs = append(attrs, model.Attr{Name: name, Value: toValue(t, e)})
		}
		item, _ := model.NewItem(attrs)
		return model.MapValue(item)
	default:
		t.Fatalf("no value: %v", v)
		return model.Value{}
	}
}

// TestBatchOfAnotherTablet checks that nothing is written when a key of a
// batch belongs elsewhere.
func TestBatchOfAnotherTablet(t *testing.T) {
	mine, other := jsonItem(t, `{"p":"a"}`), jsonItem(t, `{"p":"b"}`)
	slot, _ := slotOfItem(itemKey(mine))
	r := &rig{machine: New(1, uint32(slot), uint32(slot)+1), view: newMemView()}
	if err := r.machine.Load(r.view); err != nil {
		t.Fatal(err)
	}
	batch := model.BatchWrite{Writes: []model.BatchEntry{
		{Key: itemKey(mine), Item: model.AppendItem(nil, mine)}, {Key: itemKey(other), Delete: true},
	}}
	out, err := r.apply(&model.Command{Kind: model.CmdBatchWrite, Resource: 7, Slot: slot, Body: batch.Append(nil)})
	if err != nil || out.Result.Status != model.StatusStale || len(r.view.keys) != 0 {
		t.Errorf("%+v %v, keys %q", out, err, r.view.keys)
	}
}

// FuzzTableCommands applies any bytes as the body of each table command and
// query: corruption is an error, never a panic.
func FuzzTableCommands(f *testing.F) {
	item := jsonItem(f, `{"p":"a","s":1}`)
	key, encoded := itemKey(item), model.AppendItem(nil, item)
	f.Add(byte(16), (&model.PutItem{Key: key, Item: encoded, Size: 4}).Append(nil))
	f.Add(byte(17), (&model.UpdateItem{Key: key, KeyItem: encoded}).Append(nil))
	f.Add(byte(18), (&model.DeleteItem{Key: key}).Append(nil))
	f.Add(byte(19), (&model.BatchWrite{Writes: []model.BatchEntry{{Key: key, Item: encoded}}}).Append(nil))
	f.Add(byte(17), (&model.QueryPartition{Partition: key, HasAfter: true}).Append(nil))
	f.Add(byte(18), (&model.Scan{HiSlot: model.SlotCount, After: key, MaxBytes: 9}).Append(nil))
	f.Add(byte(19), (&model.GetBatch{Keys: [][]byte{key, key}}).Append(nil))
	f.Fuzz(func(t *testing.T, kind byte, body []byte) {
		kind = 16 + kind%4
		r := newRig()
		_, _ = r.apply(&model.Command{Kind: model.CommandKind(kind), Resource: 7, Body: body})
		_, _ = Query(r.view, &model.Query{Kind: model.QueryKind(kind), Resource: 7, Body: body})
	})
}
