package clients

import (
	"fmt"
	"slices"
	"strings"
	"sync"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"
)

// queryAll reads all pages and returns the sort keys in order, and the count
// of pages.
func (d tables) queryAll(in *dynamodb.QueryInput) (keys []string, pages int) {
	d.t.Helper()
	for p := dynamodb.NewQueryPaginator(d.c, in); p.HasMorePages(); pages++ {
		page := must[*dynamodb.QueryOutput](d.t)(p.NextPage(d.ctx))
		if int(page.Count) != len(page.Items) && in.Select != types.SelectCount {
			d.t.Errorf("Count is %d, but there are %d items", page.Count, len(page.Items))
		}
		for _, it := range page.Items {
			keys = append(keys, it["sk"].(*num).Value)
		}
	}
	return keys, pages
}

func (d tables) scanAll(in *dynamodb.ScanInput) (items []item) {
	d.t.Helper()
	for p := dynamodb.NewScanPaginator(d.c, in); p.HasMorePages(); {
		items = append(items, must[*dynamodb.ScanOutput](d.t)(p.NextPage(d.ctx)).Items...)
	}
	return items
}

func testQuery(d tables) {
	table := d.make("query", types.ScalarAttributeTypeN)
	order := []string{"-10", "-9.5", "-1", "0", "0.25", "1", "2", "10", "11", "100"}
	for i, sk := range []int{3, 7, 0, 9, 5, 1, 8, 2, 6, 4} {
		d.put(table, item{"pk": s("a"), "sk": n(order[sk]), "i": n(fmt.Sprint(i)), "even": &types.AttributeValueMemberBOOL{Value: sk%2 == 0}})
	}
	d.put(table, item{"pk": s("b"), "sk": n("1")})
	query := func(condition string, values item, change func(*dynamodb.QueryInput)) *dynamodb.QueryInput {
		in := &dynamodb.QueryInput{TableName: &table, KeyConditionExpression: &condition, ExpressionAttributeValues: values, ConsistentRead: aws.Bool(true)}
		in.ExpressionAttributeValues[":pk"] = s("a")
		if change != nil {
			change(in)
		}
		return in
	}
	check := func(what string, got, want []string) {
		d.t.Helper()
		if !slices.Equal(got, want) {
			d.t.Errorf("%s: got %q, want %q", what, got, want)
		}
	}
	backwards := slices.Clone(order)
	slices.Reverse(backwards)

	keys, _ := d.queryAll(query("pk = :pk", item{}, nil))
	check("all", keys, order)
	keys, pages := d.queryAll(query("pk = :pk", item{}, func(in *dynamodb.QueryInput) { in.Limit = aws.Int32(3) }))
	check("in pages of 3", keys, order)
	if pages < 4 {
		d.t.Errorf("there were %d pages, want 4", pages)
	}
	keys, _ = d.queryAll(query("pk = :pk", item{}, func(in *dynamodb.QueryInput) { in.ScanIndexForward = aws.Bool(false); in.Limit = aws.Int32(4) }))
	check("backwards", keys, backwards)
	keys, _ = d.queryAll(query("pk = :pk AND sk BETWEEN :a AND :b", item{":a": n("-1"), ":b": n("10")}, nil))
	check("between", keys, order[2:8])
	for op, from := range map[string][]string{"<": order[:3], "<=": order[:4], ">": order[4:], ">=": order[3:], "=": order[3:4]} {
		keys, _ = d.queryAll(query("pk = :pk AND sk "+op+" :a", item{":a": n("0")}, nil))
		check(op, keys, from)
	}
	out := must[*dynamodb.QueryOutput](d.t)(d.c.Query(d.ctx, query("pk = :pk", item{":t": &types.AttributeValueMemberBOOL{Value: true}}, func(in *dynamodb.QueryInput) {
		in.FilterExpression, in.ProjectionExpression = aws.String("even = :t"), aws.String("i")
	})))
	if out.Count != 5 || out.ScannedCount != 10 || len(out.Items) != 5 || len(out.Items[0]) != 1 {
		d.t.Errorf("filter: count %d, scanned %d, first %s", out.Count, out.ScannedCount, show(out.Items[0]))
	}
	out = must[*dynamodb.QueryOutput](d.t)(d.c.Query(d.ctx, query("pk = :pk", item{}, func(in *dynamodb.QueryInput) { in.Select = types.SelectCount })))
	if out.Count != 10 || len(out.Items) != 0 {
		d.t.Errorf("count: %d with %d items", out.Count, len(out.Items))
	}
	// A page is at most 1 MB.
	big := strings.Repeat("x", 300<<10)
	for i := range 8 {
		d.put(table, item{"pk": s("big"), "sk": n(fmt.Sprint(i)), "body": s(big)})
	}
	keys, pages = d.queryAll(query("pk = :pk", item{}, func(in *dynamodb.QueryInput) { in.ExpressionAttributeValues[":pk"] = s("big") }))
	check("pages by size", keys, []string{"0", "1", "2", "3", "4", "5", "6", "7"})
	if pages < 2 {
		d.t.Errorf("2.4 MB came in %d page", pages)
	}
	// begins_with over strings.
	words := d.make("query-words", types.ScalarAttributeTypeS)
	for _, w := range []string{"a", "ab", "abc", "b", "ab\U0010ffff"} {
		d.put(words, item{"pk": s("w"), "sk": s(w)})
	}
	found := must[*dynamodb.QueryOutput](d.t)(d.c.Query(d.ctx, &dynamodb.QueryInput{
		TableName: &words, KeyConditionExpression: aws.String("pk = :pk AND begins_with(sk, :p)"), ConsistentRead: aws.Bool(true),
		ExpressionAttributeValues: item{":pk": s("w"), ":p": s("ab")},
	}))
	want(d.t, "begins_with", found.Count, 3)
}

