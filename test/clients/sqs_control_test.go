package clients

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/sqs"
	"github.com/aws/aws-sdk-go-v2/service/sqs/types"
)

// testPermissions shares a queue and stops sharing it.
func testPermissions(q queues) {
	url := q.make("permissions", nil)
	add := func(label string, actions ...string) error {
		_, err := q.c.AddPermission(q.ctx, &sqs.AddPermissionInput{QueueUrl: url, Label: &label, AWSAccountIds: []string{"111122223333", "444455556666"}, Actions: actions})
		return err
	}
	if err := add("alice", "SendMessage", "ReceiveMessage"); err != nil {
		q.t.Fatal(err)
	}
	var policy struct {
		Version, Id string
		Statement   []struct {
			Sid, Effect, Resource string
			Principal             struct{ AWS []string }
			Action                []string
		}
	}
	if err := json.Unmarshal([]byte(q.attributes(url)["Policy"]), &policy); err != nil {
		q.t.Fatal(err)
	}
	arn := "arn:aws:sqs:us-east-1:000000000000:permissions"
	s := policy.Statement[0]
	if len(policy.Statement) != 1 || policy.Id != arn+"/SQSDefaultPolicy" || s.Sid != "alice" || s.Effect != "Allow" || s.Resource != arn ||
		!slices.Equal(s.Principal.AWS, []string{"arn:aws:iam::111122223333:root", "arn:aws:iam::444455556666:root"}) ||
		!slices.Equal(s.Action, []string{"SQS:SendMessage", "SQS:ReceiveMessage"}) {
		q.t.Errorf("the policy is %+v", policy)
	}
	wantCode(q.t, add("alice", "*"), "InvalidParameterValue")
	wantCode(q.t, add("bob", "AddPermission"), "InvalidParameterValue")
	for i := range 19 {
		if err := add(fmt.Sprint("p", i), "*"); err != nil {
			q.t.Fatal(err)
		}
	}
	wantError[*types.OverLimit](q.t, add("one-too-many", "*"))
	remove := func(label string) error {
		_, err := q.c.RemovePermission(q.ctx, &sqs.RemovePermissionInput{QueueUrl: url, Label: &label})
		return err
	}
	for i := range 19 {
		if err := remove(fmt.Sprint("p", i)); err != nil {
			q.t.Fatal(err)
		}
	}
	wantCode(q.t, remove("p1"), "InvalidParameterValue")
	if err := remove("alice"); err != nil {
		q.t.Fatal(err)
	}
	if p, there := q.attributes(url)["Policy"]; there {
		q.t.Errorf("the policy without statements is %q", p)
	}
}

func arnOf(name string) *string { return aws.String("arn:aws:sqs:us-east-1:000000000000:" + name) }

