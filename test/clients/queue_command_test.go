package clients

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/sqs"
	"github.com/aws/aws-sdk-go-v2/service/sqs/types"

	"weir.dev/weir/test/process"
	"weir.dev/weir/weirtest/awsclient"
)

// TestQueueCommand works with queues by hand, beside a client of AWS's.
func TestQueueCommand(t *testing.T) {
	t.Parallel()
	node := process.Start(t, process.Options{})
	q := queues{t, testContext(t), awsclient.SQS(node.Endpoint())}
	weir := func(args ...string) string {
		t.Helper()
		out := node.Weir(append([]string{"queue"}, args...)...)
		if out.Code != 0 {
			t.Fatalf("weir queue %s: status %d: %s", strings.Join(args, " "), out.Code, out.Stderr)
		}
		return strings.TrimSpace(out.Stdout)
	}
	says := func(out string, words ...string) {
		t.Helper()
		for _, w := range words {
			if !strings.Contains(out, w) {
				t.Errorf("no %q in\n%s", w, out)
			}
		}
	}
	weir("create", "dead")
	weir("create", "orders", "--attribute", "VisibilityTimeout=0", "--tag", "team=web", "--attribute",
		`RedrivePolicy={"deadLetterTargetArn":"`+*arnOf("dead")+`","maxReceiveCount":1}`)
	weir("create", "steps.fifo")
	refused(t, "a queue made otherwise", 1, node.Weir("queue", "create", "orders", "--attribute", "VisibilityTimeout=7"), "VisibilityTimeout")
	says(weir("list"), "QUEUE", "orders", "steps.fifo", "fifo", "standard")
	says(weir("describe", "orders"), "VisibilityTimeout", "go to dead", "tag team", "0 messages")
	says(weir("describe", "dead"), "come from orders")
	refused(t, "a queue that is not there", 1, node.Weir("queue", "describe", "nowhere"), "nowhere")

	id := weir("send", "orders", `{"order":1}`, "--attribute", "kind=new", "--group", "tenant-1")
	url := must[*sqs.GetQueueUrlOutput](t)(q.c.GetQueueUrl(q.ctx, &sqs.GetQueueUrlInput{QueueName: aws.String("orders")})).QueueUrl
	says(weir("peek", "orders"), id, "visible", `{"order":1}`, "tenant-1")
	says(weir("search", "orders", `"order":1`), id)
	if out := weir("search", "orders", "nothing like it"); strings.Contains(out, id) {
		t.Errorf("searching for nothing found\n%s", out)
	}
	var peeked struct {
		Messages []struct{ ID, Body, Place, Group string }
	}
	if err := json.Unmarshal([]byte(weir("peek", "orders", "--json")), &peeked); err != nil || len(peeked.Messages) != 1 || peeked.Messages[0].ID != id || peeked.Messages[0].Group != "tenant-1" {
		t.Errorf("weir queue peek --json: %+v, %v", peeked, err)
	}
	m := q.receiveOne(url, 5)
	want(t, "the message as the SDK sees it", aws.ToString(m.MessageId), id)
	want(t, "its attribute", aws.ToString(m.MessageAttributes["kind"].StringValue), "new")
	want(t, "its group", m.Attributes["MessageGroupId"], "tenant-1")

	// It was received often enough: it dies, and is sent back by hand.
	dead := must[*sqs.GetQueueUrlOutput](t)(q.c.GetQueueUrl(q.ctx, &sqs.GetQueueUrlInput{QueueName: aws.String("dead")})).QueueUrl
	q.waitFor("the message to die", func() bool {
		q.receive(url, 0)
		return strings.HasPrefix(q.counts(dead), "1/")
	})
	handle := weir("redrive", "dead", "--rate", "100/s")
	if handle == "" {
		t.Error("the task has no handle")
	}
	q.waitFor("the dead letter to come back", func() bool { return strings.Contains(weir("redrive", "dead", "list"), "COMPLETED") })
	says(weir("redrive", "dead", "list"), "where they died", "1 of 1", "100/s")
	refused(t, "cancelling what does not run", 1, node.Weir("queue", "redrive", "dead", "cancel"), "no task")
	says(weir("receive", "orders", "--delete", "--wait", "10s"), id, `{"order":1}`)
	want(t, "counts after a receive that deletes", q.counts(url), "0/0/0")

	later := weir("send", "orders", "later", "--at", time.Now().AddDate(1, 0, 0).UTC().Format(time.RFC3339))
	says(weir("peek", "orders"), later, "delayed for")
	weir("cancel", "orders", later)
	if out := node.Weir("queue", "cancel", "orders", later); out.Code != 1 || !strings.Contains(out.Stderr, later) {
		t.Errorf("cancelled twice: status %d, %s", out.Code, out.Stderr)
	}
	for i := range 3 {
		weir("send", "steps.fifo", fmt.Sprint("step ", i), "--group", "g", "--dedup", fmt.Sprint(i))
	}
	refused(t, "a FIFO message without a group", 1, node.Weir("queue", "send", "steps.fifo", "x"), "MessageGroupId")
	out := weir("receive", "steps.fifo", "--max", "10")
	if a, b, c := strings.Index(out, "step 0"), strings.Index(out, "step 1"), strings.Index(out, "step 2"); a < 0 || a > b || b > c {
		t.Errorf("received\n%s", out)
	}
	weir("purge", "steps.fifo")
	refused(t, "purged twice", 1, node.Weir("queue", "purge", "steps.fifo"), "60 seconds")
	says(weir("peek", "steps.fifo", "--json"), `"messages":[]`)
	weir("delete", "steps.fifo")
	if out := weir("list"); strings.Contains(out, "steps.fifo") {
		t.Errorf("a deleted queue is listed:\n%s", out)
	}
	_, err := q.c.GetQueueUrl(q.ctx, &sqs.GetQueueUrlInput{QueueName: aws.String("steps.fifo")})
	wantError[*types.QueueDoesNotExist](t, err)
}
