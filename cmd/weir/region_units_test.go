package main

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/kinesis"
	ktypes "github.com/aws/aws-sdk-go-v2/service/kinesis/types"
	"github.com/aws/aws-sdk-go-v2/service/sqs"

	"weir.dev/weir/internal/server"
)

// regionUnits are a queue and a stream in two regions, as their clients see
// them.
type regionUnits struct {
	t          *testing.T
	east, west unitClients
	sequence   string // of the second record, as east called it
	shard      string
	console    string // of the first region
}

type unitClients struct {
	sqs     *sqs.Client
	kinesis *kinesis.Client
	url     string // of the queue
}

func unitClientsOf(s *server.Server) unitClients {
	endpoint, keys := aws.String("http://"+s.Addresses().AWS), credentials.NewStaticCredentialsProvider("id", "secret", "")
	return unitClients{
		sqs:     sqs.New(sqs.Options{Region: "us-east-1", BaseEndpoint: endpoint, Credentials: keys, Retryer: aws.NopRetryer{}}),
		kinesis: kinesis.New(kinesis.Options{Region: "us-east-1", BaseEndpoint: endpoint, Credentials: keys, Retryer: aws.NopRetryer{}}),
		url:     "http://" + s.Addresses().AWS + "/000000000000/jobs.fifo",
	}
}

// newRegionUnits makes a queue and a stream in the first region.
func newRegionUnits(t *testing.T, east, west *server.Server) *regionUnits {
	t.Helper()
	u := &regionUnits{t: t, east: unitClientsOf(east), west: unitClientsOf(west), console: east.Addresses().Console}
	ctx := context.Background()
	if _, err := u.east.sqs.CreateQueue(ctx, &sqs.CreateQueueInput{QueueName: aws.String("jobs.fifo"), Attributes: map[string]string{"FifoQueue": "true"}}); err != nil {
		t.Fatal(err)
	}
	if _, err := u.east.kinesis.CreateStream(ctx, &kinesis.CreateStreamInput{StreamName: aws.String("clicks"), ShardCount: aws.Int32(1)}); err != nil {
		t.Fatal(err)
	}
	for i := range 3 {
		u.send(u.east, fmt.Sprint("message", i))
	}
	res, err := u.east.kinesis.PutRecords(ctx, &kinesis.PutRecordsInput{StreamName: aws.String("clicks"), Records: []ktypes.PutRecordsRequestEntry{
		{Data: []byte("record0"), PartitionKey: aws.String("k")}, {Data: []byte("record1"), PartitionKey: aws.String("k")}, {Data: []byte("record2"), PartitionKey: aws.String("k")},
	}})
	if err != nil {
		t.Fatal(err)
	}
	u.sequence, u.shard = *res.Records[1].SequenceNumber, *res.Records[1].ShardId
	return u
}

func (u *regionUnits) trySend(c unitClients, body string) error {
	_, err := c.sqs.SendMessage(context.Background(), &sqs.SendMessageInput{QueueUrl: &c.url, MessageBody: &body, MessageGroupId: aws.String("g"), MessageDeduplicationId: &body})
	return err
}

func (u *regionUnits) send(c unitClients, body string) {
	u.t.Helper()
	if err := u.trySend(c, body); err != nil {
		u.t.Fatal(err)
	}
}

// shipped reads records in the second region by sequence numbers of the first,
// while that has the writes.
func (u *regionUnits) shipped() {
	u.t.Helper()
	u.wantRecord("record2")
	u.copied()
	if err := u.trySend(u.west, "own"); err == nil || !strings.Contains(err.Error(), "takes no writes in this region") {
		u.t.Errorf("a copy takes a message: %v", err)
	}
	_, err := u.west.kinesis.PutRecord(context.Background(), &kinesis.PutRecordInput{StreamName: aws.String("clicks"), Data: []byte("x"), PartitionKey: aws.String("k")})
	if err == nil || !strings.Contains(err.Error(), "takes no writes in this region") {
		u.t.Errorf("a copy takes a record: %v", err)
	}
	got, err := u.east.sqs.ReceiveMessage(context.Background(), &sqs.ReceiveMessageInput{QueueUrl: &u.east.url, MaxNumberOfMessages: 1})
	if err != nil || len(got.Messages) != 1 || *got.Messages[0].Body != "message0" {
		u.t.Fatal(got, err)
	}
	if _, err := u.east.sqs.DeleteMessage(context.Background(), &sqs.DeleteMessageInput{QueueUrl: &u.east.url, ReceiptHandle: got.Messages[0].ReceiptHandle}); err != nil {
		u.t.Fatal(err)
	}
}

