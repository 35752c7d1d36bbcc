package dynamo

import (
	"weir.dev/weir/internal/awsapi"
	"weir.dev/weir/internal/model"
	"weir.dev/weir/internal/service"
)

func query(c *call, in *QueryInput) (output, error) {
	x := expressions{
		names: in.ExpressionAttributeNames, values: in.ExpressionAttributeValues,
		given: []parameter{{"ProjectionExpression", in.ProjectionExpression}, {"FilterExpression", in.FilterExpression},
			{"KeyConditionExpression", in.KeyConditionExpression}},
	}
	x.legacy = append(x.legacy, present("AttributesToGet", in.AttributesToGet != nil)...)
	x.legacy = append(x.legacy, present("QueryFilter", in.QueryFilter != nil)...)
	x.legacy = append(x.legacy, present("ConditionalOperator", in.ConditionalOperator.Set)...)
	if in.KeyConditionExpression.Set { // KeyConditions go together with the other expressions
		x.legacy = append(x.legacy, present("KeyConditions", in.KeyConditions != nil)...)
	}
	if err := c.begin(&x); err != nil {
		return nil, err
	}
	if err := checkSelect(in.Select.V, in.IndexName.Set, in.ProjectionExpression.Set, in.AttributesToGet != nil); err != nil {
		return nil, err
	}
	filter, err := x.filter(in.FilterExpression, in.QueryFilter, in.ConditionalOperator)
	if err != nil {
		return nil, err
	}
	projection, err := x.projection(in.ProjectionExpression, in.AttributesToGet)
	if err != nil {
		return nil, err
	}
	key, err := x.keyCondition(in.KeyConditionExpression, in.KeyConditions)
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
	if in.IndexName.Set {
		return nil, c.noIndex(table, in.IndexName.V)
	}
	page, err := c.door.service.Query(c.ctx, &service.QueryRequest{
		Table: table, Key: key, Filter: filter, Projection: projection, Limit: int(in.Limit.V), StartKey: in.ExclusiveStartKey,
		Reverse: !in.ScanIndexForward.Or(true), CountOnly: in.Select.V == "COUNT", Strong: in.ConsistentRead.V,
	})
	if err != nil {
		return nil, err
	}
	return &QueryOutput{
		Items: pageItems(page, in.Select.V), Count: awsapi.Some(int64(page.Count)), ScannedCount: awsapi.Some(int64(page.Scanned)),
		LastEvaluatedKey: page.LastKey, ConsumedCapacity: capacity(in.ReturnConsumedCapacity.V, table, page.Units),
	}, nil
}

func scan(c *call, in *ScanInput) (output, error) {
	x := expressions{
		names: in.ExpressionAttributeNames, values: in.ExpressionAttributeValues,
		given: []parameter{{"ProjectionExpression", in.ProjectionExpression}, {"FilterExpression", in.FilterExpression}},
	}
	x.legacy = append(x.legacy, present("AttributesToGet", in.AttributesToGet != nil)...)
	x.legacy = append(x.legacy, present("ScanFilter", in.ScanFilter != nil)...)
	x.legacy = append(x.legacy, present("ConditionalOperator", in.ConditionalOperator.Set)...)
	if err := c.begin(&x); err != nil {
		return nil, err
	}
	if err := checkSegments(in); err != nil {
		return nil, err
	}
	if err := checkSelect(in.Select.V, in.IndexName.Set, in.ProjectionExpression.Set, in.AttributesToGet != nil); err != nil {
		return nil, err
	}
	filter, err := x.filter(in.FilterExpression, in.ScanFilter, in.ConditionalOperator)
	if err != nil {
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
	if in.IndexName.Set {
		return nil, c.noIndex(table, in.IndexName.V)
	}
	page, err := c.door.service.Scan(c.ctx, &service.ScanRequest{
		Table: table, Filter: filter, Projection: projection, Limit: int(in.Limit.V), StartKey: in.ExclusiveStartKey,
		Segment: int(in.Segment.V), TotalSegments: int(in.TotalSegments.V),
		CountOnly: in.Select.V == "COUNT", Strong: in.ConsistentRead.V,
	})
	if err != nil {
		return nil, err
	}
	return &ScanOutput{
		Items: pageItems(page, in.Select.V), Count: awsapi.Some(int64(page.Count)), ScannedCount: awsapi.Some(int64(page.Scanned)),
		LastEvaluatedKey: page.LastKey, ConsumedCapacity: capacity(in.ReturnConsumedCapacity.V, table, page.Units),
	}, nil
}

// pageItems are the items of an answer: an empty list when there are none,
// nothing when only the count was asked for.
func pageItems(p *service.Page, selection string) []model.Item {
	if selection == "COUNT" {
		return nil
	}
	if p.Items == nil {
		return []model.Item{}
	}
	return p.Items
}

// noIndex is the error for an index: tables have none.
func (c *call) noIndex(table, index string) error {
	if _, err := c.door.service.DescribeTable(c.ctx, table); err != nil {
		return err
	}
	return invalid("The table does not have the specified index: %s", index)
}

// checkSelect holds Select to what is asked beside it.
func checkSelect(selection string, index, projected, attributes bool) error {
	switch {
	case selection == "ALL_PROJECTED_ATTRIBUTES" && !index:
		return badParameter("ALL_PROJECTED_ATTRIBUTES can be used only when Querying using an IndexName")
	case selection == "SPECIFIC_ATTRIBUTES" && !projected && !attributes:
		return badParameter("Must specify the AttributesToGet or ProjectionExpression when choosing to get SPECIFIC_ATTRIBUTES")
	case selection == "" || selection == "SPECIFIC_ATTRIBUTES":
		return nil
	case projected:
		return invalid("Cannot specify the ProjectionExpression when choosing to get %s", selection)
	case attributes:
		return badParameter("Cannot specify the AttributesToGet when choosing to get %s", selection)
	}
	return nil
}

// checkSegments holds the parameters of a parallel scan to each other.
func checkSegments(in *ScanInput) error {
	switch {
	case in.TotalSegments.Set && !in.Segment.Set:
		return invalid("The Segment parameter is required but was not present in the request when parameter TotalSegments is present")
	case in.Segment.Set && !in.TotalSegments.Set:
		return invalid("The TotalSegments parameter is required but was not present in the request when Segment parameter is present")
	case in.Segment.Set && in.Segment.V >= in.TotalSegments.V:
		return invalid("The Segment parameter is zero-based and must be less than parameter TotalSegments: Segment: %d is not less than TotalSegments: %d",
			in.Segment.V, in.TotalSegments.V)
	}
	return nil
}
