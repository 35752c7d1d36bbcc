// Package awsclient makes clients of the AWS SDK for Go that speak to a Weir:
// the one that weirtest started, or any other.
//
// It only builds configurations: nothing is sent, and nothing is read from the
// environment or from files of the user, so that a test never speaks to AWS by
// mistake. Its clients may be used by many goroutines. Start with Config.
package awsclient

import (
	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/sqs"
)

// Config is a configuration for the Weir at endpoint, a URL. The credentials
// are some that a Weir without access keys accepts; set Credentials for others.
func Config(endpoint string) aws.Config {
	return aws.Config{
		Region:       "us-east-1",
		BaseEndpoint: aws.String(endpoint),
		Credentials:  credentials.NewStaticCredentialsProvider("any", "any", ""),
	}
}

// DynamoDB is a client for the tables of the Weir at endpoint.
func DynamoDB(endpoint string) *dynamodb.Client { return dynamodb.NewFromConfig(Config(endpoint)) }

// SQS is a client for the queues of the Weir at endpoint.
func SQS(endpoint string) *sqs.Client { return sqs.NewFromConfig(Config(endpoint)) }
