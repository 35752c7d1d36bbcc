package dynamo

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"
)

// doorClient carries the SDK's requests to a door without a network.
type doorClient struct{ door *Door }

func (c doorClient) Do(r *http.Request) (*http.Response, error) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return nil, err
	}
	_, operation, _ := strings.Cut(r.Header.Get("X-Amz-Target"), ".")
	resp := c.door.Handle(r.Context(), request(operation, string(body)))
	header := http.Header{"Content-Type": {resp.ContentType}}
	for _, h := range resp.Header {
		header.Set(h[0], h[1])
	}
	return &http.Response{StatusCode: resp.Status, Header: header, Request: r, ContentLength: int64(len(resp.Body)),
		Body: io.NopCloser(bytes.NewReader(bytes.Clone(resp.Body)))}, nil
}

// TestSDK talks to the door through AWS's own client, which verifies the
// checksum of every answer.
func TestSDK(t *testing.T) {
	door, _ := newDoor(t)
	client := dynamodb.New(dynamodb.Options{
		Region: "us-east-1", BaseEndpoint: aws.String("http://door"), HTTPClient: doorClient{door},
		Credentials: credentials.NewStaticCredentialsProvider("a", "b", ""), Retryer: aws.NopRetryer{},
	})
	ctx := context.Background()
	_, err := client.CreateTable(ctx, &dynamodb.CreateTableInput{
		TableName: aws.String("likes"), BillingMode: types.BillingModePayPerRequest,
		AttributeDefinitions: []types.AttributeDefinition{{AttributeName: aws.String("k"), AttributeType: types.ScalarAttributeTypeS}},
		KeySchema:            []types.KeySchemaElement{{AttributeName: aws.String("k"), KeyType: types.KeyTypeHash}},
	})
	if err != nil {
		t.Fatal(err)
	}
	if err := dynamodb.NewTableExistsWaiter(client).Wait(ctx, &dynamodb.DescribeTableInput{TableName: aws.String("likes")}, time.Minute); err != nil {
		t.Fatal(err)
	}
	item := map[string]types.AttributeValue{
		"k": &types.AttributeValueMemberS{Value: "post é"},
		"n": &types.AttributeValueMemberN{Value: "1"},
		"b": &types.AttributeValueMemberB{Value: []byte{0, 255}},
		"m": &types.AttributeValueMemberM{Value: map[string]types.AttributeValue{"l": &types.AttributeValueMemberL{Value: []types.AttributeValue{
			&types.AttributeValueMemberNULL{Value: true}, &types.AttributeValueMemberBOOL{Value: true}}}}},
		"s": &types.AttributeValueMemberSS{Value: []string{"x", "y"}},
	}
	if _, err := client.PutItem(ctx, &dynamodb.PutItemInput{TableName: aws.String("likes"), Item: item}); err != nil {
		t.Fatal(err)
	}
	key := map[string]types.AttributeValue{"k": item["k"]}
	got, err := client.GetItem(ctx, &dynamodb.GetItemInput{TableName: aws.String("likes"), Key: key, ConsistentRead: aws.Bool(true)})
	if err != nil {
		t.Fatal(err)
	}
	if len(got.Item) != len(item) || got.Item["n"].(*types.AttributeValueMemberN).Value != "1" ||
		!bytes.Equal(got.Item["b"].(*types.AttributeValueMemberB).Value, []byte{0, 255}) {
		t.Errorf("got %v", got.Item)
	}
	_, err = client.PutItem(ctx, &dynamodb.PutItemInput{TableName: aws.String("likes"), Item: item,
		ConditionExpression:                 aws.String("attribute_not_exists(k)"),
		ReturnValuesOnConditionCheckFailure: types.ReturnValuesOnConditionCheckFailureAllOld})
	var failed *types.ConditionalCheckFailedException
	if !errors.As(err, &failed) || len(failed.Item) != len(item) {
		t.Errorf("a refused condition is %v", err)
	}
	page, err := client.Scan(ctx, &dynamodb.ScanInput{TableName: aws.String("likes"), ReturnConsumedCapacity: types.ReturnConsumedCapacityTotal})
	if err != nil || page.Count != 1 || *page.ConsumedCapacity.CapacityUnits != 0.5 {
		t.Errorf("scan: %v %v", page, err)
	}
	_, err = client.GetItem(ctx, &dynamodb.GetItemInput{TableName: aws.String("none"), Key: key})
	var missing *types.ResourceNotFoundException
	if !errors.As(err, &missing) {
		t.Errorf("a missing table is %v", err)
	}
}
