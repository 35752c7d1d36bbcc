package machine

import (
	"errors"

	"weir.dev/weir/internal/expr"
	"weir.dev/weir/internal/model"
)

// applyPutItem replaces or creates an item.
func applyPutItem(_ *Machine, tx *Tx) (model.Result, error) {
	var put model.PutItem
	d := model.NewDecoder(tx.Command.Body)
	put.Decode(d)
	if err := d.Done(); err != nil {
		return model.Result{}, err
	}
	if put.Size > model.MaxItemBytes {
		return model.Result{Status: model.StatusTooLarge}, nil
	}
	var old storedItem
	if len(put.Condition) > 0 || put.ReturnOld || put.WantSize {
		var err error
		if old, err = readItem(tx, tx.Command.Resource, put.Key); err != nil {
			return model.Result{}, err
		}
	}
	if ok, err := holds(put.Condition, &old); err != nil {
		return model.Result{}, err
	} else if !ok {
		return conditionFailed(&old, put.ReturnOnFail), nil
	}
	if err := writeItem(tx, &old, put.Key, put.Item, put.Size, &wholly); err != nil {
		return model.Result{}, err
	}
	return writeResult(&old, put.ReturnOld, old.Size), nil
}

// applyDeleteItem removes an item; an absent one is no error.
func applyDeleteItem(_ *Machine, tx *Tx) (model.Result, error) {
	var del model.DeleteItem
	d := model.NewDecoder(tx.Command.Body)
	del.Decode(d)
	if err := d.Done(); err != nil {
		return model.Result{}, err
	}
	var old storedItem
	if len(del.Condition) > 0 || del.ReturnOld || del.WantSize {
		var err error
		if old, err = readItem(tx, tx.Command.Resource, del.Key); err != nil {
			return model.Result{}, err
		}
	}
	if ok, err := holds(del.Condition, &old); err != nil {
		return model.Result{}, err
	} else if !ok {
		return conditionFailed(&old, del.ReturnOnFail), nil
	}
	if err := removeItem(tx, &old, del.Key); err != nil {
		return model.Result{}, err
	}
	return writeResult(&old, del.ReturnOld, old.Size), nil
}

func writeResult(old *storedItem, returnOld bool, charged uint64) model.Result {
	w := model.WriteResult{Charged: charged}
	if returnOld && old.found {
		w.Item = old.Item
	}
	return model.Result{Body: w.Append(nil)}
}

// applyUpdateItem changes an item, or creates it from its key. An update that
// only takes away does not create an item, as at DynamoDB; an empty one does.
func applyUpdateItem(_ *Machine, tx *Tx) (model.Result, error) {
	var cmd model.UpdateItem
	d := model.NewDecoder(tx.Command.Body)
	cmd.Decode(d)
	if err := d.Done(); err != nil {
		return model.Result{}, err
	}
	old, err := readItem(tx, tx.Command.Resource, cmd.Key)
	if err != nil {
		return model.Result{}, err
	}
	if ok, err := holds(cmd.Condition, &old); err != nil {
		return model.Result{}, err
	} else if !ok {
		return conditionFailed(&old, cmd.ReturnOnFail), nil
	}
	up, err := decodeUpdate(&cmd, &old)
	if err != nil {
		return model.Result{}, err
	}
	next, fault := up.run()
	if fault != nil {
		return model.Result{Status: model.StatusInvalid, Body: []byte(fault.Message)}, nil
	}
	if !old.found && up.update != nil && up.update.OnlyRemoves() {
		return model.Result{}, nil
	}
	size := uint64(next.Size())
	if size > model.MaxItemBytes {
		return model.Result{Status: model.StatusTooLarge}, nil
	}
	encoded := model.AppendItem(make([]byte, 0, size+size/8+16), next)
	if err := writeItem(tx, &old, cmd.Key, encoded, size, &written{partly: true, update: up.update, next: next}); err != nil {
		return model.Result{}, err
	}
	w := model.WriteResult{Charged: max(old.Size, size), Item: up.returned(cmd.Return, &old, next, encoded)}
	return model.Result{Body: w.Append(nil)}, nil
}

// updating is an UpdateItem under way.
type updating struct {
	update *expr.Update // nil: none
	old    model.Item   // nil when there is no item
	base   model.Item   // what the update starts from: old, or the key alone
	key    model.Item
}

func decodeUpdate(cmd *model.UpdateItem, old *storedItem) (u updating, err error) {
	if len(cmd.Update) > 0 {
		d := model.NewDecoder(cmd.Update)
		u.update = expr.DecodeUpdate(d)
		if err := d.Done(); err != nil {
			return u, err
		}
	}
	if u.key, err = decodeItem(cmd.KeyItem); err != nil {
		return u, err
	}
	if u.old, err = old.decode(); err != nil {
		return u, err
	}
	u.base = u.key
	if old.found {
		u.base = u.old
	}
	return u, nil
}

// run returns the item after the update, or what a client did wrong.
func (u *updating) run() (model.Item, *model.Error) {
	if u.update == nil {
		return u.base, nil
	}
	names := make([]string, 0, 2)
	for i := range u.key {
		names = append(names, u.key[i].Name)
	}
	next, err := u.update.Apply(u.base, names...)
	if err == nil {
		return next, nil
	}
	var fault *model.Error
	if !errors.As(err, &fault) {
		fault = model.Errorf(model.ErrValidation, "%v", err)
	}
	return nil, fault
}

// returned is the encoded part of the item that the client asked for; empty
// for none.
func (u *updating) returned(mode model.ReturnMode, old *storedItem, next model.Item, encoded []byte) []byte {
	var part model.Item
	switch {
	case mode == model.ReturnAllOld && old.found:
		return old.Item
	case mode == model.ReturnAllNew:
		return encoded
	case mode == model.ReturnUpdatedOld && old.found && u.update != nil:
		part = u.update.UpdatedOld(u.old)
	case mode == model.ReturnUpdatedNew && u.update != nil:
		part = u.update.UpdatedNew(next)
	}
	if len(part) == 0 {
		return nil
	}
	return model.AppendItem(nil, part)
}

// applyBatchWrite puts and deletes several items of the tablet together.
func applyBatchWrite(m *Machine, tx *Tx) (model.Result, error) {
	var batch model.BatchWrite
	d := model.NewDecoder(tx.Command.Body)
	batch.Decode(d)
	if err := d.Done(); err != nil {
		return model.Result{}, err
	}
	for i := range batch.Writes {
		slot, ok := slotOfItem(batch.Writes[i].Key)
		if !ok {
			return model.Result{}, model.ErrCorrupt
		}
		if uint32(slot) < m.lo || uint32(slot) >= m.hi {
			return model.Result{Status: model.StatusStale}, nil
		}
		if batch.Writes[i].Size > model.MaxItemBytes {
			return model.Result{Status: model.StatusTooLarge}, nil
		}
	}
	for i := range batch.Writes {
		w := &batch.Writes[i]
		var old storedItem
		var err error
		if w.Delete {
			err = removeItem(tx, &old, w.Key)
		} else {
			err = writeItem(tx, &old, w.Key, w.Item, w.Size, &wholly)
		}
		if err != nil {
			return model.Result{}, err
		}
	}
	return model.Result{}, nil
}