func testScan(d tables) {
	table := d.make("scan", types.ScalarAttributeTypeN)
	var put sync.WaitGroup
	const items = 120
	for w := range 6 {
		put.Go(func() {
			for i := w; i < items; i += 6 {
				d.put(table, item{"pk": s(fmt.Sprint("p", i)), "sk": n("1"), "i": n(fmt.Sprint(i))})
			}
		})
	}
	put.Wait()
	distinct := func(what string, got []item, want int) {
		d.t.Helper()
		seen := map[string]bool{}
		for _, it := range got {
			seen[it["pk"].(*str).Value] = true
		}
		if len(seen) != want || len(got) != want {
			d.t.Errorf("%s: %d items, %d of them different, want %d", what, len(got), len(seen), want)
		}
	}
	distinct("scan", d.scanAll(&dynamodb.ScanInput{TableName: &table, ConsistentRead: aws.Bool(true)}), items)
	distinct("scan in pages of 7", d.scanAll(&dynamodb.ScanInput{TableName: &table, Limit: aws.Int32(7), ConsistentRead: aws.Bool(true)}), items)
	var segments []item
	for i := range int32(4) {
		segments = append(segments, d.scanAll(&dynamodb.ScanInput{TableName: &table, Segment: aws.Int32(i), TotalSegments: aws.Int32(4), ConsistentRead: aws.Bool(true)})...)
	}
	distinct("scan in four segments", segments, items)
	distinct("filtered scan", d.scanAll(&dynamodb.ScanInput{
		TableName: &table, FilterExpression: aws.String("i < :n"), ExpressionAttributeValues: item{":n": n("50")}, ConsistentRead: aws.Bool(true),
	}), 50)
	_, err := d.c.Scan(d.ctx, &dynamodb.ScanInput{TableName: &table, Segment: aws.Int32(4), TotalSegments: aws.Int32(4)})
	wantCode(d.t, err, "ValidationException")
}

