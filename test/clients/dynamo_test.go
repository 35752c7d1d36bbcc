package clients

import (
	"context"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"

	"weir.dev/weir/test/process"
	"weir.dev/weir/weirtest/awsclient"
)

// The item types, shortened.
type (
	item = map[string]types.AttributeValue
	str  = types.AttributeValueMemberS
	num  = types.AttributeValueMemberN
)

func s(v string) types.AttributeValue { return &str{Value: v} }
func n(v string) types.AttributeValue { return &num{Value: v} }

// tables is a test's way to a server's tables.
type tables struct {
	t   *testing.T
	ctx context.Context
	c   *dynamodb.Client
}

func TestDynamoDB(t *testing.T) {
	t.Parallel()
	node := process.Start(t, process.Options{})
	for name, test := range map[string]func(tables){
		"Tables": testTables, "Types": testTypes, "Conditions": testConditions, "ReturnValues": testReturnValues,
		"Updates": testUpdates, "Query": testQuery, "Scan": testScan, "Batches": testBatches, "Errors": testDynamoErrors,
		"Capacity": testCapacity, "Legacy": testLegacy, "Concurrent": testConcurrentCounter,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			test(tables{t, testContext(t), awsclient.DynamoDB(node.Endpoint())})
		})
	}
}

// make creates a table with the key pk (S), and sk of a type unless that is "".
func (d tables) make(name string, sk types.ScalarAttributeType) string {
	d.t.Helper()
	in := &dynamodb.CreateTableInput{
		TableName: &name, BillingMode: types.BillingModePayPerRequest,
		AttributeDefinitions: []types.AttributeDefinition{{AttributeName: aws.String("pk"), AttributeType: types.ScalarAttributeTypeS}},
		KeySchema:            []types.KeySchemaElement{{AttributeName: aws.String("pk"), KeyType: types.KeyTypeHash}},
	}
	if sk != "" {
		in.AttributeDefinitions = append(in.AttributeDefinitions, types.AttributeDefinition{AttributeName: aws.String("sk"), AttributeType: sk})
		in.KeySchema = append(in.KeySchema, types.KeySchemaElement{AttributeName: aws.String("sk"), KeyType: types.KeyTypeRange})
	}
	must[*dynamodb.CreateTableOutput](d.t)(d.c.CreateTable(d.ctx, in))
	if err := dynamodb.NewTableExistsWaiter(d.c).Wait(d.ctx, &dynamodb.DescribeTableInput{TableName: &name}, 20*time.Second); err != nil {
		d.t.Fatal(err)
	}
	return name
}

func (d tables) put(table string, it item) {
	d.t.Helper()
	must[*dynamodb.PutItemOutput](d.t)(d.c.PutItem(d.ctx, &dynamodb.PutItemInput{TableName: &table, Item: it}))
}

// get reads an item strongly; nil when there is none.
func (d tables) get(table string, key item) item {
	d.t.Helper()
	out := must[*dynamodb.GetItemOutput](d.t)(d.c.GetItem(d.ctx, &dynamodb.GetItemInput{TableName: &table, Key: key, ConsistentRead: aws.Bool(true)}))
	return out.Item
}

func (d tables) wantItem(what string, got, want item) {
	d.t.Helper()
	if !reflect.DeepEqual(got, want) {
		d.t.Errorf("%s: got %s, want %s", what, show(got), show(want))
	}
}

// show prints an item readably: names in order, values without pointers.
func show(it item) string {
	var parts []string
	for name, v := range it {
		parts = append(parts, fmt.Sprintf("%s=%s", name, showValue(v)))
	}
	slices.Sort(parts)
	return "{" + strings.Join(parts, " ") + "}"
}

func showValue(v types.AttributeValue) string {
	switch v := v.(type) {
	case *str:
		return fmt.Sprintf("%q", v.Value)
	case *num:
		return v.Value
	case *types.AttributeValueMemberM:
		return show(v.Value)
	case *types.AttributeValueMemberL:
		var parts []string
		for _, e := range v.Value {
			parts = append(parts, showValue(e))
		}
		return "[" + strings.Join(parts, " ") + "]"
	default:
		return fmt.Sprintf("%+v", reflect.Indirect(reflect.ValueOf(v)))
	}
}

