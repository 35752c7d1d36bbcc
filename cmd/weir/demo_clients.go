package main

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/aws/ratelimit"
	"github.com/aws/aws-sdk-go-v2/aws/retry"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	dynamotypes "github.com/aws/aws-sdk-go-v2/service/dynamodb/types"
	"github.com/aws/aws-sdk-go-v2/service/sqs"
	sqstypes "github.com/aws/aws-sdk-go-v2/service/sqs/types"
	endpoints "github.com/aws/smithy-go/endpoints"

	"weir.dev/weir/internal/console"
	"weir.dev/weir/internal/demo"
)

const (
	demoQueue = "likes"
	demoTable = "posts"
	// demoSenders is how many clients send at a time.
	demoSenders = 16
	// demoTryTimeout bounds one try of a call; the next goes to another node.
	demoTryTimeout = 5 * time.Second
	// demoTries bounds the tries of one call, at most demoBackoff apart.
	demoTries   = 500
	demoBackoff = 250 * time.Millisecond
)

// rotation directs the tries of a client's calls: each goes to the node that
// answered the last one, and after a failure to the next node. A call keeps
// its invocation id over all its tries, which is how Weir counts it once.
type rotation struct {
	addrs  []string
	http   *http.Client
	failed *atomic.Int64 // tries of all clients
	mu     sync.Mutex    // guards at
	at     int
}

// Do implements the SDK's HTTPClient.
func (r *rotation) Do(req *http.Request) (*http.Response, error) {
	resp, err := r.http.Do(req)
	if err != nil && req.Context().Err() == nil || err == nil && resp.StatusCode >= 500 {
		r.failed.Add(1)
		r.mu.Lock()
		if r.addrs[r.at] == req.URL.Host { // else another call has moved on already
			r.at = (r.at + 1) % len(r.addrs)
		}
		r.mu.Unlock()
	}
	return resp, err
}

// resolver tells the SDK the endpoint of a try. P is the service's own type of
// parameters, which do not matter.
type resolver[P any] struct{ *rotation }

// ResolveEndpoint implements the SDK's EndpointResolverV2.
func (r resolver[P]) ResolveEndpoint(context.Context, P) (endpoints.Endpoint, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return endpoints.Endpoint{URI: url.URL{Scheme: "http", Host: r.addrs[r.at]}}, nil
}

// demoClients are the SDK's clients, which know nothing of Weir.
type demoClients struct {
	dynamo   *dynamodb.Client
	each     []*dynamodb.Client // one for each node, which stays there
	sqs      *sqs.Client        // for all but sending
	senders  []*sqs.Client      // a third begins at each node
	failed   atomic.Int64       // tries
	queueURL string
}

func newDemoClients(nodes []*demoNode) *demoClients {
	c := &demoClients{}
	transport := &http.Transport{MaxIdleConnsPerHost: 2 * demoSenders, ResponseHeaderTimeout: demoTryTimeout}
	var addrs []string
	for _, n := range nodes {
		addrs = append(addrs, n.aws)
	}
	keys := credentials.NewStaticCredentialsProvider("demo", "demo", "")
	retryer := retry.NewStandard(func(o *retry.StandardOptions) {
		o.MaxAttempts, o.RateLimiter = demoTries, ratelimit.None
		o.Backoff = retry.BackoffDelayerFunc(func(attempt int, _ error) (time.Duration, error) {
			return min(demoBackoff, 10*time.Millisecond<<min(attempt, 10)), nil
		})
	})
	rotate := func(addrs []string, first int) *rotation {
		return &rotation{addrs: addrs, at: first % len(addrs), failed: &c.failed, http: &http.Client{Transport: transport}}
	}
	newDynamo := func(r *rotation) *dynamodb.Client {
		return dynamodb.New(dynamodb.Options{
			Region: "us-east-1", Credentials: keys, HTTPClient: r, Retryer: retryer,
			EndpointResolverV2: resolver[dynamodb.EndpointParameters]{r},
		})
	}
	newSQS := func(r *rotation) *sqs.Client {
		return sqs.New(sqs.Options{
			Region: "us-east-1", Credentials: keys, HTTPClient: r, Retryer: retryer,
			EndpointResolverV2: resolver[sqs.EndpointParameters]{r},
		})
	}
	c.dynamo, c.sqs = newDynamo(rotate(addrs, 0)), newSQS(rotate(addrs, 1))
	for i := range addrs {
		c.each = append(c.each, newDynamo(rotate(addrs[i:i+1], 0)))
	}
	for i := range demoSenders {
		c.senders = append(c.senders, newSQS(rotate(addrs, i)))
	}
	return c
}