func testBatches(d tables) {
	table, other := d.make("batch", types.ScalarAttributeTypeN), d.make("batch-other", "")
	var writes []types.WriteRequest
	for i := range 20 {
		writes = append(writes, types.WriteRequest{PutRequest: &types.PutRequest{Item: item{"pk": s(fmt.Sprint("p", i)), "sk": n("0"), "v": n(fmt.Sprint(i))}}})
	}
	out := must[*dynamodb.BatchWriteItemOutput](d.t)(d.c.BatchWriteItem(d.ctx, &dynamodb.BatchWriteItemInput{
		RequestItems:           map[string][]types.WriteRequest{table: writes, other: {{PutRequest: &types.PutRequest{Item: item{"pk": s("o")}}}}},
		ReturnConsumedCapacity: types.ReturnConsumedCapacityTotal,
	}))
	if len(out.UnprocessedItems) != 0 || len(out.ConsumedCapacity) != 2 {
		d.t.Errorf("batch write: unprocessed %v, capacity %v", out.UnprocessedItems, out.ConsumedCapacity)
	}
	keys := make([]item, 0, 21)
	for i := range 21 { // the last is missing
		keys = append(keys, item{"pk": s(fmt.Sprint("p", i)), "sk": n("0")})
	}
	got := must[*dynamodb.BatchGetItemOutput](d.t)(d.c.BatchGetItem(d.ctx, &dynamodb.BatchGetItemInput{RequestItems: map[string]types.KeysAndAttributes{
		table: {Keys: keys, ConsistentRead: aws.Bool(true), ProjectionExpression: aws.String("v")},
		other: {Keys: []item{{"pk": s("o")}}, ConsistentRead: aws.Bool(true)},
	}}))
	if len(got.Responses[table]) != 20 || len(got.Responses[other]) != 1 || len(got.UnprocessedKeys) != 0 || len(got.Responses[table][0]) != 1 {
		d.t.Errorf("batch get: %d and %d items, %d unprocessed", len(got.Responses[table]), len(got.Responses[other]), len(got.UnprocessedKeys))
	}
	must[*dynamodb.BatchWriteItemOutput](d.t)(d.c.BatchWriteItem(d.ctx, &dynamodb.BatchWriteItemInput{RequestItems: map[string][]types.WriteRequest{
		table: {{DeleteRequest: &types.DeleteRequest{Key: keys[0]}}, {PutRequest: &types.PutRequest{Item: item{"pk": s("p1"), "sk": n("0"), "v": n("100")}}}},
	}}))
	d.wantItem("deleted in a batch", d.get(table, keys[0]), nil)
	d.wantItem("replaced in a batch", d.get(table, keys[1]), item{"pk": s("p1"), "sk": n("0"), "v": n("100")})

	for what, in := range map[string]map[string][]types.WriteRequest{
		"26 writes":   {table: slices.Concat(writes, writes[:6])},
		"a duplicate": {table: {writes[0], writes[0]}},
		"nothing":     {table: {}},
	} {
		if _, err := d.c.BatchWriteItem(d.ctx, &dynamodb.BatchWriteItemInput{RequestItems: in}); err == nil {
			d.t.Errorf("a batch of %s was taken", what)
		} else {
			wantCode(d.t, err, "ValidationException")
		}
	}
	_, err := d.c.BatchGetItem(d.ctx, &dynamodb.BatchGetItemInput{RequestItems: map[string]types.KeysAndAttributes{table: {Keys: []item{keys[0], keys[0]}}}})
	wantCode(d.t, err, "ValidationException")
	_, err = d.c.BatchGetItem(d.ctx, &dynamodb.BatchGetItemInput{RequestItems: map[string]types.KeysAndAttributes{"nowhere": {Keys: []item{keys[0]}}}})
	wantError[*types.ResourceNotFoundException](d.t, err)

	// 16 MB is the most that one answer holds; the rest is for the next call.
	body := strings.Repeat("y", 390<<10)
	var bigKeys []item
	for i := range 45 {
		d.put(other, item{"pk": s(fmt.Sprint("big", i)), "body": s(body)})
		bigKeys = append(bigKeys, item{"pk": s(fmt.Sprint("big", i))})
	}
	left := map[string]types.KeysAndAttributes{other: {Keys: bigKeys, ConsistentRead: aws.Bool(true)}}
	count, calls := 0, 0
	for ; len(left) > 0 && calls < 5; calls++ {
		page := must[*dynamodb.BatchGetItemOutput](d.t)(d.c.BatchGetItem(d.ctx, &dynamodb.BatchGetItemInput{RequestItems: left}))
		count += len(page.Responses[other])
		left = page.UnprocessedKeys
	}
	if count != 45 || calls < 2 {
		d.t.Errorf("17 MB came as %d items in %d calls", count, calls)
	}
}

