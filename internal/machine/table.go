package machine

import (
	"weir.dev/weir/internal/expr"
	"weir.dev/weir/internal/keys"
	"weir.dev/weir/internal/model"
)

// slotOfItem is the slot of an encoded item key.
func slotOfItem(key []byte) (model.Slot, bool) {
	partition, _, ok := keys.SplitPartition(key)
	return model.SlotOf(partition), ok
}

// storedItem is an item as a command or query finds it. It is decoded only when
// something looks inside it: a plain put or get moves bytes.
type storedItem struct {
	keys.ItemRecord
	read    bool // it was looked for
	found   bool // there is an item; with read and without found there may be a tombstone
	decoded bool
	item    model.Item // once decoded
}

// readItem reads the item of a table by its encoded key.
func readItem(r Reader, table model.ResourceID, key []byte) (storedItem, error) {
	slot, ok := slotOfItem(key)
	if !ok {
		return storedItem{}, model.ErrCorrupt
	}
	var buf [128]byte
	value, found, err := r.Get(keys.AppendItem(buf[:0], table, slot, key))
	if err != nil || !found {
		return storedItem{read: err == nil}, err
	}
	record, ok := keys.SplitItemRecord(value)
	if !ok {
		return storedItem{}, model.ErrCorrupt
	}
	return storedItem{ItemRecord: record, read: true, found: !record.Tombstone}, nil
}

// decode returns the item; the empty item when there is none, which is how
// conditions see it.
func (s *storedItem) decode() (item model.Item, err error) {
	if !s.found || s.decoded {
		return s.item, nil
	}
	s.item, err = decodeItem(s.Item)
	s.decoded = err == nil
	return s.item, err
}

func decodeItem(encoded []byte) (model.Item, error) {
	d := model.NewDecoder(encoded)
	item := model.DecodeItem(d)
	return item, d.Done()
}

// writeItem stores an item, given encoded, and its size, in the place of old,
// which it reads first if somebody has to know it and nobody has.
func writeItem(tx *Tx, old *storedItem, key, item []byte, size uint64, how *written) error {
	record := keys.ItemRecord{Stamp: tx.Command.Stamp, Size: size, Item: item}
	if tx.wanted != (wanted{}) {
		if err := succeed(tx, &record, old, key); err != nil {
			return err
		}
		if err := rememberWrite(tx, &record, old, how); err != nil {
			return err
		}
		tx.changes.note(tx, key, &record, old)
	}
	return setRecord(tx, key, &record)
}

func setRecord(tx *Tx, key []byte, record *keys.ItemRecord) error {
	slot, ok := slotOfItem(key)
	if !ok {
		return model.ErrCorrupt
	}
	tx.key = keys.AppendItem(tx.key[:0], tx.Command.Resource, slot, key)
	tx.value = keys.AppendItemRecord(tx.value[:0], record)
	tx.Set(tx.key, tx.value)
	return nil
}

// removeItem removes an item, if there is one. Where other regions write the
// table it leaves a tombstone.
func removeItem(tx *Tx, old *storedItem, key []byte) error {
	slot, ok := slotOfItem(key)
	if !ok {
		return model.ErrCorrupt
	}
	if tx.wanted != (wanted{}) {
		return removeWatched(tx, old, key)
	}
	tx.key = keys.AppendItem(tx.key[:0], tx.Command.Resource, slot, key)
	tx.Delete(tx.key)
	return nil
}

// holds evaluates an encoded condition, of which an empty one always holds.
func holds(condition []byte, old *storedItem) (bool, error) {
	if len(condition) == 0 {
		return true, nil
	}
	d := model.NewDecoder(condition)
	c := expr.DecodeCondition(d)
	if err := d.Done(); err != nil {
		return false, err
	}
	item, err := old.decode()
	if err != nil {
		return false, err
	}
	return c.Eval(item), nil
}

// conditionFailed is the result of a condition that did not hold.
func conditionFailed(old *storedItem, returnItem bool) model.Result {
	res := model.Result{Status: model.StatusConditionFailed}
	if returnItem && old.found {
		res.Body = old.Item
	}
	return res
}
