package service

import (
	"context"
	"errors"
	"strings"
	"testing"
)

// fifoAttrs are the attributes of a FIFO queue, with more.
func fifoAttrs(more ...QueueAttribute) []QueueAttribute {
	return append([]QueueAttribute{{"FifoQueue", "true"}}, more...)
}

// TestCreateQueueAttributes creates queues with one set of attributes each and
// compares the fault, or what the queue shows.
func TestCreateQueueAttributes(t *testing.T) {
	const perGroup = "perMessageGroupId"
	statements := func(n int) string { return strings.TrimSuffix(strings.Repeat(statementText+",", n), ",") }
	for _, c := range []struct {
		name  string
		attrs []QueueAttribute
		want  string // an error's words, or attributes as name=value
	}{
		{"q", nil, "VisibilityTimeout=30"},
		{"q", []QueueAttribute{{"FifoQueue", "false"}}, "Unknown Attribute FifoQueue."},
		{"q", fifoAttrs(), "must end with .fifo suffix"},
		{"q.fifo", nil, "Can only include alphanumeric characters"},
		{"q.fifo", []QueueAttribute{{"FifoQueue", "yes"}}, "Can only include alphanumeric characters"},
		{".fifo", fifoAttrs(), "must end with .fifo suffix"},
		{strings.Repeat("q", 75) + ".fifo", fifoAttrs(), "FifoQueue=true"},
		{strings.Repeat("q", 76) + ".fifo", fifoAttrs(), "must end with .fifo suffix"},
		{"q.fifo", fifoAttrs(), "ContentBasedDeduplication=false DeduplicationScope=queue FifoThroughputLimit=perQueue weir.Partitions=1"},
		{"q.fifo", fifoAttrs(QueueAttribute{"ContentBasedDeduplication", "true"}), "ContentBasedDeduplication=true"},
		{"q.fifo", fifoAttrs(QueueAttribute{"ContentBasedDeduplication", "TRUE"}), "Invalid value for the parameter ContentBasedDeduplication."},
		{"q.fifo", fifoAttrs(QueueAttribute{"FifoThroughputLimit", perGroup}), "allowed only when the value for DeduplicationScope is messageGroup"},
		{"q.fifo", fifoAttrs(QueueAttribute{"FifoThroughputLimit", perGroup}, QueueAttribute{"DeduplicationScope", "messageGroup"}), "FifoThroughputLimit=perMessageGroupId"},
		{"q.fifo", fifoAttrs(QueueAttribute{"DeduplicationScope", "group"}), "Invalid value for the parameter DeduplicationScope."},
		{"q", []QueueAttribute{{"ContentBasedDeduplication", "true"}}, "Unknown Attribute ContentBasedDeduplication."},
		{"q", []QueueAttribute{{"DeduplicationScope", "queue"}}, "You can specify the DeduplicationScope only when FifoQueue is set to true."},
		{"q", []QueueAttribute{{"FifoThroughputLimit", "perQueue"}}, "You can specify the FifoThroughputLimit only when FifoQueue is set to true."},
		{"q", []QueueAttribute{{"Size", "1"}}, "Unknown Attribute Size."},
		{"q", []QueueAttribute{{"weir.Size", "1"}}, "Unknown Attribute weir.Size. Weir's own are weir.DispatchRate"},
		{"q", []QueueAttribute{{"DelaySeconds", "901"}}, "Invalid value for the parameter DelaySeconds."},
		{"q", []QueueAttribute{{"DelaySeconds", "+1"}}, "Invalid value for the parameter DelaySeconds."},
		{"q", []QueueAttribute{{"KmsMasterKeyId", "alias/a"}}, "KmsMasterKeyId=alias/a KmsDataKeyReusePeriodSeconds=300 SqsManagedSseEnabled=false"},
		{"q", []QueueAttribute{{"KmsMasterKeyId", "alias/a"}, {"SqsManagedSseEnabled", "true"}}, "You can use one type of server-side encryption (SSE) at one time."},
		{"q", []QueueAttribute{{"KmsMasterKeyId", "alias/a"}, {"KmsDataKeyReusePeriodSeconds", "60"}}, "KmsDataKeyReusePeriodSeconds=60"},
		{"q", []QueueAttribute{{"KmsDataKeyReusePeriodSeconds", "59"}}, "Invalid value for the parameter KmsDataKeyReusePeriodSeconds."},
		{"q", []QueueAttribute{{"KmsDataKeyReusePeriodSeconds", "86401"}}, "Invalid value for the parameter KmsDataKeyReusePeriodSeconds."},
		{"q", []QueueAttribute{{"weir.Retention", "forever"}, {"weir.DispatchRate", "12.5/s"}, {"weir.GroupDispatchRate", "200/s"}}, "weir.Retention=forever weir.DispatchRate=12.5/s weir.GroupDispatchRate=200/s"},
		{"q", []QueueAttribute{{"weir.Retention", "always"}}, "Invalid value for the parameter weir.Retention."},
		{"q", []QueueAttribute{{"weir.DispatchRate", "200"}}, "Invalid value for the parameter weir.DispatchRate."},
		{"q", []QueueAttribute{{"weir.Partitions", "64"}}, "weir.Partitions=64"},
		{"q", []QueueAttribute{{"weir.Partitions", "65"}}, "a number from 1 to 64"},
		{"q", []QueueAttribute{{"weir.Partitions", "0"}}, "a number from 1 to 64"},
		{"q.fifo", fifoAttrs(QueueAttribute{"weir.Partitions", "2"}), "A FIFO queue has one partition."},
		{"q", []QueueAttribute{{"Policy", accessPolicy(statementText)}}, "Policy=" + accessPolicy(statementText)},
		{"q", []QueueAttribute{{"Policy", accessPolicy(statements(20))}}, "Policy=" + accessPolicy(statements(20))},
		{"q", []QueueAttribute{{"Policy", accessPolicy(statements(21))}}, "21 statements were found in the submitted policy, max allowed is 20"},
		{"q", []QueueAttribute{{"Policy", accessPolicy(statementText + "")}, {"Policy", ""}}, "VisibilityTimeout=30"},
		{"q", []QueueAttribute{{"RedriveAllowPolicy", `{"redrivePermission":"allowAll"}`}}, `RedriveAllowPolicy={"redrivePermission":"allowAll"}`},
		{"q", []QueueAttribute{{"RedriveAllowPolicy", `{"redrivePermission":"all"}`}}, "valid values are allowAll, denyAll and byQueue"},
		{"q", []QueueAttribute{{"RedriveAllowPolicy", `{"redrivePermission":"denyAll","sourceQueueArns":["arn:aws:sqs:r:1:q"]}`}}, "only when the redrivePermission parameter is set to byQueue"},
		{"q", []QueueAttribute{{"RedriveAllowPolicy", `{"redrivePermission":"byQueue","sourceQueueArns":[]}`}}, "must have 1 to 10 queues"},
		{"q", []QueueAttribute{{"RedriveAllowPolicy", `{"redrivePermission":"byQueue","sourceQueueArns":["arn:aws:sns:r:1:q"]}`}}, "Invalid value for sourceQueueArns."},
		{"q", []QueueAttribute{{"RedriveAllowPolicy", `{"redrivePermission":"allowAll","x":1}`}}, "Only following attributes are supported"},
		{"q", []QueueAttribute{{"RedriveAllowPolicy", `[]`}}, "unsupported format"},
	} {
		s, _ := newFake(t, 2)
		q, err := s.CreateQueue(context.Background(), &CreateQueueRequest{Name: c.name, Attributes: c.attrs})
		if err != nil {
			var fault *QueueError
			if !errors.As(err, &fault) || !strings.Contains(err.Error(), c.want) {
				t.Errorf("%s %v: error %q, want %q", c.name, c.attrs, err, c.want)
			}
			continue
		}
		for _, want := range strings.Fields(c.want) {
			if !strings.Contains(" "+shown(q)+" ", " "+want+" ") {
				t.Errorf("%s %v: has %s, want %s", c.name, c.attrs, shown(q), want)
			}
		}
	}
}

