package service

import (
	"context"
	"crypto/sha256"
	"encoding/binary"

	"weir.dev/weir/internal/expr"
	"weir.dev/weir/internal/model"
)

// AWS's words for items that are too large.
const (
	msgPutTooLarge    = "Item size has exceeded the maximum allowed size"
	msgUpdateTooLarge = "Item size to update has exceeded the maximum allowed size"
)

// PutItem replaces or creates an item. Errors: ErrNotFound, ErrValidation,
// ErrConditionFailed, ErrItemTooLarge, and those of Cluster.Propose.
func (s *Service) PutItem(ctx context.Context, req *PutItemRequest) (*WriteResult, error) {
	t, err := s.table(ctx, req.Table)
	if err != nil {
		return nil, err
	}
	if err := checkCondition(t, req.Condition); err != nil {
		return nil, err
	}
	size := req.Item.Size()
	if size > model.MaxItemBytes {
		return nil, model.Errorf(model.ErrItemTooLarge, msgPutTooLarge)
	}
	var buf keyBuffer
	key, slot, err := t.appendItemKey(buf[:0], req.Item)
	if err != nil {
		return nil, err
	}
	put := model.PutItem{
		Key: key, Condition: encodeCondition(req.Condition), Size: uint64(size),
		ReturnOld: req.ReturnOld, ReturnOnFail: req.ReturnOnFail, WantSize: req.WantUnits,
	}
	body := make([]byte, 0, len(key)+len(put.Condition)+size+8*len(req.Item)+16)
	cmd := model.Command{
		Kind: model.CmdPutItem, Resource: t.resource.ID, Slot: slot,
		Body: model.AppendItem(put.AppendHead(body), req.Item),
	}
	cmd.ID = s.requestID(req.Invocation, &cmd)
	return s.writeItem(ctx, &cmd, uint64(size), msgPutTooLarge)
}

// DeleteItem removes an item. Errors are those of PutItem.
func (s *Service) DeleteItem(ctx context.Context, req *DeleteItemRequest) (*WriteResult, error) {
	t, err := s.table(ctx, req.Table)
	if err != nil {
		return nil, err
	}
	if err := checkCondition(t, req.Condition); err != nil {
		return nil, err
	}
	var buf keyBuffer
	key, slot, err := t.appendKey(buf[:0], req.Key)
	if err != nil {
		return nil, err
	}
	del := model.DeleteItem{
		Key: key, Condition: encodeCondition(req.Condition),
		ReturnOld: req.ReturnOld, ReturnOnFail: req.ReturnOnFail, WantSize: req.WantUnits,
	}
	cmd := model.Command{
		Kind: model.CmdDeleteItem, Resource: t.resource.ID, Slot: slot,
		Body: del.Append(make([]byte, 0, len(key)+len(del.Condition)+16)),
	}
	cmd.ID = s.requestID(req.Invocation, &cmd)
	return s.writeItem(ctx, &cmd, 0, msgPutTooLarge)
}

// UpdateItem changes or creates an item. Errors are those of PutItem.
func (s *Service) UpdateItem(ctx context.Context, req *UpdateItemRequest) (*WriteResult, error) {
	t, err := s.table(ctx, req.Table)
	if err != nil {
		return nil, err
	}
	if req.Update != nil {
		if err := req.Update.CheckKeys(t.keyNames()...); err != nil {
			return nil, err
		}
	}
	if err := checkCondition(t, req.Condition); err != nil {
		return nil, err
	}
	var buf keyBuffer
	key, slot, err := t.appendKey(buf[:0], req.Key)
	if err != nil {
		return nil, err
	}
	up := model.UpdateItem{
		Key: key, KeyItem: model.AppendItem(nil, req.Key), Condition: encodeCondition(req.Condition),
		Return: req.Return, ReturnOnFail: req.ReturnOnFail,
	}
	if req.Update != nil {
		up.Update = req.Update.Append(nil)
	}
	cmd := model.Command{
		Kind: model.CmdUpdateItem, Resource: t.resource.ID, Slot: slot,
		Body: up.Append(make([]byte, 0, 2*len(key)+len(up.KeyItem)+len(up.Condition)+len(up.Update)+24)),
	}
	cmd.ID = s.requestID(req.Invocation, &cmd)
	return s.writeItem(ctx, &cmd, 0, msgUpdateTooLarge)
}

// writeItem proposes a single-item write and reads its result. size is that of
// the new item as far as it is known here.
func (s *Service) writeItem(ctx context.Context, cmd *model.Command, size uint64, tooLarge string) (*WriteResult, error) {
	res, err := s.cluster.Propose(ctx, cmd)
	if err != nil {
		return nil, err
	}
	if res.Status != model.StatusOK {
		return nil, s.tableError(ctx, &res, tooLarge)
	}
	var w model.WriteResult
	d := model.NewDecoder(res.Body)
	w.Decode(d)
	out := &WriteResult{Units: writeUnits(max(size, w.Charged))}
	if len(w.Item) > 0 {
		item := model.NewDecoder(w.Item)
		out.Attributes = model.DecodeItem(item)
		if err := item.Done(); err != nil {
			return nil, err
		}
	}
	return out, d.Done()
}

// tableError is the error that a table command's status stands for.
func (s *Service) tableError(ctx context.Context, res *model.Result, tooLarge string) error {
	switch res.Status {
	case model.StatusGone:
		// The name may belong to a new table, which this node has not heard of
		// yet; the client's next request shall find it.
		if err := s.cluster.SyncCatalog(ctx); err != nil {
			return err
		}
		return errTableGone()
	case model.StatusPassive:
		return errPassive()
	case model.StatusConditionFailed:
		return &model.Error{Kind: model.ErrConditionFailed, Message: "The conditional request failed", Item: res.Body}
	case model.StatusInvalid:
		return &model.Error{Kind: model.ErrValidation, Message: string(res.Body)}
	case model.StatusTooLarge:
		return &model.Error{Kind: model.ErrItemTooLarge, Message: tooLarge}
	default:
		return model.Errorf(model.ErrInternal, "the table answered with status %d", res.Status)
	}
}

// requestID is the id of one of a call's commands on a table: made from the
// call's id and from all that the command does. The retry of a call makes the
// same one, while a client that uses one id for different requests, which
// would be its fault, still gets each of them done.
func (s *Service) requestID(invocation model.RequestID, cmd *model.Command) (id model.RequestID) {
	if invocation.IsZero() {
		return s.newRequestID()
	}
	body := sha256.Sum256(cmd.Body)
	var named [len(invocation) + 1 + 8 + len(body)]byte
	copy(named[:], invocation[:])
	named[len(invocation)] = byte(cmd.Kind)
	binary.BigEndian.PutUint64(named[len(invocation)+1:], uint64(cmd.Resource))
	copy(named[len(invocation)+9:], body[:])
	sum := sha256.Sum256(named[:])
	copy(id[:], sum[:])
	return id
}

// keyNames are the names of the key attributes; an empty one is none.
func (t *table) keyNames() []string {
	if t.spec.HasSort() {
		return []string{t.spec.Partition.Name, t.spec.Sort.Name}
	}
	return []string{t.spec.Partition.Name}
}

func checkCondition(t *table, c *expr.Condition) error {
	if c == nil {
		return nil
	}
	return c.CheckKeys(t.keyNames()...)
}

func encodeCondition(c *expr.Condition) []byte {
	if c == nil {
		return nil
	}
	return c.Append(nil)
}