func testTables(d tables) {
	name := d.make("tables-one", types.ScalarAttributeTypeN)
	desc := must[*dynamodb.DescribeTableOutput](d.t)(d.c.DescribeTable(d.ctx, &dynamodb.DescribeTableInput{TableName: &name})).Table
	want(d.t, "status", desc.TableStatus, types.TableStatusActive)
	want(d.t, "ARN", aws.ToString(desc.TableArn), "arn:aws:dynamodb:us-east-1:000000000000:table/tables-one")
	want(d.t, "billing", desc.BillingModeSummary.BillingMode, types.BillingModePayPerRequest)
	want(d.t, "keys", len(desc.KeySchema), 2)
	if age := time.Since(aws.ToTime(desc.CreationDateTime)); age < -5*time.Second || age > time.Minute {
		d.t.Errorf("the table was created %v ago", age)
	}
	_, err := d.c.CreateTable(d.ctx, &dynamodb.CreateTableInput{
		TableName: &name, BillingMode: types.BillingModePayPerRequest, KeySchema: desc.KeySchema, AttributeDefinitions: desc.AttributeDefinitions,
	})
	want(d.t, "the error's text", aws.ToString(wantError[*types.ResourceInUseException](d.t, err).Message), "Table already exists: tables-one")

	made := []string{name}
	for i := range 7 {
		made = append(made, d.make(fmt.Sprintf("tables-page-%d", i), ""))
	}
	var listed []string
	pages := 0
	for p := dynamodb.NewListTablesPaginator(d.c, &dynamodb.ListTablesInput{Limit: aws.Int32(3)}); p.HasMorePages(); pages++ {
		page := must[*dynamodb.ListTablesOutput](d.t)(p.NextPage(d.ctx))
		if len(page.TableNames) > 3 {
			d.t.Errorf("a page has %d names, want at most 3", len(page.TableNames))
		}
		listed = append(listed, page.TableNames...)
	}
	if !slices.IsSorted(listed) || pages < 3 {
		d.t.Errorf("listed in %d pages: %q", pages, listed)
	}
	for _, name := range made {
		if !slices.Contains(listed, name) {
			d.t.Errorf("ListTables left out %s", name)
		}
	}

	must[*dynamodb.DeleteTableOutput](d.t)(d.c.DeleteTable(d.ctx, &dynamodb.DeleteTableInput{TableName: &name}))
	if err := dynamodb.NewTableNotExistsWaiter(d.c).Wait(d.ctx, &dynamodb.DescribeTableInput{TableName: &name}, 20*time.Second); err != nil {
		d.t.Fatal(err)
	}
	_, err = d.c.DescribeTable(d.ctx, &dynamodb.DescribeTableInput{TableName: &name})
	missing := wantError[*types.ResourceNotFoundException](d.t, err)
	want(d.t, "the error's text", aws.ToString(missing.Message), "Requested resource not found: Table: tables-one not found")
	_, err = d.c.DeleteTable(d.ctx, &dynamodb.DeleteTableInput{TableName: &name})
	wantError[*types.ResourceNotFoundException](d.t, err)
	d.make(name, "") // a new table of the old name has none of its items
	if got := d.scanAll(&dynamodb.ScanInput{TableName: &name}); len(got) != 0 {
		d.t.Errorf("a table made anew has %d items", len(got))
	}
}

