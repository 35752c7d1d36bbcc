package region

import (
	"context"
	"crypto/sha256"

	"weir.dev/weir/internal/model"
)

// putElsewhere puts the records of a change, whose shard is closed here, where
// their keys belong now. The request's id is made of the change's version, so
// that to do it again soon has no effect.
func (e *Engine) putElsewhere(ctx context.Context, stream *model.Resource, shard model.ShardNumber, c *model.UnitChange) error {
	var change model.ShardChange
	if err := decode(c.Body, &change); err != nil {
		return err
	}
	var records []model.Record
	for i := range change.Blocks {
		batch, err := model.ParseRecordBatch(change.Blocks[i].Batch)
		if err != nil {
			return err
		}
		for k := range batch.Len() {
			records = append(records, batch.Record(k))
		}
	}
	sum := sha256.Sum256(model.AppendUvarint(c.Version.Append([]byte("weir elsewhere")), uint64(shard)))
	if err := e.service.PutMoved(ctx, stream, model.RequestID(sum[:16]), records); err != nil {
		return err
	}
	change.Blocks = nil
	c.Body = change.Append(nil)
	return nil
}
