package clients

import (
	"fmt"
	"net/url"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/sqs"
	"github.com/aws/aws-sdk-go-v2/service/sqs/types"

	"weir.dev/weir/test/process"
	"weir.dev/weir/weirtest/awsclient"
)

// sqsJSON is a request for SQS with that body.
func sqsJSON(operation, body string) string {
	return fmt.Sprintf("POST / HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/x-amz-json-1.0\r\nX-Amz-Target: AmazonSQS.%s\r\nContent-Length: %d\r\n\r\n%s",
		operation, len(body), body)
}

// sqsForm is a request in the Query protocol.
func sqsForm(path, form string) string {
	return fmt.Sprintf("POST %s HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/x-www-form-urlencoded\r\nContent-Length: %d\r\n\r\n%s", path, len(form), form)
}

// TestSQSBadInput sends what no SDK of SQS's would, to every operation.
func TestSQSBadInput(t *testing.T) {
	t.Parallel()
	node := process.Start(t, process.Options{})
	r := raw{t, node.AWS()}
	q := queues{t, testContext(t), awsclient.SQS(node.Endpoint())}
	q.make("q", nil)
	for _, operation := range []string{
		"AddPermission", "CancelMessageMoveTask", "ChangeMessageVisibility", "ChangeMessageVisibilityBatch", "CreateQueue", "DeleteMessage",
		"DeleteMessageBatch", "DeleteQueue", "GetQueueAttributes", "GetQueueUrl", "ListDeadLetterSourceQueues", "ListMessageMoveTasks", "ListQueueTags",
		"PurgeQueue", "ReceiveMessage", "RemovePermission", "SendMessage", "SendMessageBatch", "SetQueueAttributes", "StartMessageMoveTask",
		"TagQueue", "UntagQueue",
	} {
		for what, body := range map[string]string{"no JSON": "{", "a list": "[]", "a text": `"x"`, "half a text": `{"QueueUrl":"`, "a number": `{"QueueUrl":7,"SourceArn":7,"TaskHandle":7,"QueueName":7}`} {
			r.wantReply(operation+" with "+what, r.send(sqsJSON(operation, body)), 400, "SerializationException")
		}
		got := r.send(sqsJSON(operation, "{}"))
		if got.status != 400 || !strings.HasSuffix(got.header.Get("x-amzn-query-error"), ";Sender") {
			t.Errorf("%s with nothing: %d %s, %s", operation, got.status, got.header.Get("x-amzn-query-error"), got.body)
		}
		got = r.send(sqsForm("/", "Action="+operation))
		if got.status != 400 || !strings.Contains(got.body, "<Type>Sender</Type>") || !strings.Contains(got.body, "<RequestId>") {
			t.Errorf("%s with an empty form: %d %s", operation, got.status, got.body)
		}
	}
	for what, c := range map[string]struct {
		operation, body, code string
		status                int
	}{
		"a queue of another path":     {"SendMessage", `{"QueueUrl":"http://x/y/z/","MessageBody":"x"}`, "InvalidAddress", 404},
		"a very long queue":           {"SendMessage", `{"QueueUrl":"` + strings.Repeat("q", 100_000) + `","MessageBody":"x"}`, "QueueDoesNotExist", 400},
		"a very long handle":          {"DeleteMessage", `{"QueueUrl":"q","ReceiptHandle":"` + strings.Repeat("h", 100_000) + `"}`, "ReceiptHandleIsInvalid", 404},
		"a very long scheduled id":    {"DeleteMessage", `{"QueueUrl":"q","ReceiptHandle":"scheduled:` + strings.Repeat("h", 100_000) + `"}`, "ReceiptHandleIsInvalid", 404},
		"a task of no kind":           {"CancelMessageMoveTask", `{"TaskHandle":"` + strings.Repeat("h", 100_000) + `"}`, "InvalidParameterValueException", 400},
		"a very long label":           {"RemovePermission", `{"QueueUrl":"q","Label":"` + strings.Repeat("l", 100_000) + `"}`, "InvalidParameterValueException", 400},
		"a policy of many statements": {"SetQueueAttributes", `{"QueueUrl":"q","Attributes":{"Policy":"` + strings.Repeat("[", 8000) + `"}}`, "InvalidAttributeValue", 400},
		"a thousand entries":          {"SendMessageBatch", `{"QueueUrl":"q","Entries":[` + strings.TrimSuffix(strings.Repeat(`{},`, 1000), ",") + `]}`, "TooManyEntriesInBatchRequest", 400},
		"entries that are null":       {"SendMessageBatch", `{"QueueUrl":"q","Entries":[null]}`, "MissingRequiredParameterException", 400},
		"a place that is none":        {"ReceiveMessage", `{"QueueUrl":"q","AttributeNames":["weir.Peek","weir.PeekAfter=99.1"]}`, "InvalidParameterValueException", 400},
		"a delay over all numbers":    {"SendMessage", `{"QueueUrl":"q","MessageBody":"x","DelaySeconds":99999999999}`, "SerializationException", 400},
		"no bytes":                    {"SendMessage", `{"QueueUrl":"q","MessageBody":"x","MessageAttributes":{"a":{"DataType":"Binary","BinaryValue":"*"}}}`, "SerializationException", 400},
		"an operation of nobody's":    {"EatMessage", `{}`, "UnknownOperationException", 400},
	} {
		got := r.send(sqsJSON(c.operation, c.body))
		r.wantReply(what, got, c.status, c.code)
		if len(got.body) > 20_000 {
			t.Errorf("%s: the error repeats %d bytes", what, len(got.body))
		}
	}
	for what, form := range map[string]string{
		"markup":            "Action=GetQueueUrl&QueueName=" + url.QueryEscape(`<a b="c">&]]>`),
		"control bytes":     "Action=RemovePermission&QueueUrl=q&Label=%00%01%ff%fe",
		"a number far away": "Action=SendMessageBatch&QueueUrl=q&SendMessageBatchRequestEntry.999999999999.Id=a",
		"a text for number": "Action=ReceiveMessage&QueueUrl=q&MaxNumberOfMessages=ten",
		"no action":         "QueueUrl=q",
		"half an escape":    "Action=ListQueues&QueueNamePrefix=%4",
		"two queues":        "Action=DeleteMessage&QueueUrl=nothing&QueueUrl=q",
	} {
		got := r.send(sqsForm("/", form))
		if got.status != 400 || got.header.Get("X-Amzn-Requestid") == "" || strings.ContainsAny(got.body, "\x00\x01") {
			t.Errorf("%s: %d %s", what, got.status, got.body)
		}
	}
	got := must[*sqs.GetQueueAttributesOutput](t)(q.c.GetQueueAttributes(q.ctx, &sqs.GetQueueAttributesInput{
		QueueUrl: aws.String("q"), AttributeNames: []types.QueueAttributeName{"ApproximateNumberOfMessages"},
	}))
	want(t, "messages after all this", got.Attributes["ApproximateNumberOfMessages"], "0")
}