func testCapacity(d tables) {
	table := d.make("capacity", types.ScalarAttributeTypeN)
	total := types.ReturnConsumedCapacityTotal
	key := item{"pk": s("a"), "sk": n("1")}
	big := item{"pk": s("a"), "sk": n("1"), "body": s(strings.Repeat("x", 5000))}
	put := must[*dynamodb.PutItemOutput](d.t)(d.c.PutItem(d.ctx, &dynamodb.PutItemInput{TableName: &table, Item: big, ReturnConsumedCapacity: total}))
	get := must[*dynamodb.GetItemOutput](d.t)(d.c.GetItem(d.ctx, &dynamodb.GetItemInput{TableName: &table, Key: key, ConsistentRead: aws.Bool(true), ReturnConsumedCapacity: total}))
	half := must[*dynamodb.GetItemOutput](d.t)(d.c.GetItem(d.ctx, &dynamodb.GetItemInput{TableName: &table, Key: key, ReturnConsumedCapacity: total}))
	query := must[*dynamodb.QueryOutput](d.t)(d.c.Query(d.ctx, &dynamodb.QueryInput{
		TableName: &table, KeyConditionExpression: aws.String("pk = :pk"), ExpressionAttributeValues: item{":pk": s("a")},
		ConsistentRead: aws.Bool(true), ReturnConsumedCapacity: total,
	}))
	scan := must[*dynamodb.ScanOutput](d.t)(d.c.Scan(d.ctx, &dynamodb.ScanInput{TableName: &table, ReturnConsumedCapacity: total}))
	del := must[*dynamodb.DeleteItemOutput](d.t)(d.c.DeleteItem(d.ctx, &dynamodb.DeleteItemInput{TableName: &table, Key: key, ReturnConsumedCapacity: total}))
	for _, c := range []struct {
		what string
		got  *types.ConsumedCapacity
		want float64
	}{
		{"put of 5 KB", put.ConsumedCapacity, 5}, {"strong get", get.ConsumedCapacity, 2}, {"eventual get", half.ConsumedCapacity, 1},
		{"query", query.ConsumedCapacity, 2}, {"scan", scan.ConsumedCapacity, 1}, {"delete", del.ConsumedCapacity, 5},
	} {
		if c.got == nil || aws.ToString(c.got.TableName) != table {
			d.t.Errorf("%s: no consumed capacity, or not of this table: %+v", c.what, c.got)
			continue
		}
		want(d.t, c.what, aws.ToFloat64(c.got.CapacityUnits), c.want)
	}
	if out := must[*dynamodb.GetItemOutput](d.t)(d.c.GetItem(d.ctx, &dynamodb.GetItemInput{TableName: &table, Key: key})); out.ConsumedCapacity != nil {
		d.t.Error("consumed capacity came without being asked for")
	}
}