// testMoves sends dead letters back to where they died, and cancels a task.
func testMoves(q queues) {
	dead := q.make("moves-dead", nil)
	policy := map[string]string{"VisibilityTimeout": "0", "RedrivePolicy": `{"deadLetterTargetArn":"` + *arnOf("moves-dead") + `","maxReceiveCount":"1"}`}
	a, b := q.make("moves-a", policy), q.make("moves-b", policy)
	sent := map[string]string{}
	for i := range 6 {
		url, name := a, "a"
		if i%2 == 1 {
			url, name = b, "b"
		}
		body := fmt.Sprint(name, i)
		q.send(url, body)
		sent[body] = name
	}
	q.waitFor("6 dead letters", func() bool {
		q.receive(a, 0)
		q.receive(b, 0)
		return strings.HasPrefix(q.counts(dead), "6/")
	})
	start := func(in sqs.StartMessageMoveTaskInput) (string, error) {
		out, err := q.c.StartMessageMoveTask(q.ctx, &in)
		if err != nil {
			return "", err
		}
		return aws.ToString(out.TaskHandle), nil
	}
	_, err := start(sqs.StartMessageMoveTaskInput{SourceArn: arnOf("nowhere")})
	wantError[*types.ResourceNotFoundException](q.t, err)
	_, err = start(sqs.StartMessageMoveTaskInput{SourceArn: arnOf("moves-a")})
	wantCode(q.t, err, "InvalidParameterValue")
	_, err = start(sqs.StartMessageMoveTaskInput{SourceArn: arnOf("moves-dead"), DestinationArn: arnOf("nowhere")})
	wantError[*types.ResourceNotFoundException](q.t, err)

	list := func(n int32) []types.ListMessageMoveTasksResultEntry {
		return must[*sqs.ListMessageMoveTasksOutput](q.t)(q.c.ListMessageMoveTasks(q.ctx, &sqs.ListMessageMoveTasksInput{SourceArn: arnOf("moves-dead"), MaxResults: &n})).Results
	}
	slow, err := start(sqs.StartMessageMoveTaskInput{SourceArn: arnOf("moves-dead"), MaxNumberOfMessagesPerSecond: aws.Int32(1)})
	if err != nil {
		q.t.Fatal(err)
	}
	_, err = start(sqs.StartMessageMoveTaskInput{SourceArn: arnOf("moves-dead")})
	wantCode(q.t, err, "InvalidParameterValue")
	running := list(1)
	if len(running) != 1 || aws.ToString(running[0].Status) != "RUNNING" || aws.ToString(running[0].TaskHandle) != slow || aws.ToInt32(running[0].MaxNumberOfMessagesPerSecond) != 1 {
		q.t.Errorf("the task that runs is %+v", running)
	}
	must[*sqs.CancelMessageMoveTaskOutput](q.t)(q.c.CancelMessageMoveTask(q.ctx, &sqs.CancelMessageMoveTaskInput{TaskHandle: &slow}))
	q.waitFor("the task to be cancelled", func() bool { return aws.ToString(list(1)[0].Status) == "CANCELLED" })
	_, err = q.c.CancelMessageMoveTask(q.ctx, &sqs.CancelMessageMoveTaskInput{TaskHandle: aws.String("nonsense")})
	wantCode(q.t, err, "InvalidParameterValue")

	if _, err := start(sqs.StartMessageMoveTaskInput{SourceArn: arnOf("moves-dead")}); err != nil {
		q.t.Fatal(err)
	}
	q.waitFor("the task to be completed", func() bool { return aws.ToString(list(1)[0].Status) == "COMPLETED" })
	both := list(10)
	if len(both) != 2 || both[0].TaskHandle != nil || both[1].StartedTimestamp == 0 {
		q.t.Errorf("the tasks are %+v", both)
	}
	want(q.t, "moved by both", both[0].ApproximateNumberOfMessagesMoved+both[1].ApproximateNumberOfMessagesMoved, 6)
	want(q.t, "left in the dead-letter queue", q.counts(dead), "0/0/0")
	for name, url := range map[string]*string{"a": a, "b": b} {
		for _, m := range q.drain(url, 3) {
			want(q.t, "the queue that got "+*m.Body, name, sent[*m.Body])
		}
	}
}

// waitFor waits until something has happened in the server's own time.
func (q queues) waitFor(what string, happened func() bool) {
	q.t.Helper()
	for deadline := time.Now().Add(30 * time.Second); !happened(); {
		if time.Now().After(deadline) {
			q.t.Fatalf("still waiting for %s", what)
		}
		time.Sleep(50 * time.Millisecond) // a real process: there is nothing to wait on
	}
}

// drain receives and deletes n messages.
func (q queues) drain(url *string, n int) (all []types.Message) {
	q.t.Helper()
	for len(all) < n {
		got := q.receive(url, 5)
		if len(got) == 0 {
			q.t.Fatalf("only %d of %d messages came", len(all), n)
		}
		for _, m := range got {
			q.delete(url, m)
		}
		all = append(all, got...)
	}
	return all
}