func testTypes(d tables) {
	table := d.make("types", "")
	deep := types.AttributeValue(s("bottom"))
	for range 30 {
		deep = &types.AttributeValueMemberM{Value: item{"down": deep}}
	}
	all := item{
		"pk": s("a"), "empty": s(""), "text": s("Grüße, 世界 \u0000\u2028 \"quoted\" \\ 𝄞"),
		"digits": n("12345678901234567890123456789012345678"), "fraction": n("0.12345678901234567890123456789012345678"),
		"tiny": n("0." + strings.Repeat("0", 129) + "1"),
		"neg":  n("-98765432109876543210987654321098765432"), "zero": n("0"),
		"bytes": &types.AttributeValueMemberB{Value: []byte{0, 1, 2, 0xfe, 0xff}}, "nobytes": &types.AttributeValueMemberB{Value: []byte{}},
		"yes": &types.AttributeValueMemberBOOL{Value: true}, "no": &types.AttributeValueMemberBOOL{Value: false},
		"null": &types.AttributeValueMemberNULL{Value: true},
		"list": &types.AttributeValueMemberL{Value: []types.AttributeValue{s("x"), n("1"), &types.AttributeValueMemberL{Value: []types.AttributeValue{}}}},
		"map":  &types.AttributeValueMemberM{Value: item{"inner": n("2"), "empty": &types.AttributeValueMemberM{Value: item{}}}},
		"deep": deep,
	}
	sets := item{
		"ss": &types.AttributeValueMemberSS{Value: []string{"b", "a", "ü"}},
		"ns": &types.AttributeValueMemberNS{Value: []string{"3", "-1", "2.5"}},
		"bs": &types.AttributeValueMemberBS{Value: [][]byte{{2}, {1}}},
	}
	stored := item{}
	for k, v := range all {
		stored[k] = v
	}
	for k, v := range sets {
		stored[k] = v
	}
	d.put(table, stored)
	got := d.get(table, item{"pk": s("a")})
	var ss, ns []string
	if v, ok := got["ss"].(*types.AttributeValueMemberSS); ok {
		ss = slices.Sorted(slices.Values(v.Value))
	}
	if v, ok := got["ns"].(*types.AttributeValueMemberNS); ok {
		ns = slices.Sorted(slices.Values(v.Value))
	}
	bs, _ := got["bs"].(*types.AttributeValueMemberBS)
	if !slices.Equal(ss, []string{"a", "b", "ü"}) || !slices.Equal(ns, []string{"-1", "2.5", "3"}) || bs == nil || len(bs.Value) != 2 {
		d.t.Errorf("sets: got %q, %q, %v", ss, ns, bs)
	}
	delete(got, "ss")
	delete(got, "ns")
	delete(got, "bs")
	if tiny, ok := got["tiny"].(*num); ok && tiny.Value == "1E-130" { // both forms name the same number
		got["tiny"] = all["tiny"]
	}
	d.wantItem("all types", got, all)

	for in, out := range map[string]string{"1.0": "1", "+5": "5", "1e3": "1000", "-0": "0", "007.50": "7.5", "123e-5": "0.00123"} {
		d.put(table, item{"pk": s("norm"), "v": n(in)})
		d.wantItem("number "+in, d.get(table, item{"pk": s("norm")}), item{"pk": s("norm"), "v": n(out)})
	}
	for _, bad := range []types.AttributeValue{
		n("123456789012345678901234567890123456789"), n("1e126"), n("1e-131"), n("abc"), n(""), n("NaN"),
		&types.AttributeValueMemberSS{Value: []string{}}, &types.AttributeValueMemberSS{Value: []string{"a", "a"}},
		&types.AttributeValueMemberNS{Value: []string{"1", "1.0"}}, &types.AttributeValueMemberNULL{Value: false},
	} {
		_, err := d.c.PutItem(d.ctx, &dynamodb.PutItemInput{TableName: &table, Item: item{"pk": s("bad"), "v": bad}})
		wantCode(d.t, err, "ValidationException")
	}
	if got := d.get(table, item{"pk": s("bad")}); got != nil {
		d.t.Errorf("a refused item was stored: %s", show(got))
	}
	// 400 KiB with names is the limit.
	body := strings.Repeat("x", 400<<10-len("pk")-len("big")-len("body"))
	d.put(table, item{"pk": s("big"), "body": s(body)})
	want(d.t, "largest item", len(d.get(table, item{"pk": s("big")})["body"].(*str).Value), len(body))
	_, err := d.c.PutItem(d.ctx, &dynamodb.PutItemInput{TableName: &table, Item: item{"pk": s("big"), "body": s(body + "x")}})
	wantCode(d.t, err, "ValidationException")
}

