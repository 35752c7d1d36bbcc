package faults

import (
	"context"
	"errors"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	awshttp "github.com/aws/aws-sdk-go-v2/aws/transport/http"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"
	"github.com/aws/aws-sdk-go-v2/service/kinesis"
	"github.com/aws/aws-sdk-go-v2/service/sqs"
	sqstypes "github.com/aws/aws-sdk-go-v2/service/sqs/types"
	"github.com/aws/smithy-go"
	smithyhttp "github.com/aws/smithy-go/transport/http"
)

// levelAll asks for the highest level while a node is down: what the client sees
// says that the write is there, and the SDK's own tries count once.
func levelAll(t *testing.T, c *cluster) {
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	alive := c.nodes[0]
	for begun := time.Now(); ; time.Sleep(100 * time.Millisecond) { // a real process: there is nothing to wait on
		status, _ := alive.Status()
		if status != nil && status.Leading(alive.Peer()) < len(status.Tablets) {
			break // only voters lead: the others are
		}
		if time.Since(begun) > wholeTimeout {
			t.Fatal("one node goes on leading all tablets")
		}
	}
	cfg := c.config(2)
	cfg.BaseEndpoint, cfg.HTTPClient = aws.String(alive.Endpoint()), &http.Client{} // it waits for as long as the level does
	tables, queues, streams := dynamodb.NewFromConfig(cfg), sqs.NewFromConfig(cfg), kinesis.NewFromConfig(cfg)
	made := dynamodb.NewFromConfig(c.config(attempts))
	_, err := made.CreateTable(ctx, &dynamodb.CreateTableInput{
		TableName: aws.String("levels"), BillingMode: types.BillingModePayPerRequest,
		AttributeDefinitions: []types.AttributeDefinition{{AttributeName: aws.String("pk"), AttributeType: types.ScalarAttributeTypeS}},
		KeySchema:            []types.KeySchemaElement{{AttributeName: aws.String("pk"), KeyType: types.KeyTypeHash}},
	})
	if err == nil {
		_, err = queues.CreateQueue(ctx, &sqs.CreateQueueInput{QueueName: aws.String("levels")})
	}
	if err == nil {
		_, err = streams.CreateStream(ctx, &kinesis.CreateStreamInput{StreamName: aws.String("levels"), ShardCount: aws.Int32(1)})
	}
	if err != nil {
		t.Fatal(err)
	}
	down := c.others(alive)[0]
	down.Kill()
	ask := smithyhttp.AddHeaderValue("x-weir-durability", "all")
	add := &dynamodb.UpdateItemInput{
		TableName: aws.String("levels"), Key: item{"pk": s("a")}, UpdateExpression: aws.String("ADD v :one"),
		ExpressionAttributeValues: item{":one": n(1)},
	}
	_, err = tables.UpdateItem(ctx, add, dynamodb.WithAPIOptions(ask))
	wantNotOnAll(t, "UpdateItem", "InternalServerError", err)
	queue := aws.String("http://localhost/000000000000/levels")
	_, err = queues.SendMessage(ctx, &sqs.SendMessageInput{QueueUrl: queue, MessageBody: aws.String("m")}, sqs.WithAPIOptions(ask))
	wantNotOnAll(t, "SendMessage", "InternalError", err)
	_, err = streams.PutRecord(ctx, &kinesis.PutRecordInput{StreamName: aws.String("levels"), PartitionKey: aws.String("k"), Data: []byte("r")}, kinesis.WithAPIOptions(ask))
	wantNotOnAll(t, "PutRecord", "InternalFailure", err)

	got, err := made.GetItem(ctx, &dynamodb.GetItemInput{TableName: add.TableName, Key: add.Key, ConsistentRead: aws.Bool(true)})
	if err != nil || number(got.Item, "v") != 1 {
		t.Errorf("two tries of one addition: %v, %v", got, err)
	}
	had, err := queues.GetQueueAttributes(ctx, &sqs.GetQueueAttributesInput{QueueUrl: queue, AttributeNames: []sqstypes.QueueAttributeName{"All"}})
	if err != nil || had.Attributes["ApproximateNumberOfMessages"] != "1" {
		t.Errorf("two tries of one message: %v, %v", had, err)
	}
	down.Start()
	down.WaitReady()
	c.waitWhole(t, "after a node was down", underLoad)
	if _, err := tables.UpdateItem(ctx, add, dynamodb.WithAPIOptions(ask)); err != nil {
		t.Errorf("with all nodes up: %v", err)
	}
}

// wantNotOnAll holds an error to what is documented of a write that is not on all
// replicas.
func wantNotOnAll(t *testing.T, what, code string, err error) {
	t.Helper()
	var api smithy.APIError
	var resp *awshttp.ResponseError
	if !errors.As(err, &api) || !errors.As(err, &resp) {
		t.Errorf("%s: %v", what, err)
		return
	}
	reached := resp.Response.Header.Get("x-weir-durability")
	if api.ErrorCode() != code || resp.HTTPStatusCode() != 500 || reached != "quorum" ||
		!strings.Contains(api.ErrorMessage(), "was carried out") || !strings.Contains(api.ErrorMessage(), "not all of them") {
		t.Errorf("%s: %s %d, reached %q: %s", what, api.ErrorCode(), resp.HTTPStatusCode(), reached, api.ErrorMessage())
	}
}
