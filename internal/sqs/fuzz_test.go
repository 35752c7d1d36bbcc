package sqs

import (
	"context"
	"net/url"
	"slices"
	"testing"

	"weir.dev/weir/internal/awsapi"
)

const someQueue = `{"QueueName":"q"}`

func FuzzHandleJSON(f *testing.F) {
	names := operationNames
	for i := range names {
		f.Add(i, `{"QueueUrl":"http://h/000000000000/q","QueueName":"q","MessageBody":"b","ReceiptHandle":"h","VisibilityTimeout":1,"Entries":[{"Id":"a","MessageBody":"b"}]}`)
	}
	f.Add(0, `{"QueueUrl":"q","MessageBody":"b","MessageAttributes":{"a":{"DataType":"Binary","BinaryValue":"AAAA"},"b":{"DataType":"Number.x","StringValue":"1e3"}}}`)
	f.Add(0, `{"QueueUrl":"q","AttributeNames":["All"],"MessageAttributeNames":["a.*"],"MaxNumberOfMessages":10,"WaitTimeSeconds":1}`)
	f.Add(0, `{"QueueName":"r","Attributes":{"RedrivePolicy":"{\"deadLetterTargetArn\":\"arn:aws:sqs:us-east-1:000000000000:q\",\"maxReceiveCount\":3}"},"tags":{"a":"b"}}`)
	at := func(name string) int { return slices.Index(names, name) }
	f.Add(at("ReceiveMessage"), `{"QueueUrl":"q","AttributeNames":["weir.Peek","weir.PeekAfter=0.7","weir.Contains=b"],"MaxNumberOfMessages":1000}`)
	f.Add(at("DeleteMessage"), `{"QueueUrl":"q","ReceiptHandle":"scheduled:00112233-4455-4677-8899-aabbccddeeff"}`)
	f.Add(at("AddPermission"), `{"QueueUrl":"q","Label":"a","AWSAccountIds":["111122223333"],"Actions":["*"]}`)
	f.Add(at("SetQueueAttributes"), `{"QueueUrl":"q","Attributes":{"Policy":"{\"Statement\":{\"Effect\":\"Deny\",\"Principal\":\"*\",\"Action\":\"*\",\"Resource\":\"*\"}}"}}`)
	f.Add(at("RemovePermission"), `{"QueueUrl":"q","Label":"a"}`)
	f.Add(at("StartMessageMoveTask"), `{"SourceArn":"arn:aws:sqs:us-east-1:000000000000:q"}`)
	f.Add(at("CancelMessageMoveTask"), `{"TaskHandle":"eC8xLzk="}`)
	f.Add(0, `{"Entries":[null]}`)
	f.Add(0, `[[[`)
	door, _ := newDoor(f)
	door.Handle(context.Background(), request("CreateQueue", someQueue))
	f.Fuzz(func(t *testing.T, i int, body string) {
		r := request(names[uint(i)%uint(len(names))], body)
		resp := door.Handle(context.Background(), r)
		checkAnswer(t, r, resp)
		resp.Release()
	})
}

func FuzzHandleQuery(f *testing.F) {
	names := operationNames
	for i := range names {
		f.Add(i, "/000000000000/q", "QueueName=q&MessageBody=b&ReceiptHandle=h&VisibilityTimeout=1&SendMessageBatchRequestEntry.1.Id=a&SendMessageBatchRequestEntry.1.MessageBody=b")
	}
	f.Add(0, "/", "QueueUrl=q&MessageBody=%00&MessageAttribute.1.Name=a&MessageAttribute.1.Value.DataType=String&MessageAttribute.1.Value.StringValue=%3C")
	f.Add(0, "/", "QueueUrl=q&AttributeName.1=All&MessageAttributeName.1=.*&MaxNumberOfMessages=10&WaitTimeSeconds=1")
	f.Add(0, "/", "QueueName=%3Cq%3E&Attribute.1.Name=Policy&Attribute.1.Value=&Attribute.2.Value=x&Tag.1.Key=a")
	f.Add(0, "", "MaxNumberOfMessages=x&DelaySeconds=99999999999999999999")
	door, _ := newDoor(f)
	door.Handle(context.Background(), request("CreateQueue", someQueue))
	f.Fuzz(func(t *testing.T, i int, path, query string) {
		values, err := url.ParseQuery(query)
		if err != nil {
			return
		}
		var pairs []awsapi.Pair
		for name, list := range values {
			pairs = append(pairs, awsapi.Pair{Name: name, Value: list[0]})
		}
		r := queryRequest(names[uint(i)%uint(len(names))], path, pairs)
		resp := door.Handle(context.Background(), r)
		checkAnswer(t, r, resp)
		resp.Release()
	})
}