func testConditions(d tables) {
	table := d.make("conditions", "")
	first := item{"pk": s("a"), "v": n("1")}
	d.put(table, first)
	_, err := d.c.PutItem(d.ctx, &dynamodb.PutItemInput{
		TableName: &table, Item: item{"pk": s("a"), "v": n("2")}, ConditionExpression: aws.String("attribute_not_exists(pk)"),
		ReturnValuesOnConditionCheckFailure: types.ReturnValuesOnConditionCheckFailureAllOld,
	})
	failed := wantError[*types.ConditionalCheckFailedException](d.t, err)
	want(d.t, "the error's text", aws.ToString(failed.Message), "The conditional request failed")
	d.wantItem("the item in the failure", failed.Item, first)
	_, err = d.c.PutItem(d.ctx, &dynamodb.PutItemInput{TableName: &table, Item: first, ConditionExpression: aws.String("attribute_not_exists(pk)")})
	if failed := wantError[*types.ConditionalCheckFailedException](d.t, err); failed.Item != nil {
		d.t.Errorf("the failure has an item that nobody asked for: %s", show(failed.Item))
	}
	_, err = d.c.UpdateItem(d.ctx, &dynamodb.UpdateItemInput{
		TableName: &table, Key: item{"pk": s("a")}, UpdateExpression: aws.String("SET v = :n"), ConditionExpression: aws.String("v > :n"),
		ExpressionAttributeValues: item{":n": n("5")}, ReturnValuesOnConditionCheckFailure: types.ReturnValuesOnConditionCheckFailureAllOld,
	})
	d.wantItem("the item in the failure", wantError[*types.ConditionalCheckFailedException](d.t, err).Item, first)
	_, err = d.c.DeleteItem(d.ctx, &dynamodb.DeleteItemInput{
		TableName: &table, Key: item{"pk": s("a")}, ConditionExpression: aws.String("v = :n"),
		ExpressionAttributeValues: item{":n": n("5")}, ReturnValuesOnConditionCheckFailure: types.ReturnValuesOnConditionCheckFailureAllOld,
	})
	d.wantItem("the item in the failure", wantError[*types.ConditionalCheckFailedException](d.t, err).Item, first)
	d.wantItem("after four failures", d.get(table, item{"pk": s("a")}), first)

	d.put(table, item{"pk": s("c"), "name": s("Weir"), "year": n("2024"), "size": n("5"), "tags": &types.AttributeValueMemberSS{Value: []string{"x", "y"}}, "lst": &types.AttributeValueMemberL{Value: []types.AttributeValue{n("1"), n("2")}}})
	allNames := map[string]string{"#n": "name", "#y": "year", "#s": "size"}
	allValues := item{":weir": s("Weir"), ":w": s("W"), ":x": s("x"), ":two": n("2"), ":year": n("2000"), ":ss": s("SS")}
	for condition, holds := range map[string]bool{
		"#n = :weir AND #y > :year":                        true,
		"begins_with(#n, :w)":                              true,
		"contains(tags, :x) AND size(tags) = :two":         true,
		"contains(#n, :w) AND NOT contains(tags, :w)":      true,
		"#s BETWEEN :two AND :year":                        true,
		"#s IN (:two, :year)":                              false,
		"attribute_type(tags, :ss) AND lst[1] = :two":      true,
		"attribute_exists(lst[2]) OR #n <> :weir":          false,
		"(#n = :weir OR #n = :w) AND attribute_exists(#y)": true,
		"nothing = :w":                                     false,
		"nothing <> :w":                                    true,
		"size(#n) >= :two AND #y >= #s":                    true,
	} {
		words := strings.FieldsFunc(condition, func(r rune) bool { return strings.ContainsRune(" (),", r) })
		names, values := map[string]string{}, item{":same": s("same")}
		for _, word := range words {
			if name, ok := allNames[word]; ok {
				names[word] = name
			}
			if value, ok := allValues[word]; ok {
				values[word] = value
			}
		}
		if len(names) == 0 {
			names = nil
		}
		_, err := d.c.UpdateItem(d.ctx, &dynamodb.UpdateItemInput{
			TableName: &table, Key: item{"pk": s("c")}, UpdateExpression: aws.String("SET untouched = :same"), ConditionExpression: &condition,
			ExpressionAttributeNames: names, ExpressionAttributeValues: values,
		})
		if holds && err != nil {
			d.t.Errorf("%s: %v", condition, err)
		} else if !holds {
			wantError[*types.ConditionalCheckFailedException](d.t, err)
		}
	}
}