func shown(q *Queue) string {
	var all []string
	for _, a := range QueueAttributes(q.Spec) {
		all = append(all, a.Name+"="+a.Value)
	}
	return strings.Join(all, " ")
}

const statementText = `{"Sid":"s","Effect":"Allow","Principal":{"AWS":["123456789012"]},"Action":"sqs:SendMessage","Resource":"*"}`

func accessPolicy(statements string) string {
	return `{"Version":"2012-10-17","Statement":[` + statements + `]}`
}

// TestPolicies refuses what IAM's grammar does not have.
func TestPolicies(t *testing.T) {
	good := accessPolicy(statementText)
	for _, c := range []struct{ old, new string }{
		{`2012-10-17`, `2012-10-18`}, {`"Version"`, `"version"`}, {`[{`, `{`}, {`"Sid":"s"`, `"Sid":1`}, {`Allow`, `allow`},
		{`"Principal"`, `"Principals"`}, {`"Principal"`, `"NotPrincipal":"*","Principal"`}, {`{"AWS":["123456789012"]}`, `"all"`},
		{`sqs:SendMessage`, `s3:PutObject`}, {`"sqs:SendMessage"`, `[1]`}, {`"Resource":"*"`, `"Resource":""`}, {`,"Resource":"*"`, ``},
		{`"Sid"`, `"Condition":[],"Sid"`}, {good, `{}`}, {good, `{"Statement":[]}`}, {good, `"text"`}, {good, good + "x"},
		{good, strings.Replace(good, `"s"`, `"`+strings.Repeat("s", maxDocumentBytes)+`"`, 1)},
	} {
		s, _ := newFake(t, 1)
		bad := strings.Replace(good, c.old, c.new, 1)
		_, err := s.CreateQueue(context.Background(), &CreateQueueRequest{Name: "q", Attributes: []QueueAttribute{{"Policy", bad}}})
		if err == nil || err.Error() != "Invalid value for the parameter Policy." {
			t.Errorf("policy %.100s: %v", bad, err)
		}
	}
}