func testDynamoErrors(d tables) {
	table := d.make("errors", types.ScalarAttributeTypeN)
	get := func(table string, key item) error {
		_, err := d.c.GetItem(d.ctx, &dynamodb.GetItemInput{TableName: &table, Key: key})
		return err
	}
	for _, c := range []struct {
		what    string
		err     error
		message string
	}{
		{"part of a key", get(table, item{"pk": s("a")}), "The provided key element does not match the schema"},
		{"a key of another type", get(table, item{"pk": s("a"), "sk": s("1")}), "The provided key element does not match the schema"},
		{"more than the key", get(table, item{"pk": s("a"), "sk": n("1"), "x": n("1")}), "The provided key element does not match the schema"},
		{"an empty key", get(table, item{"pk": s(""), "sk": n("1")}), "One or more parameter values are not valid. The AttributeValue for a key attribute cannot contain an empty string value. Key: pk"},
	} {
		wantCode(d.t, c.err, "ValidationException")
		if !strings.Contains(c.err.Error(), c.message) {
			d.t.Errorf("%s: the error says %v", c.what, c.err)
		}
	}
	want(d.t, "the text of a missing table", aws.ToString(wantError[*types.ResourceNotFoundException](d.t, get("nowhere", item{"pk": s("a")})).Message), "Requested resource not found")
	key := item{"pk": s("a"), "sk": n("1")}
	for _, c := range []struct {
		what       string
		expression string
		names      map[string]string
		values     item
		message    string
	}{
		{"syntax", "SET a = ", nil, nil, "Invalid UpdateExpression: Syntax error"},
		{"an undefined value", "SET a = :x", nil, nil, "An expression attribute value used in expression is not defined; attribute value: :x"},
		{"an undefined name", "SET #a = :x", nil, item{":x": n("1")}, "An expression attribute name used in the document path is not defined; attribute name: #a"},
		{"an unused value", "SET a = :x", nil, item{":x": n("1"), ":y": n("1")}, "Value provided in ExpressionAttributeValues unused in expressions: keys: {:y}"},
		{"an unused name", "SET a = :x", map[string]string{"#b": "b"}, item{":x": n("1")}, "Value provided in ExpressionAttributeNames unused in expressions: keys: {#b}"},
		{"two overlapping paths", "SET a = :x, a.b = :x", nil, item{":x": n("1")}, "Two document paths overlap with each other"},
		{"the key", "SET sk = :x", nil, item{":x": n("1")}, "Cannot update attribute sk. This attribute is part of the key"},
		{"a path into nothing", "SET nothing.b = :x", nil, item{":x": n("1")}, "The document path provided in the update expression is invalid for update"},
		{"a sum with nothing", "SET a = nothing + :x", nil, item{":x": n("1")}, "The provided expression refers to an attribute that does not exist in the item"},
	} {
		_, err := d.c.UpdateItem(d.ctx, &dynamodb.UpdateItemInput{
			TableName: &table, Key: key, UpdateExpression: &c.expression, ExpressionAttributeNames: c.names, ExpressionAttributeValues: c.values,
		})
		if err == nil {
			d.t.Errorf("%s was taken", c.what)
			continue
		}
		wantCode(d.t, err, "ValidationException")
		if !strings.Contains(err.Error(), c.message) {
			d.t.Errorf("%s: the error says %v", c.what, err)
		}
	}
	_, err := d.c.TransactWriteItems(d.ctx, &dynamodb.TransactWriteItemsInput{TransactItems: []types.TransactWriteItem{
		{Put: &types.Put{TableName: &table, Item: key}},
	}})
	wantCode(d.t, err, "UnknownOperationException")
	_, err = d.c.Query(d.ctx, &dynamodb.QueryInput{TableName: &table, IndexName: aws.String("none"), KeyConditionExpression: aws.String("pk = :pk"), ExpressionAttributeValues: item{":pk": s("a")}})
	wantCode(d.t, err, "ValidationException")
}

// testLegacy uses the parameters that came before expressions.
func testLegacy(d tables) {
	table := d.make("legacy", types.ScalarAttributeTypeN)
	key := item{"pk": s("a"), "sk": n("1")}
	must[*dynamodb.UpdateItemOutput](d.t)(d.c.UpdateItem(d.ctx, &dynamodb.UpdateItemInput{TableName: &table, Key: key, AttributeUpdates: map[string]types.AttributeValueUpdate{
		"v": {Action: types.AttributeActionAdd, Value: n("2")}, "w": {Action: types.AttributeActionPut, Value: s("x")},
	}}))
	_, err := d.c.PutItem(d.ctx, &dynamodb.PutItemInput{TableName: &table, Item: key, Expected: map[string]types.ExpectedAttributeValue{"pk": {Exists: aws.Bool(false)}}})
	wantError[*types.ConditionalCheckFailedException](d.t, err)
	out := must[*dynamodb.QueryOutput](d.t)(d.c.Query(d.ctx, &dynamodb.QueryInput{TableName: &table, ConsistentRead: aws.Bool(true), AttributesToGet: []string{"v"}, KeyConditions: map[string]types.Condition{
		"pk": {ComparisonOperator: types.ComparisonOperatorEq, AttributeValueList: []types.AttributeValue{s("a")}},
	}}))
	if len(out.Items) != 1 {
		d.t.Fatalf("the query found %d items", len(out.Items))
	}
	d.wantItem("the query", out.Items[0], item{"v": n("2")})
}