func testReturnValues(d tables) {
	table := d.make("returns", "")
	key := item{"pk": s("a")}
	update := func(rv types.ReturnValue, expression string, values item) item {
		d.t.Helper()
		return must[*dynamodb.UpdateItemOutput](d.t)(d.c.UpdateItem(d.ctx, &dynamodb.UpdateItemInput{
			TableName: &table, Key: key, UpdateExpression: &expression, ExpressionAttributeValues: values, ReturnValues: rv,
		})).Attributes
	}
	put := func(rv types.ReturnValue, it item) item {
		d.t.Helper()
		return must[*dynamodb.PutItemOutput](d.t)(d.c.PutItem(d.ctx, &dynamodb.PutItemInput{TableName: &table, Item: it, ReturnValues: rv})).Attributes
	}
	d.wantItem("first put, ALL_OLD", put(types.ReturnValueAllOld, item{"pk": s("a"), "v": n("1"), "w": n("9")}), nil)
	d.wantItem("put, NONE", put(types.ReturnValueNone, item{"pk": s("a"), "v": n("2"), "w": n("9")}), nil)
	d.wantItem("put, ALL_OLD", put(types.ReturnValueAllOld, item{"pk": s("a"), "v": n("3"), "w": n("9")}), item{"pk": s("a"), "v": n("2"), "w": n("9")})
	one := item{":n": n("1")}
	d.wantItem("NONE", update(types.ReturnValueNone, "ADD v :n", one), nil)
	d.wantItem("ALL_OLD", update(types.ReturnValueAllOld, "ADD v :n", one), item{"pk": s("a"), "v": n("4"), "w": n("9")})
	d.wantItem("ALL_NEW", update(types.ReturnValueAllNew, "ADD v :n", one), item{"pk": s("a"), "v": n("6"), "w": n("9")})
	d.wantItem("UPDATED_OLD", update(types.ReturnValueUpdatedOld, "ADD v :n SET x = :n", one), item{"v": n("6")})
	d.wantItem("UPDATED_NEW", update(types.ReturnValueUpdatedNew, "ADD v :n SET x = :n REMOVE w", one), item{"v": n("8"), "x": n("1")})
	for _, rv := range []types.ReturnValue{types.ReturnValueAllNew, types.ReturnValueUpdatedNew} {
		_, err := d.c.PutItem(d.ctx, &dynamodb.PutItemInput{TableName: &table, Item: key, ReturnValues: rv})
		wantCode(d.t, err, "ValidationException")
	}
	del := func() item {
		return must[*dynamodb.DeleteItemOutput](d.t)(d.c.DeleteItem(d.ctx, &dynamodb.DeleteItemInput{TableName: &table, Key: key, ReturnValues: types.ReturnValueAllOld})).Attributes
	}
	d.wantItem("delete, ALL_OLD", del(), item{"pk": s("a"), "v": n("8"), "x": n("1")})
	d.wantItem("delete of nothing", del(), nil)
}