// synchronous puts a record, which the second region has when the answer comes.
func (u *regionUnits) synchronous() {
	u.t.Helper()
	ctx := context.Background()
	put, err := u.east.kinesis.PutRecord(ctx, &kinesis.PutRecordInput{StreamName: aws.String("clicks"), Data: []byte("at once"), PartitionKey: aws.String("k")})
	if err != nil {
		u.t.Fatal(err)
	}
	at, err := u.west.kinesis.GetShardIterator(ctx, &kinesis.GetShardIteratorInput{
		StreamName: aws.String("clicks"), ShardId: &u.shard, ShardIteratorType: ktypes.ShardIteratorTypeAtSequenceNumber, StartingSequenceNumber: put.SequenceNumber,
	})
	if err != nil {
		u.t.Fatal(err)
	}
	got, err := u.west.kinesis.GetRecords(ctx, &kinesis.GetRecordsInput{ShardIterator: at.ShardIterator})
	if err != nil || len(got.Records) != 1 || string(got.Records[0].Data) != "at once" {
		u.t.Errorf("the other region has %v when the answer comes, %v", got, err)
	}
}

// copied waits until the first copy of everything is done.
func (u *regionUnits) copied() {
	u.t.Helper()
	for end := time.Now().Add(regionSoon); time.Now().Before(end); {
		out, err := output(u.t, func() error { return dispatch([]string{"region", "status", "--console", u.console}) })
		if err != nil {
			u.t.Fatal(err)
		}
		for _, line := range strings.Split(out, "\n") {
			if strings.HasPrefix(line, "jobs-to-west ") && strings.Contains(line, " shipping ") {
				return
			}
		}
	}
	u.t.Fatal("the first copy does not end")
}

// wantRecord waits until the first record behind the second one, by the sequence
// number that the first region gave, is in the second region.
func (u *regionUnits) wantRecord(data string) {
	u.t.Helper()
	var last error
	for end := time.Now().Add(regionSoon); time.Now().Before(end); {
		at, err := u.west.kinesis.GetShardIterator(context.Background(), &kinesis.GetShardIteratorInput{
			StreamName: aws.String("clicks"), ShardId: &u.shard, ShardIteratorType: ktypes.ShardIteratorTypeAfterSequenceNumber, StartingSequenceNumber: &u.sequence,
		})
		if last = err; err != nil {
			continue // the stream is not there yet
		}
		got, err := u.west.kinesis.GetRecords(context.Background(), &kinesis.GetRecordsInput{ShardIterator: at.ShardIterator})
		if last = err; err == nil && len(got.Records) > 0 {
			if string(got.Records[0].Data) != data {
				u.t.Fatalf("behind %s comes %q and not %q", u.sequence, got.Records[0].Data, data)
			}
			return
		}
	}
	u.t.Fatalf("%q is not in the other region: %v", data, last)
}

// takenOver receives in the second region what was sent to the first one and not
// deleted, in its order.
func (u *regionUnits) takenOver() {
	u.t.Helper()
	u.send(u.west, "message3")
	for i := 1; i < 4; i++ {
		got, err := u.west.sqs.ReceiveMessage(context.Background(), &sqs.ReceiveMessageInput{QueueUrl: &u.west.url, MaxNumberOfMessages: 1})
		if err != nil || len(got.Messages) != 1 || *got.Messages[0].Body != fmt.Sprint("message", i) {
			u.t.Fatal(i, got, err)
		}
		if _, err := u.west.sqs.DeleteMessage(context.Background(), &sqs.DeleteMessageInput{QueueUrl: &u.west.url, ReceiptHandle: got.Messages[0].ReceiptHandle}); err != nil {
			u.t.Fatal(err)
		}
	}
	if err := u.trySend(u.east, "own"); err == nil || !strings.Contains(err.Error(), "takes no writes in this region") {
		u.t.Errorf("the old primary takes a message: %v", err)
	}
	res, err := u.west.kinesis.PutRecord(context.Background(), &kinesis.PutRecordInput{StreamName: aws.String("clicks"), Data: []byte("record3"), PartitionKey: aws.String("k")})
	if err != nil || *res.SequenceNumber <= u.sequence {
		u.t.Error(res, err)
	}
}

// drilled checks what a drill says, and that the writes are where they were.
func (u *regionUnits) drilled(out string) {
	u.t.Helper()
	if strings.Count(out, "0 changes") != 2 {
		u.t.Errorf("drill: %s", out)
	}
	u.send(u.west, "message4")
}
