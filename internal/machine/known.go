package machine

import (
	"weir.dev/weir/internal/keys"
	"weir.dev/weir/internal/model"
)

// Known returns the result that a command will have in the tablet with slots
// [lo, hi), whatever is applied before it, unless its resource is dropped: of
// puts and deletes without a condition that return nothing of what was there. Of
// other commands, and of damaged ones, it is not known. It reads r only for the
// tablet's mark of dropped resources.
func Known(r Reader, tablet model.TabletID, lo, hi uint32, cmd *model.Command) (model.Result, bool) {
	d := model.NewDecoder(cmd.Body)
	var res model.Result
	known := false
	switch cmd.Kind {
	case model.CmdPutItem:
		var put model.PutItem
		put.Decode(d)
		known = len(put.Condition) == 0 && !put.ReturnOld && !put.WantSize && put.Size <= model.MaxItemBytes
		res = writeResult(&storedItem{}, false, 0)
	case model.CmdDeleteItem:
		var del model.DeleteItem
		del.Decode(d)
		known = len(del.Condition) == 0 && !del.ReturnOld && !del.WantSize
		res = writeResult(&storedItem{}, false, 0)
	case model.CmdBatchWrite:
		var batch model.BatchWrite
		batch.Decode(d)
		known = true
		for i := range batch.Writes {
			slot, ok := slotOfItem(batch.Writes[i].Key)
			known = known && ok && uint32(slot) >= lo && uint32(slot) < hi && batch.Writes[i].Size <= model.MaxItemBytes
		}
	}
	if !known || d.Done() != nil {
		return model.Result{}, false
	}
	_, dropped, err := r.Get(keys.Dropped(tablet, cmd.Resource))
	return res, err == nil && !dropped
}
