// Command send puts one message into the queue "likes" of the Weir (or AWS)
// that AWS_ENDPOINT_URL names: the example of the README.
package main

import (
	"context"
	"fmt"
	"log"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/config"
	"github.com/aws/aws-sdk-go-v2/service/sqs"
)

func main() {
	ctx := context.Background()
	cfg, err := config.LoadDefaultConfig(ctx)
	if err != nil {
		log.Fatal(err)
	}
	queues := sqs.NewFromConfig(cfg)
	queue, err := queues.GetQueueUrl(ctx, &sqs.GetQueueUrlInput{QueueName: aws.String("likes")})
	if err != nil {
		log.Fatal(err)
	}
	_, err = queues.SendMessage(ctx, &sqs.SendMessageInput{
		QueueUrl: queue.QueueUrl, MessageBody: aws.String(`{"post": "p1", "weight": 4}`),
	})
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println("sent")
}
