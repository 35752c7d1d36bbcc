package sqs

import (
	"context"
	"testing"

	"weir.dev/weir/internal/awsapi"
)

// benchmarkDoor is a door to a cluster that has the queue q.
func benchmarkDoor(b *testing.B) *Door {
	door, _ := newDoor(b)
	door.Handle(context.Background(), request("CreateQueue", someQueue))
	b.ReportAllocs()
	return door
}

func handleOK(b *testing.B, door *Door, r *awsapi.Request) *awsapi.Response {
	resp := door.Handle(context.Background(), r)
	if resp.Status != 200 {
		b.Fatalf("%s", resp.Body)
	}
	return resp
}

const likeBody = `{"QueueUrl":"http://127.0.0.1:4566/000000000000/q","MessageBody":"{\"post\":\"post#1234567\",\"user\":\"user#7654321\",\"at\":1700000000}"}`

// BenchmarkSendMessage measures Handle with the service and a machine in memory.
// The cluster is renewed from time to time so that its memory does not measure itself.
func BenchmarkSendMessage(b *testing.B) {
	door := benchmarkDoor(b)
	r := request("SendMessage", likeBody)
	n := 0
	for b.Loop() {
		handleOK(b, door, r).Release()
		if n++; n == 1000 {
			b.StopTimer()
			door = benchmarkDoor(b)
			n = 0
			b.StartTimer()
		}
	}
}

// BenchmarkReceiveMessage receives one message over and over.
func BenchmarkReceiveMessage(b *testing.B) {
	door := benchmarkDoor(b)
	handleOK(b, door, request("SendMessage", likeBody)).Release()
	r := request("ReceiveMessage", `{"QueueUrl":"http://127.0.0.1:4566/000000000000/q","VisibilityTimeout":0,"AttributeNames":["All"],"MaxNumberOfMessages":10}`)
	for b.Loop() {
		resp := handleOK(b, door, r)
		if len(resp.Body) < 100 {
			b.Fatalf("nothing was received: %s", resp.Body)
		}
		resp.Release()
	}
}

// BenchmarkReceiveMessageQuery is the same over the Query protocol.
func BenchmarkReceiveMessageQuery(b *testing.B) {
	door := benchmarkDoor(b)
	handleOK(b, door, request("SendMessage", likeBody)).Release()
	r := queryRequest("ReceiveMessage", "/000000000000/q", []awsapi.Pair{{Name: "VisibilityTimeout", Value: "0"}, {Name: "AttributeName.1", Value: "All"}})
	for b.Loop() {
		handleOK(b, door, r).Release()
	}
}
