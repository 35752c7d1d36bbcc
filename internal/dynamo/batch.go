package dynamo

import (
	"weir.dev/weir/internal/awsapi"
	"weir.dev/weir/internal/model"
	"weir.dev/weir/internal/service"
)

func batchWriteItem(c *call, in *BatchWriteItemInput) (output, error) {
	if err := c.faultIn(""); err != nil {
		return nil, err
	}
	req := service.BatchWriteItemRequest{Invocation: c.req.Invocation}
	as := batchNames{}
	for _, e := range in.RequestItems {
		table, err := as.add(c, e.Key)
		if err != nil {
			return nil, err
		}
		writes := service.TableWrites{Table: table}
		for _, w := range e.Val {
			switch {
			case (w.PutRequest == nil) == (w.DeleteRequest == nil):
				return nil, invalid("Supplied AttributeValue has more than one datatypes set, must contain exactly one of the supported datatypes")
			case w.PutRequest != nil:
				writes.Writes = append(writes.Writes, service.Write{Put: w.PutRequest.Item})
			default:
				writes.Writes = append(writes.Writes, service.Write{Delete: w.DeleteRequest.Key})
			}
		}
		req.Tables = append(req.Tables, writes)
	}
	res, err := c.door.service.BatchWriteItem(c.ctx, &req)
	if err != nil {
		return nil, err
	}
	out := &BatchWriteItemOutput{
		UnprocessedItems: awsapi.Map[[]WriteRequest]{},
		ConsumedCapacity: capacities(in.ReturnConsumedCapacity.V, res.Units),
	}
	for _, t := range res.Unprocessed {
		e := awsapi.Entry[[]WriteRequest]{Key: as[t.Table]}
		for _, w := range t.Writes {
			if w.Put != nil {
				e.Val = append(e.Val, WriteRequest{PutRequest: &PutRequest{Item: w.Put}})
			} else {
				e.Val = append(e.Val, WriteRequest{DeleteRequest: &DeleteRequest{Key: w.Delete}})
			}
		}
		out.UnprocessedItems = append(out.UnprocessedItems, e)
	}
	return out, nil
}

func batchGetItem(c *call, in *BatchGetItemInput) (output, error) {
	if err := c.faultIn(""); err != nil {
		return nil, err
	}
	var req service.BatchGetItemRequest
	as := batchNames{}
	for i := range in.RequestItems {
		e := &in.RequestItems[i]
		table, err := as.add(c, e.Key)
		if err != nil {
			return nil, err
		}
		gets := service.TableGets{Table: table, Keys: e.Val.Keys, Strong: e.Val.ConsistentRead.V}
		x := expressions{
			names:  e.Val.ExpressionAttributeNames,
			given:  []parameter{{"ProjectionExpression", e.Val.ProjectionExpression}},
			legacy: present("AttributesToGet", e.Val.AttributesToGet != nil),
		}
		if err := x.checkParameters(); err != nil {
			return nil, err
		}
		if gets.Projection, err = x.projection(e.Val.ProjectionExpression, e.Val.AttributesToGet); err != nil {
			return nil, err
		}
		if err := x.finish(); err != nil {
			return nil, err
		}
		req.Tables = append(req.Tables, gets)
	}
	res, err := c.door.service.BatchGetItem(c.ctx, &req)
	if err != nil {
		return nil, err
	}
	out := &BatchGetItemOutput{
		Responses:        awsapi.Map[[]model.Item]{},
		UnprocessedKeys:  awsapi.Map[KeysAndAttributes]{},
		ConsumedCapacity: capacities(in.ReturnConsumedCapacity.V, res.Units),
	}
	for _, t := range res.Tables {
		out.Responses = append(out.Responses, awsapi.Entry[[]model.Item]{Key: as[t.Table], Val: t.Items})
	}
	for _, t := range res.Unprocessed {
		// What was not read is handed back with the parameters it came with.
		as := as[t.Table]
		again, _ := in.RequestItems.Get(as)
		again.Keys = t.Keys
		out.UnprocessedKeys = append(out.UnprocessedKeys, awsapi.Entry[KeysAndAttributes]{Key: as, Val: again})
	}
	return out, nil
}

// batchNames tells under which name or ARN the client named each table.
type batchNames map[string]string

// add resolves what the client wrote and remembers it.
func (b batchNames) add(c *call, as string) (table string, err error) {
	if table, err = c.tableName(as); err != nil {
		return "", err
	}
	if _, again := b[table]; again {
		return "", invalid("One table is named twice in the request: %s", table)
	}
	b[table] = as
	return table, nil
}
