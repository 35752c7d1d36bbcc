package sqs

import (
	"bytes"
	"context"
	"encoding/hex"
	"errors"
	"io"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/aws/ratelimit"
	"github.com/aws/aws-sdk-go-v2/aws/retry"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/sqs"
	"github.com/aws/aws-sdk-go-v2/service/sqs/types"
	"github.com/aws/smithy-go"

	"weir.dev/weir/internal/model"
)

// doorClient carries the SDK's requests to a door without a network. It loses
// the first answer to every call, so that the SDK sends each one twice.
type doorClient struct {
	door *Door
	mu   sync.Mutex // guards seen
	seen map[model.RequestID]bool
}

func (c *doorClient) Do(r *http.Request) (*http.Response, error) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return nil, err
	}
	_, operation, _ := strings.Cut(r.Header.Get("X-Amz-Target"), ".")
	req := request(operation, string(body))
	id, err := hex.DecodeString(strings.ReplaceAll(r.Header.Get("Amz-Sdk-Invocation-Id"), "-", ""))
	if err != nil {
		return nil, err
	}
	copy(req.Invocation[:], id)
	c.mu.Lock()
	again := c.seen[req.Invocation]
	c.seen[req.Invocation] = true
	c.mu.Unlock()
	if again {
		req.Attempt = 2
	}
	resp := c.door.Handle(r.Context(), req)
	if !again {
		return nil, io.ErrUnexpectedEOF
	}
	header := http.Header{"Content-Type": {resp.ContentType}}
	for _, h := range resp.Header {
		header.Set(h[0], h[1])
	}
	return &http.Response{StatusCode: resp.Status, Header: header, Request: r, ContentLength: int64(len(resp.Body)),
		Body: io.NopCloser(bytes.NewReader(bytes.Clone(resp.Body)))}, nil
}

func newSDK(t *testing.T) *sqs.Client {
	door, _ := newDoor(t)
	return sqs.New(sqs.Options{
		Region: "us-east-1", BaseEndpoint: aws.String("http://127.0.0.1:4566"),
		HTTPClient:  &doorClient{door: door, seen: map[model.RequestID]bool{}},
		Credentials: credentials.NewStaticCredentialsProvider("a", "b", ""),
		Retryer: retry.NewStandard(func(o *retry.StandardOptions) {
			o.Backoff = retry.BackoffDelayerFunc(func(int, error) (time.Duration, error) { return 0, nil })
			o.RateLimiter = ratelimit.None
		}),
	})
}

// TestSDK talks to the door through AWS's own client, which verifies the
// digests of every message. Each call is tried twice, and counts once.
func TestSDK(t *testing.T) {
	client, ctx := newSDK(t), context.Background()
	created, err := client.CreateQueue(ctx, &sqs.CreateQueueInput{QueueName: aws.String("likes"),
		Attributes: map[string]string{"weir.Partitions": "1"}}) // so that one receive takes both messages
	if err != nil {
		t.Fatal(err)
	}
	queue := created.QueueUrl
	attrs := map[string]types.MessageAttributeValue{
		"Text":  {DataType: aws.String("String"), StringValue: aws.String("é <&>")},
		"Bytes": {DataType: aws.String("Binary"), BinaryValue: []byte{0, 255}},
	}
	sent, err := client.SendMessage(ctx, &sqs.SendMessageInput{QueueUrl: queue, MessageBody: aws.String("one \"é\" \t"), MessageAttributes: attrs})
	if err != nil {
		t.Fatal(err)
	}
	batch, err := client.SendMessageBatch(ctx, &sqs.SendMessageBatchInput{QueueUrl: queue, Entries: []types.SendMessageBatchRequestEntry{
		{Id: aws.String("a"), MessageBody: aws.String("two")}, {Id: aws.String("b"), MessageBody: aws.String("\x00")},
	}})
	if err != nil || len(batch.Successful) != 1 || len(batch.Failed) != 1 || *batch.Failed[0].Code != "InvalidMessageContents" {
		t.Fatal(batch, err)
	}
	got, err := client.ReceiveMessage(ctx, &sqs.ReceiveMessageInput{QueueUrl: queue, MaxNumberOfMessages: 10, WaitTimeSeconds: 20,
		MessageAttributeNames:       []string{"All"},
		MessageSystemAttributeNames: []types.MessageSystemAttributeName{types.MessageSystemAttributeNameAll}})
	if err != nil || len(got.Messages) != 2 {
		t.Fatal(got, err)
	}
	if m := got.Messages[0]; *m.MessageId != *sent.MessageId || *m.Body != "one \"é\" \t" || m.Attributes["ApproximateReceiveCount"] != "1" ||
		!bytes.Equal(m.MessageAttributes["Bytes"].BinaryValue, []byte{0, 255}) || *m.MD5OfMessageAttributes != *sent.MD5OfMessageAttributes {
		t.Errorf("received %+v", m)
	}
	for _, m := range got.Messages {
		if _, err := client.ChangeMessageVisibility(ctx, &sqs.ChangeMessageVisibilityInput{QueueUrl: queue, ReceiptHandle: m.ReceiptHandle, VisibilityTimeout: 60}); err != nil {
			t.Error(err)
		}
		if _, err := client.DeleteMessage(ctx, &sqs.DeleteMessageInput{QueueUrl: queue, ReceiptHandle: m.ReceiptHandle}); err != nil {
			t.Error(err)
		}
	}
	left, err := client.GetQueueAttributes(ctx, &sqs.GetQueueAttributesInput{QueueUrl: queue, AttributeNames: []types.QueueAttributeName{types.QueueAttributeNameAll}})
	if err != nil || left.Attributes["ApproximateNumberOfMessages"] != "0" || left.Attributes["ApproximateNumberOfMessagesNotVisible"] != "0" {
		t.Errorf("left: %v %v", left, err)
	}
}

// TestSDKErrors looks at errors as the SDK shows them.
func TestSDKErrors(t *testing.T) {
	client, ctx := newSDK(t), context.Background()
	_, err := client.GetQueueUrl(ctx, &sqs.GetQueueUrlInput{QueueName: aws.String("none")})
	var missing *types.QueueDoesNotExist
	if !errors.As(err, &missing) || missing.ErrorCode() != "AWS.SimpleQueueService.NonExistentQueue" {
		t.Errorf("a missing queue is %v", err)
	}
	if _, err := client.CreateQueue(ctx, &sqs.CreateQueueInput{QueueName: aws.String("q")}); err != nil {
		t.Fatal(err)
	}
	_, err = client.DeleteMessage(ctx, &sqs.DeleteMessageInput{QueueUrl: aws.String("http://127.0.0.1:4566/000000000000/q"), ReceiptHandle: aws.String("x")})
	var handle *types.ReceiptHandleIsInvalid
	if !errors.As(err, &handle) {
		t.Errorf("a bad handle is %v", err)
	}
	_, err = client.ReceiveMessage(ctx, &sqs.ReceiveMessageInput{QueueUrl: aws.String("http://127.0.0.1:4566/000000000000/q"), WaitTimeSeconds: 21})
	var api smithy.APIError
	if !errors.As(err, &api) || api.ErrorCode() != "InvalidParameterValue" ||
		api.ErrorMessage() != "Value 21 for parameter WaitTimeSeconds is invalid. Reason: Must be >= 0 and <= 20, if provided." {
		t.Errorf("a bad wait is %v", err)
	}
}
