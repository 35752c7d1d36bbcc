package machine

import "weir.dev/weir/internal/model"

// putEffects puts the effects' records into a shard of the target stream, whose
// number is the part's, as one block. A closed shard answers StatusClosed: it
// has none of them, nor ever will, so that they go to its children, each of
// which is a part of its own. What was put before the shard was closed is
// recorded, and was answered already.
func putEffects(tx *Tx, key []byte, cmd *model.PipeApply) (model.Result, error) {
	number := model.ShardNumber(cmd.Part)
	if tx.Command.Slot != model.ShardSlot(tx.Command.Resource, number) {
		return model.Result{Status: model.StatusInvalid}, nil
	}
	records := make([][]byte, len(cmd.Effects))
	for i := range cmd.Effects {
		if cmd.Effects[i].Kind != model.CmdPutRecords {
			return model.Result{Status: model.StatusInvalid}, nil
		}
		records[i] = cmd.Effects[i].Body
	}
	stored := model.JoinRecords(nil, records)
	batch, err := model.ParseRecordBatch(stored)
	if err != nil {
		return model.Result{}, err
	}
	s, err := openShard(tx, number)
	if err != nil {
		return model.Result{}, err
	}
	if s.head.ClosedMs != 0 {
		return model.Result{Status: model.StatusClosed}, nil
	}
	s.append(&batch, stored)
	return finishPart(tx, key, &model.PipeApplyResult{Effects: uint64(len(cmd.Effects))}, s.flush())
}
