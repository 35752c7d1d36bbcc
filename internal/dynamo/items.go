package dynamo

import (
	"weir.dev/weir/internal/awsapi"
	"weir.dev/weir/internal/model"
	"weir.dev/weir/internal/service"
)

func putItem(c *call, in *PutItemInput) (output, error) {
	x := expressions{
		names: in.ExpressionAttributeNames, values: in.ExpressionAttributeValues,
		given:  []parameter{{"ConditionExpression", in.ConditionExpression}},
		legacy: present("Expected", in.Expected != nil),
	}
	if err := c.begin(&x); err != nil {
		return nil, err
	}
	returnOld, err := allOldOrNone(in.ReturnValues)
	if err != nil {
		return nil, err
	}
	condition, err := x.writeCondition(in.ConditionExpression, in.Expected, in.ConditionalOperator)
	if err != nil {
		return nil, err
	}
	if err := x.finish(); err != nil {
		return nil, err
	}
	table, err := c.tableName(in.TableName.V)
	if err != nil {
		return nil, err
	}
	res, err := c.door.service.PutItem(c.ctx, &service.PutItemRequest{
		Invocation: c.req.Invocation, Table: table, Item: in.Item, Condition: condition,
		ReturnOld: returnOld, ReturnOnFail: in.ReturnValuesOnConditionCheckFailure.V == "ALL_OLD",
		WantUnits: wantsCapacity(in.ReturnConsumedCapacity.V),
	})
	if err != nil {
		return nil, err
	}
	return &PutItemOutput{Attributes: res.Attributes, ConsumedCapacity: capacity(in.ReturnConsumedCapacity.V, table, res.Units)}, nil
}

func deleteItem(c *call, in *DeleteItemInput) (output, error) {
	x := expressions{
		names: in.ExpressionAttributeNames, values: in.ExpressionAttributeValues,
		given:  []parameter{{"ConditionExpression", in.ConditionExpression}},
		legacy: present("Expected", in.Expected != nil),
	}
	if err := c.begin(&x); err != nil {
		return nil, err
	}
	returnOld, err := allOldOrNone(in.ReturnValues)
	if err != nil {
		return nil, err
	}
	condition, err := x.writeCondition(in.ConditionExpression, in.Expected, in.ConditionalOperator)
	if err != nil {
		return nil, err
	}
	if err := x.finish(); err != nil {
		return nil, err
	}
	table, err := c.tableName(in.TableName.V)
	if err != nil {
		return nil, err
	}
	res, err := c.door.service.DeleteItem(c.ctx, &service.DeleteItemRequest{
		Invocation: c.req.Invocation, Table: table, Key: in.Key, Condition: condition,
		ReturnOld: returnOld, ReturnOnFail: in.ReturnValuesOnConditionCheckFailure.V == "ALL_OLD",
		WantUnits: wantsCapacity(in.ReturnConsumedCapacity.V),
	})
	if err != nil {
		return nil, err
	}
	return &DeleteItemOutput{Attributes: res.Attributes, ConsumedCapacity: capacity(in.ReturnConsumedCapacity.V, table, res.Units)}, nil
}

func updateItem(c *call, in *UpdateItemInput) (output, error) {
	x := expressions{
		names: in.ExpressionAttributeNames, values: in.ExpressionAttributeValues,
		given: []parameter{{"UpdateExpression", in.UpdateExpression}, {"ConditionExpression", in.ConditionExpression}},
		legacy: append(present("AttributeUpdates", in.AttributeUpdates != nil),
			present("Expected", in.Expected != nil)...),
	}
	if err := c.begin(&x); err != nil {
		return nil, err
	}
	update, err := x.update(in.UpdateExpression, in.AttributeUpdates)
	if err != nil {
		return nil, err
	}
	condition, err := x.writeCondition(in.ConditionExpression, in.Expected, in.ConditionalOperator)
	if err != nil {
		return nil, err
	}
	if err := x.finish(); err != nil {
		return nil, err
	}
	table, err := c.tableName(in.TableName.V)
	if err != nil {
		return nil, err
	}
	res, err := c.door.service.UpdateItem(c.ctx, &service.UpdateItemRequest{
		Invocation: c.req.Invocation, Table: table, Key: in.Key, Update: update, Condition: condition,
		Return: returnModes[in.ReturnValues.V], ReturnOnFail: in.ReturnValuesOnConditionCheckFailure.V == "ALL_OLD",
	})
	if err != nil {
		return nil, err
	}
	return &UpdateItemOutput{Attributes: res.Attributes, ConsumedCapacity: capacity(in.ReturnConsumedCapacity.V, table, res.Units)}, nil
}

var returnModes = map[string]model.ReturnMode{
	"":            model.ReturnNone,
	"NONE":        model.ReturnNone,
	"ALL_OLD":     model.ReturnAllOld,
	"UPDATED_OLD": model.ReturnUpdatedOld,
	"ALL_NEW":     model.ReturnAllNew,
	"UPDATED_NEW": model.ReturnUpdatedNew,
}

// allOldOrNone is ReturnValues of the writes that have nothing new to return.
func allOldOrNone(mode awsapi.Opt[string]) (old bool, err error) {
	switch mode.V {
	case "", "NONE":
		return false, nil
	case "ALL_OLD":
		return true, nil
	}
	return false, invalid("ReturnValues can only be ALL_OLD or NONE")
}

func getItem(c *call, in *GetItemInput) (output, error) {
	x := expressions{
		names:  in.ExpressionAttributeNames,
		given:  []parameter{{"ProjectionExpression", in.ProjectionExpression}},
		legacy: present("AttributesToGet", in.AttributesToGet != nil),
	}
	if err := c.begin(&x); err != nil {
		return nil, err
	}
	projection, err := x.projection(in.ProjectionExpression, in.AttributesToGet)
	if err != nil {
		return nil, err
	}
	if err := x.finish(); err != nil {
		return nil, err
	}
	table, err := c.tableName(in.TableName.V)
	if err != nil {
		return nil, err
	}
	res, err := c.door.service.GetItem(c.ctx, &service.GetItemRequest{
		Table: table, Key: in.Key, Projection: projection, Strong: in.ConsistentRead.V,
	})
	if err != nil {
		return nil, err
	}
	out := &GetItemOutput{ConsumedCapacity: capacity(in.ReturnConsumedCapacity.V, table, res.Units)}
	if res.Found {
		out.Item = res.Item
		if out.Item == nil {
			out.Item = model.Item{}
		}
	}
	return out, nil
}
