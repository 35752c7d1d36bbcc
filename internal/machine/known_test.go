package machine

import (
	"reflect"
	"testing"

	"weir.dev/weir/internal/keys"
	"weir.dev/weir/internal/model"
)

// TestKnown: what Known says before a command is applied is what applying it
// gives, and it says nothing of commands whose result depends on the state.
func TestKnown(t *testing.T) {
	item := model.Item{{Name: "p", Value: model.StringValue("a")}}
	encoded, size := model.AppendItem(nil, item), uint64(item.Size())
	key := keys.AppendValue(nil, item[0].Value)
	put := func(p model.PutItem) *model.Command {
		p.Key, p.Item, p.Size = key, encoded, max(p.Size, size)
		return &model.Command{Kind: model.CmdPutItem, Resource: 7, Body: p.Append(nil)}
	}
	del := func(d model.DeleteItem) *model.Command {
		d.Key = key
		return &model.Command{Kind: model.CmdDeleteItem, Resource: 7, Body: d.Append(nil)}
	}
	batch := model.BatchWrite{Writes: []model.BatchEntry{{Key: key, Item: encoded, Size: size}}}
	batchOf := &model.Command{Kind: model.CmdBatchWrite, Resource: 7, Body: batch.Append(nil)}
	slot, _ := slotOfItem(key)
	for _, c := range []struct {
		name  string
		cmd   *model.Command
		known bool
	}{
		{"put", put(model.PutItem{}), true},
		{"put with a condition", put(model.PutItem{Condition: []byte{1}}), false},
		{"put that returns the old item", put(model.PutItem{ReturnOld: true}), false},
		{"put that is charged for the old item", put(model.PutItem{WantSize: true}), false},
		{"put that is too large", put(model.PutItem{Size: model.MaxItemBytes + 1}), false},
		{"delete", del(model.DeleteItem{}), true},
		{"delete with a condition", del(model.DeleteItem{Condition: []byte{1}}), false},
		{"delete that returns the old item", del(model.DeleteItem{ReturnOld: true}), false},
		{"batch", batchOf, true},
		{"damaged", &model.Command{Kind: model.CmdPutItem, Resource: 7, Body: []byte{0xff}}, false},
		{"update", &model.Command{Kind: model.CmdUpdateItem, Resource: 7}, false},
		{"send", &model.Command{Kind: model.CmdSend, Resource: 7}, false},
	} {
		r := newRig()
		known := func() (model.Result, bool) { return Known(r.view, r.machine.tablet, r.machine.lo, r.machine.hi, c.cmd) }
		res, ok := known()
		if ok != c.known {
			t.Errorf("%s: known %v", c.name, ok)
		}
		if !c.known {
			continue
		}
		for range 2 { // whether there is an item or not
			out, err := r.apply(c.cmd)
			if err != nil || !reflect.DeepEqual(out.Result, res) {
				t.Errorf("%s: applying gives %+v, %v; %+v was known before", c.name, out.Result, err, res)
			}
		}
		if _, err := r.apply(&model.Command{Kind: model.CmdDropResource, Resource: 7}); err != nil {
			t.Fatal(err)
		}
		if _, ok := known(); ok {
			t.Errorf("%s: its result is known though the table is dropped", c.name)
		}
	}
	if _, ok := Known(newRig().view, 1, uint32(slot)+1, model.SlotCount, batchOf); ok {
		t.Error("the result of a batch for another tablet is known")
	}
}
