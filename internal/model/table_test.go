package model

import (
	"bytes"
	"encoding/hex"
	"reflect"
	"testing"
)

// tableBody is what every body of a table command, query or answer has.
type tableBody interface {
	Append([]byte) []byte
	Decode(*Decoder)
}

// tableBodies are examples of all bodies, with each field set.
func tableBodies() []tableBody {
	item := AppendItem(nil, Item{{Name: "p", Value: StringValue("a")}})
	return []tableBody{
		&TableSpec{
			TableID: "id", Attributes: []KeyAttr{{"p", KindS}, {"s", KindN}}, Partition: KeyAttr{"p", KindS}, Sort: KeyAttr{"s", KindN},
			Billing: BillingProvisioned, ReadUnits: 5, WriteUnits: 300, Tags: []Tag{{"k", "v"}}, DeletionProtection: true, Class: ClassInfrequentAccess, KmsKey: "alias/k",
		},
		&PutItem{Key: []byte("k"), Condition: []byte("c"), ReturnOld: true, ReturnOnFail: true, WantSize: true, Size: 300, Item: item},
		&UpdateItem{Key: []byte("k"), KeyItem: item, Update: []byte("u"), Condition: []byte("c"), Return: ReturnUpdatedNew, ReturnOnFail: true},
		&DeleteItem{Key: []byte("k"), Condition: []byte("c"), ReturnOld: true, ReturnOnFail: true, WantSize: true},
		&BatchWrite{Writes: []BatchEntry{{Key: []byte("k"), Size: 300, Item: item}, {Key: []byte("l"), Delete: true}}},
		&WriteResult{Charged: 300, Item: item},
		&GetItem{Key: []byte("k"), Projection: []byte("p")},
		&GetResult{Found: true, Size: 300, Item: item},
		&QueryPartition{
			Partition: []byte("p"), Lo: []byte("l"), Hi: []byte("h"), After: []byte("a"), HasAfter: true,
			Filter: []byte("f"), Projection: []byte("p"), Limit: 300, Reverse: true, CountOnly: true,
		},
		&Scan{LoSlot: 1, HiSlot: SlotCount, After: []byte("a"), Filter: []byte("f"), Projection: []byte("p"), Limit: 300, MaxBytes: 1000, CountOnly: true},
		&PageResult{Scanned: 3, Count: 2, Size: 300, Last: []byte("l"), Items: append(bytes.Clone(item), item...)},
		&GetBatch{Keys: [][]byte{[]byte("k"), []byte("l")}, Projection: []byte("p"), MaxBytes: 300},
		&GetBatchResult{Results: []GetResult{{Found: true, Size: 300, Item: item}, {}}},
	}
}

// fresh returns a zero body of the same type.
func fresh(b tableBody) tableBody {
	return reflect.New(reflect.TypeOf(b).Elem()).Interface().(tableBody)
}

func TestTableBodiesRoundTrip(t *testing.T) {
	for _, want := range tableBodies() {
		encoded := want.Append(nil)
		got, d := fresh(want), NewDecoder(encoded)
		got.Decode(d)
		if err := d.Done(); err != nil || !reflect.DeepEqual(got, want) {
			t.Errorf("%T: %v\n got %+v\nwant %+v", want, err, got, want)
		}
	}
}

// TestTableGolden pins the stored bodies. They are described in
// docs/format/command-table.md.
func TestTableGolden(t *testing.T) {
	golden := []string{
		"0102696402017001017302017001017302010205ac020101016b017607616c6961732f6b",
		"07016b0163ac02010170010161",
		"0204016b0601017001016101630175",
		"07016b0163",
		"0200016bac020601017001016101016c",
		"ac02010170010161",
	}
	for i, want := range golden {
		body := tableBodies()[i]
		if got := hex.EncodeToString(body.Append(nil)); got != want {
			t.Errorf("%T: %s", body, got)
		}
	}
}

func TestPutHeadThenItemIsTheBody(t *testing.T) {
	item := Item{{Name: "p", Value: StringValue("a")}}
	put := PutItem{Key: []byte("k"), Size: 2, Item: AppendItem(nil, item)}
	if got := AppendItem(put.AppendHead(nil), item); !bytes.Equal(got, put.Append(nil)) {
		t.Errorf("%x", got)
	}
}

func TestPageItems(t *testing.T) {
	item := Item{{Name: "p", Value: StringValue("a")}}
	page := PageResult{Items: AppendItem(AppendItem(nil, item), item)}
	items, err := page.AppendItems(nil)
	if err != nil || len(items) != 2 || !items[1].Equal(item) {
		t.Errorf("%v %v", items, err)
	}
	page.Items = append(page.Items, 0xff)
	if _, err := page.AppendItems(nil); err == nil {
		t.Error("a malformed item was taken")
	}
}

// FuzzTableBodies decodes any bytes as every body: no panic, and what decodes
// encodes to something that decodes to the same.
func FuzzTableBodies(f *testing.F) {
	for i, b := range tableBodies() {
		f.Add(byte(i), b.Append(nil))
	}
	f.Fuzz(func(t *testing.T, which byte, data []byte) {
		all := tableBodies()
		body := fresh(all[int(which)%len(all)])
		d := NewDecoder(data)
		body.Decode(d)
		if d.Done() != nil {
			return
		}
		again, d2 := fresh(body), NewDecoder(body.Append(nil))
		again.Decode(d2)
		if err := d2.Done(); err != nil || !bytes.Equal(again.Append(nil), body.Append(nil)) {
			t.Errorf("%T: %v: %+v became %+v", body, err, body, again)
		}
	})
}