// TestChangeAttributes changes what may be changed, and what is fixed.
func TestChangeAttributes(t *testing.T) {
	s, _ := newFake(t, 2)
	ctx := context.Background()
	for _, req := range []CreateQueueRequest{{Name: "q"}, {Name: "f.fifo", Attributes: fifoAttrs()}} {
		if _, err := s.CreateQueue(ctx, &req); err != nil {
			t.Fatal(err)
		}
	}
	for _, c := range []struct {
		queue string
		attr  QueueAttribute
		want  string // the error, or "" and then the queue shows the attribute
	}{
		{"q", QueueAttribute{"FifoQueue", "true"}, "Unknown Attribute FifoQueue."},
		{"f.fifo", QueueAttribute{"FifoQueue", "false"}, "Invalid value for the parameter FifoQueue. Reason: Modifying queue type is not supported."},
		{"f.fifo", QueueAttribute{"FifoQueue", "true"}, ""},
		{"q", QueueAttribute{"weir.Partitions", "7"}, "Invalid value for the parameter weir.Partitions. Reason: It is fixed when the queue is created."},
		{"q", QueueAttribute{"KmsMasterKeyId", "alias/a"}, ""},
		{"q", QueueAttribute{"SqsManagedSseEnabled", "true"}, ""},
		{"q", QueueAttribute{"weir.DispatchRate", "0.001/s"}, ""},
		{"f.fifo", QueueAttribute{"DeduplicationScope", "messageGroup"}, ""},
		{"f.fifo", QueueAttribute{"FifoThroughputLimit", "perMessageGroupId"}, ""},
		{"f.fifo", QueueAttribute{"DeduplicationScope", "queue"}, "The perMessageGroupId value is allowed only when the value for DeduplicationScope is messageGroup."},
	} {
		err := s.SetQueueAttributes(ctx, c.queue, []QueueAttribute{c.attr})
		if err == nil && c.want == "" {
			q, err := s.GetQueue(ctx, c.queue)
			if err != nil || attributeOf(q.Spec, c.attr.Name) != c.attr.Value {
				t.Errorf("%s %v: %v, has %s", c.queue, c.attr, err, shown(q))
			}
		} else if err == nil || err.Error() != c.want {
			t.Errorf("%s %v: %v, want %q", c.queue, c.attr, err, c.want)
		}
	}
	q, err := s.GetQueue(ctx, "q")
	if err != nil || q.Spec.KmsKey != "" || !q.Spec.ManagedEncryption {
		t.Errorf("SQS's encryption did not take KMS's place: %s, %v", shown(q), err)
	}
	_, err = s.CreateQueue(ctx, &CreateQueueRequest{Name: "q", Attributes: []QueueAttribute{{"SqsManagedSseEnabled", "true"}}})
	if err != nil {
		t.Errorf("creating a queue again with an attribute that it has: %v", err)
	}
	_, err = s.CreateQueue(ctx, &CreateQueueRequest{Name: "q", Attributes: []QueueAttribute{{"VisibilityTimeout", "31"}}})
	if err == nil || err.Error() != "A queue already exists with the same name and a different value for attribute VisibilityTimeout" {
		t.Errorf("creating a queue again with another attribute: %v", err)
	}
}

