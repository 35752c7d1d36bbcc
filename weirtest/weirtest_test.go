package weirtest_test

import (
	"net/http"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"
	"github.com/aws/aws-sdk-go-v2/service/sqs"

	"weir.dev/weir/weirtest"
	"weir.dev/weir/weirtest/awsclient"
)

// TestStart shows how a test uses Weir: a table, a queue, and a restart in
// between that loses nothing.
func TestStart(t *testing.T) {
	t.Parallel()
	ctx, begun := t.Context(), time.Now()
	srv := weirtest.Start(t)
	tables, queues := awsclient.DynamoDB(srv.Endpoint()), awsclient.SQS(srv.Endpoint())
	_, err := tables.CreateTable(ctx, &dynamodb.CreateTableInput{
		TableName: aws.String("likes"), BillingMode: types.BillingModePayPerRequest,
		AttributeDefinitions: []types.AttributeDefinition{{AttributeName: aws.String("post"), AttributeType: types.ScalarAttributeTypeS}},
		KeySchema:            []types.KeySchemaElement{{AttributeName: aws.String("post"), KeyType: types.KeyTypeHash}},
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("the first request was answered %v after Start began", time.Since(begun).Round(time.Millisecond))
	item := map[string]types.AttributeValue{"post": &types.AttributeValueMemberS{Value: "p1"}, "score": &types.AttributeValueMemberN{Value: "7"}}
	if _, err := tables.PutItem(ctx, &dynamodb.PutItemInput{TableName: aws.String("likes"), Item: item}); err != nil {
		t.Fatal(err)
	}
	queue, err := queues.CreateQueue(ctx, &sqs.CreateQueueInput{QueueName: aws.String("clicks")})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := queues.SendMessage(ctx, &sqs.SendMessageInput{QueueUrl: queue.QueueUrl, MessageBody: aws.String("click")}); err != nil {
		t.Fatal(err)
	}

	endpoint := srv.Endpoint()
	srv.Restart()
	if srv.Endpoint() != endpoint {
		t.Errorf("the endpoint changed from %s to %s", endpoint, srv.Endpoint())
	}
	got, err := tables.GetItem(ctx, &dynamodb.GetItemInput{
		TableName: aws.String("likes"), Key: map[string]types.AttributeValue{"post": item["post"]}, ConsistentRead: aws.Bool(true),
	})
	if err != nil {
		t.Fatal(err)
	}
	if score, ok := got.Item["score"].(*types.AttributeValueMemberN); !ok || score.Value != "7" {
		t.Errorf("after the restart the item is %v", got.Item)
	}
	taken, err := queues.ReceiveMessage(ctx, &sqs.ReceiveMessageInput{QueueUrl: queue.QueueUrl, WaitTimeSeconds: 5})
	if err != nil {
		t.Fatal(err)
	}
	if len(taken.Messages) != 1 || aws.ToString(taken.Messages[0].Body) != "click" {
		t.Errorf("after the restart the queue gave %v", taken.Messages)
	}
}

// TestAlone starts two servers at once: they have nothing in common.
func TestAlone(t *testing.T) {
	t.Parallel()
	one, two := weirtest.Start(t), weirtest.Start(t)
	if _, err := awsclient.SQS(one.Endpoint()).CreateQueue(t.Context(), &sqs.CreateQueueInput{QueueName: aws.String("q")}); err != nil {
		t.Fatal(err)
	}
	list, err := awsclient.SQS(two.Endpoint()).ListQueues(t.Context(), &sqs.ListQueuesInput{})
	if err != nil {
		t.Fatal(err)
	}
	if len(list.QueueUrls) != 0 {
		t.Errorf("the other server has %q", list.QueueUrls)
	}
	resp, err := http.Get(two.ConsoleURL() + "/readyz")
	if err != nil {
		t.Fatal(err)
	}
	if err := resp.Body.Close(); err != nil {
		t.Error(err)
	}
	if resp.StatusCode != http.StatusOK {
		t.Errorf("the readiness check says %s", resp.Status)
	}
}
