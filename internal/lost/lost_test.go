package lost

import (
	"os"
	"path/filepath"
	"reflect"
	"testing"

	"weir.dev/weir/internal/keys"
	"weir.dev/weir/internal/model"
)

// golden is a file as docs/format/lost.md describes it.
const golden = `{"table":"orders","resource":12,"tablet":"t3","term":7,"index":120,"ordinal":1,"proposed":"2023-11-14T22:13:20.001Z","answered":true,"certain":false,"op":"put","key":"S\"a\"","item":{"b":{"B":"AQI="},"f":{"BOOL":true},"l":{"L":[{"N":"1"},{"NULL":true}]},"m":{"M":{"x":{"S":"y"}}},"n":{"NS":["1","2"]},"pk":{"S":"a"},"s":{"BS":["AQ=="]}}}
{"table":"orders","resource":12,"tablet":"t3","term":7,"index":120,"ordinal":2,"proposed":"2023-11-14T22:13:20.001Z","answered":false,"certain":true,"op":"delete","key":"S\"a\""}
`

func itemKey(t *testing.T, v model.Value) []byte {
	t.Helper()
	return keys.AppendValue(nil, v)
}

func examples(t *testing.T) []Write {
	t.Helper()
	one, _ := model.NumberValue("1")
	two, _ := model.NumberValue("2")
	item, _ := model.NewItem([]model.Attr{
		{Name: "pk", Value: model.StringValue("a")}, {Name: "b", Value: model.BytesValue([]byte{1, 2})}, {Name: "f", Value: model.BoolValue(true)},
		{Name: "l", Value: model.ListValue(one, model.NullValue())}, {Name: "m", Value: model.MapValue(model.Item{{Name: "x", Value: model.StringValue("y")}})},
		{Name: "n", Value: model.Value{Kind: model.KindNS, List: []model.Value{one, two}}},
		{Name: "s", Value: model.Value{Kind: model.KindBS, List: []model.Value{model.BytesValue([]byte{1})}}},
	})
	key := itemKey(t, model.StringValue("a"))
	put := model.PutItem{Key: key, Item: model.AppendItem(nil, item), Size: uint64(item.Size())}
	del := model.DeleteItem{Key: key}
	const stamp = model.Stamp(1700000000001 << 16)
	var all []Write
	for i, cmd := range []model.Command{
		{Kind: model.CmdPutItem, Resource: 12, Stamp: stamp, Body: put.Append(nil)},
		{Kind: model.CmdDeleteItem, Resource: 12, Stamp: stamp, Body: del.Append(nil)},
	} {
		writes, err := Writes(At{Tablet: 3, Term: 7, Index: 120, Ordinal: uint32(i + 1), Answered: i == 0, Certain: i == 1}, "orders", &cmd)
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, writes...)
	}
	return all
}

// TestGoldenFile holds the files to docs/format/lost.md, and to being written
// once: what is saved again is the same file.
func TestGoldenFile(t *testing.T) {
	dir := filepath.Join(t.TempDir(), Dir)
	want := examples(t)
	for range 2 {
		path, err := Save(dir, want)
		if err != nil {
			t.Fatal(err)
		}
		if got, err := os.ReadFile(path); err != nil || string(got) != golden {
			t.Errorf("%s: %v\n got %s\nwant %s", path, err, got, golden)
		}
	}
	if err := os.WriteFile(filepath.Join(dir, "t3-term-9-index-1.jsonl.new"), []byte("{"), 0o600); err != nil {
		t.Fatal(err)
	}
	files, err := Load(dir)
	if err != nil || len(files) != 1 || !reflect.DeepEqual(files[0].Writes, want) {
		t.Errorf("%+v, %v", files, err)
	}
	if files, err := Load(filepath.Join(dir, "absent")); len(files) != 0 || err != nil {
		t.Errorf("%+v, %v", files, err)
	}
}

// TestBatch: each write of a batch is a line, and what cannot have been answered
// early is refused.
func TestBatch(t *testing.T) {
	item := model.Item{{Name: "pk", Value: model.StringValue("a")}}
	batch := model.BatchWrite{Writes: []model.BatchEntry{
		{Key: itemKey(t, model.StringValue("a")), Item: model.AppendItem(nil, item), Size: 3}, {Key: itemKey(t, model.StringValue("b")), Delete: true},
	}}
	writes, err := Writes(At{}, "", &model.Command{Kind: model.CmdBatchWrite, Body: batch.Append(nil)})
	if err != nil || len(writes) != 2 || writes[0].Op != "put" || writes[1].Op != "delete" || string(writes[0].Item) != `{"pk":{"S":"a"}}` {
		t.Errorf("%+v, %v", writes, err)
	}
	if _, err := Writes(At{}, "", &model.Command{Kind: model.CmdUpdateItem}); err == nil {
		t.Error("an update has no result that is known before it is applied")
	}
}

func FuzzParse(f *testing.F) {
	f.Add([]byte(golden))
	f.Add([]byte("{\n"))
	f.Fuzz(func(t *testing.T, content []byte) {
		if writes, err := Parse(content); err == nil {
			for i := range writes {
				_ = writes[i].Item
			}
		}
	})
}