// TestRedriveAllowed sets redrive policies that name queues which allow it or do
// not, and queues of the other type.
func TestRedriveAllowed(t *testing.T) {
	s, _ := newFake(t, 2)
	ctx := context.Background()
	create := func(name string, attrs ...QueueAttribute) {
		t.Helper()
		if _, err := s.CreateQueue(ctx, &CreateQueueRequest{Name: name, Attributes: attrs}); err != nil {
			t.Fatal(err)
		}
	}
	create("all", QueueAttribute{"RedriveAllowPolicy", `{"redrivePermission":"allowAll"}`})
	create("none", QueueAttribute{"RedriveAllowPolicy", `{"redrivePermission":"denyAll"}`})
	create("some", QueueAttribute{"RedriveAllowPolicy", `{"redrivePermission":"byQueue","sourceQueueArns":["arn:aws:sqs:r:1:x","arn:aws:sqs:r:1:a"]}`})
	create("f.fifo", fifoAttrs()...)
	redrive := func(to string) QueueAttribute {
		return QueueAttribute{"RedrivePolicy", `{"deadLetterTargetArn":"arn:aws:sqs:r:1:` + to + `","maxReceiveCount":1}`}
	}
	for _, c := range []struct{ name, to, want string }{
		{"a", "all", ""}, {"b", "none", "RedriveAllowPolicy"}, {"a", "some", ""}, {"b", "some", "RedriveAllowPolicy"},
		{"b", "nobody", "Dead letter target does not exist."}, {"b", "b", "Dead letter target does not exist."},
		{"b", "f.fifo", "Dead-letter queue must be same type of queue as the source."},
		{"b.fifo", "all", "Dead-letter queue must be same type of queue as the source."}, {"b.fifo", "f.fifo", ""},
	} {
		attrs := []QueueAttribute{redrive(c.to)}
		if strings.HasSuffix(c.name, ".fifo") {
			attrs = fifoAttrs(attrs...)
		}
		_, err := s.CreateQueue(ctx, &CreateQueueRequest{Name: c.name, Attributes: attrs})
		if err == nil {
			err = s.DeleteQueue(ctx, c.name)
		}
		if (err == nil) != (c.want == "") || err != nil && !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s to %s: %v, want %q", c.name, c.to, err, c.want)
		}
	}
	err := s.SetQueueAttributes(ctx, "all", []QueueAttribute{redrive("all")})
	if err == nil || !strings.Contains(err.Error(), "A queue cannot be its own dead-letter queue.") {
		t.Errorf("a queue that is its own dead-letter queue: %v", err)
	}
}

func FuzzParseRate(f *testing.F) {
	for _, s := range []string{"", "200/s", "12.5/s", "0.001/s", "0/s", "1", "1./s", ".5/s", "1.0005/s", "-1/s", "99999999999999999999/s", "10000000/s"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		milli, ok := parseRate(s)
		if !ok {
			return
		}
		if again, ok := parseRate(formatRate(milli)); !ok || again != milli {
			t.Fatalf("%q is %d, written as %q", s, milli, formatRate(milli))
		}
	})
}