func testUpdates(d tables) {
	table := d.make("updates", "")
	key := item{"pk": s("a")}
	for _, step := range []struct {
		expression string
		values     item
		want       item
	}{
		{"SET a = if_not_exists(a, :n), l = :l", item{":n": n("1"), ":l": &types.AttributeValueMemberL{Value: []types.AttributeValue{n("1")}}},
			item{"a": n("1"), "l": &types.AttributeValueMemberL{Value: []types.AttributeValue{n("1")}}}},
		{"SET a = a + :n, l = list_append(l, :l)", item{":n": n("0.5"), ":l": &types.AttributeValueMemberL{Value: []types.AttributeValue{n("2")}}},
			item{"a": n("1.5"), "l": &types.AttributeValueMemberL{Value: []types.AttributeValue{n("1"), n("2")}}}},
		{"SET a = a - :n REMOVE l[0]", item{":n": n("2")},
			item{"a": n("-0.5"), "l": &types.AttributeValueMemberL{Value: []types.AttributeValue{n("2")}}}},
		{"SET l[7] = :n, m = :m", item{":n": n("3"), ":m": &types.AttributeValueMemberM{Value: item{}}},
			item{"a": n("-0.5"), "l": &types.AttributeValueMemberL{Value: []types.AttributeValue{n("2"), n("3")}}, "m": &types.AttributeValueMemberM{Value: item{}}}},
		{"SET m.x = :n ADD tags :t REMOVE l", item{":n": n("3"), ":t": &types.AttributeValueMemberSS{Value: []string{"x", "y"}}},
			item{"a": n("-0.5"), "m": &types.AttributeValueMemberM{Value: item{"x": n("3")}}, "tags": &types.AttributeValueMemberSS{Value: []string{"x", "y"}}}},
		{"DELETE tags :t", item{":t": &types.AttributeValueMemberSS{Value: []string{"x", "nope"}}},
			item{"a": n("-0.5"), "m": &types.AttributeValueMemberM{Value: item{"x": n("3")}}, "tags": &types.AttributeValueMemberSS{Value: []string{"y"}}}},
		{"DELETE tags :t REMOVE m.x, a", item{":t": &types.AttributeValueMemberSS{Value: []string{"y"}}},
			item{"m": &types.AttributeValueMemberM{Value: item{}}}},
	} {
		out, err := d.c.UpdateItem(d.ctx, &dynamodb.UpdateItemInput{
			TableName: &table, Key: key, UpdateExpression: &step.expression, ExpressionAttributeValues: step.values, ReturnValues: types.ReturnValueAllNew,
		})
		if err != nil {
			d.t.Fatalf("%s: %v", step.expression, err)
		}
		step.want["pk"] = s("a")
		d.wantItem(step.expression, out.Attributes, step.want)
		d.wantItem("stored after "+step.expression, d.get(table, key), step.want)
	}
	// A reserved word needs a name; the error says which word.
	_, err := d.c.UpdateItem(d.ctx, &dynamodb.UpdateItemInput{
		TableName: &table, Key: key, UpdateExpression: aws.String("SET status = :n"), ExpressionAttributeValues: item{":n": n("1")},
	})
	wantCode(d.t, err, "ValidationException")
	if !strings.Contains(err.Error(), "Invalid UpdateExpression: Attribute name is a reserved keyword; reserved keyword: status") {
		d.t.Errorf("the error says %v", err)
	}
	must[*dynamodb.UpdateItemOutput](d.t)(d.c.UpdateItem(d.ctx, &dynamodb.UpdateItemInput{
		TableName: &table, Key: key, UpdateExpression: aws.String("SET #s = :n"), ExpressionAttributeValues: item{":n": n("1")},
		ExpressionAttributeNames: map[string]string{"#s": "status"},
	}))
	// An update of nothing makes the item.
	must[*dynamodb.UpdateItemOutput](d.t)(d.c.UpdateItem(d.ctx, &dynamodb.UpdateItemInput{TableName: &table, Key: item{"pk": s("bare")}}))
	d.wantItem("an update without expression", d.get(table, item{"pk": s("bare")}), item{"pk": s("bare")})
}

// testConcurrentCounter counts from many goroutines at once.
func testConcurrentCounter(d tables) {
	table := d.make("counter", "")
	const workers, each = 8, 25
	errs := make(chan error, workers)
	for range workers {
		go func() {
			for range each {
				_, err := d.c.UpdateItem(d.ctx, &dynamodb.UpdateItemInput{
					TableName: &table, Key: item{"pk": s("c")}, UpdateExpression: aws.String("ADD v :n"), ExpressionAttributeValues: item{":n": n("1")},
				})
				if err != nil {
					errs <- err
					return
				}
			}
			errs <- nil
		}()
	}
	for range workers {
		if err := <-errs; err != nil {
			d.t.Error(err)
		}
	}
	d.wantItem("the counter", d.get(table, item{"pk": s("c")}), item{"pk": s("c"), "v": n(fmt.Sprint(workers * each))})
}