// makeResources makes the queue, the table and the pipe between them.
func (d *demoRun) makeResources() error {
	d.clients = newDemoClients(d.nodes.all)
	queue, err := d.clients.sqs.CreateQueue(d.ctx, &sqs.CreateQueueInput{QueueName: aws.String(demoQueue)})
	if err != nil {
		return fmt.Errorf("cannot make the queue: %w", err)
	}
	d.clients.queueURL = aws.ToString(queue.QueueUrl)
	_, err = d.clients.dynamo.CreateTable(d.ctx, &dynamodb.CreateTableInput{
		TableName:            aws.String(demoTable),
		KeySchema:            []dynamotypes.KeySchemaElement{{AttributeName: aws.String("id"), KeyType: dynamotypes.KeyTypeHash}},
		AttributeDefinitions: []dynamotypes.AttributeDefinition{{AttributeName: aws.String("id"), AttributeType: dynamotypes.ScalarAttributeTypeS}},
		BillingMode:          dynamotypes.BillingModePayPerRequest,
	})
	if err != nil {
		return fmt.Errorf("cannot make the table: %w", err)
	}
	err = dynamodb.NewTableExistsWaiter(d.clients.dynamo).Wait(d.ctx, &dynamodb.DescribeTableInput{TableName: aws.String(demoTable)}, demoStartTimeout)
	if err != nil {
		return fmt.Errorf("cannot wait for the table: %w", err)
	}
	err = admin(d.nodes.all[0].console, "POST", "/api/pipes", console.Pipe{
		Name: "likes", From: "queue:" + demoQueue, To: "table:" + demoTable, Rate: d.day.Rate,
		Key:    map[string]string{"id": "$.post"},
		Update: "ADD score :weight, clicks :one, prints :print",
		Values: map[string]string{":weight": "$.weight", ":one": "1", ":print": "$.print"},
	}, nil)
	if err != nil {
		return fmt.Errorf("cannot make the pipe: %w", err)
	}
	d.screen.say("queue %s, table %s, and a pipe between them at %g clicks a second", demoQueue, demoTable, d.day.Rate)
	return nil
}

// postKey is the key of a post's item.
func postKey(post int) string { return "post-" + strconv.Itoa(post) }

// send sends up to ten clicks with one call of the SDK.
func (c *demoClients) send(ctx context.Context, sender int, clicks []demo.Click) error {
	in := &sqs.SendMessageBatchInput{QueueUrl: aws.String(c.queueURL)}
	for i, click := range clicks {
		body := fmt.Sprintf(`{"post":%q,"weight":%d,"print":%d}`, postKey(click.Post), click.Weight, click.Print)
		in.Entries = append(in.Entries, sqstypes.SendMessageBatchRequestEntry{Id: aws.String(strconv.Itoa(i)), MessageBody: aws.String(body)})
	}
	out, err := c.senders[sender].SendMessageBatch(ctx, in)
	if err != nil {
		return fmt.Errorf("cannot send clicks: %w", err)
	}
	if len(out.Failed) > 0 || len(out.Successful) != len(clicks) {
		err := errors.New("not all are in the answer")
		if len(out.Failed) > 0 {
			err = fmt.Errorf("%s: %s", aws.ToString(out.Failed[0].Code), aws.ToString(out.Failed[0].Message))
		}
		return fmt.Errorf("the queue took %d of %d clicks: %w", len(out.Successful), len(clicks), err)
	}
	return nil
}

// queued asks for the number of messages that wait in the queue or are in
// flight.
func (c *demoClients) queued(ctx context.Context) (n int, err error) {
	names := []sqstypes.QueueAttributeName{sqstypes.QueueAttributeNameApproximateNumberOfMessages, sqstypes.QueueAttributeNameApproximateNumberOfMessagesNotVisible}
	out, err := c.sqs.GetQueueAttributes(ctx, &sqs.GetQueueAttributesInput{QueueUrl: aws.String(c.queueURL), AttributeNames: names})
	if err != nil {
		return 0, fmt.Errorf("cannot read the queue's backlog: %w", err)
	}
	for _, name := range names {
		v, err := strconv.Atoi(out.Attributes[string(name)])
		if err != nil {
			return 0, fmt.Errorf("cannot read the queue's %s: %w", name, err)
		}
		n += v
	}
	return n, nil
}

// readPosts reads the tallies of all posts. Strong reads show the newest state;
// others show that of the node that is asked. complete is false when some posts
// could not be read now.
func readPosts(ctx context.Context, client *dynamodb.Client, posts int, strong bool) (all []demo.Tally, complete bool, err error) {
	ask := dynamotypes.KeysAndAttributes{ConsistentRead: aws.Bool(strong)}
	for i := range posts {
		ask.Keys = append(ask.Keys, map[string]dynamotypes.AttributeValue{"id": &dynamotypes.AttributeValueMemberS{Value: postKey(i)}})
	}
	out, err := client.BatchGetItem(ctx, &dynamodb.BatchGetItemInput{RequestItems: map[string]dynamotypes.KeysAndAttributes{demoTable: ask}})
	if err != nil {
		return nil, false, fmt.Errorf("cannot read the table: %w", err)
	}
	all = make([]demo.Tally, posts)
	for _, item := range out.Responses[demoTable] {
		id, _ := item["id"].(*dynamotypes.AttributeValueMemberS)
		for i := range all {
			if id != nil && id.Value == postKey(i) {
				all[i], err = tallyOf(item)
			}
		}
		if err != nil {
			return nil, false, err
		}
	}
	return all, len(out.UnprocessedKeys) == 0, nil
}

// tallyOf reads an item.
func tallyOf(item map[string]dynamotypes.AttributeValue) (t demo.Tally, err error) {
	for name, into := range map[string]*int64{"clicks": &t.Clicks, "score": &t.Score, "prints": &t.Prints} {
		v, ok := item[name].(*dynamotypes.AttributeValueMemberN)
		if !ok {
			return t, fmt.Errorf("an item of the table has no number %s", name)
		}
		if *into, err = strconv.ParseInt(v.Value, 10, 64); err != nil {
			return t, fmt.Errorf("an item's %s is no whole number: %w", name, err)
		}
	}
	return t, nil
}
