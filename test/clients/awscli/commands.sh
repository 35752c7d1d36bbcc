#!/usr/bin/env bash
# What a person types at the AWS CLI. Each command is printed with its output, and
# with a mark if it failed; others_test.go compares all of it with
# commands.expected. AWS is the CLI to use. The endpoint is given as a flag:
# versions before 2.13 read no AWS_ENDPOINT_URL, and version 1 ignores it for SQS.
set -u
run() {
  echo "\$ aws $*"
  "$AWS" --endpoint-url "$WEIR_ENDPOINT" --output json "$@" 2>&1
  [ $? = 0 ] || echo "(failed)" # the versions have other statuses
}
run dynamodb create-table --table-name posts --billing-mode PAY_PER_REQUEST \
  --attribute-definitions AttributeName=id,AttributeType=S AttributeName=at,AttributeType=N \
  --key-schema AttributeName=id,KeyType=HASH AttributeName=at,KeyType=RANGE --query 'TableDescription.[TableName,TableStatus,KeySchema]'
run dynamodb wait table-exists --table-name posts
run dynamodb list-tables
for at in 1 2 3; do
  run dynamodb put-item --table-name posts --item "{\"id\":{\"S\":\"a\"},\"at\":{\"N\":\"$at\"},\"score\":{\"N\":\"${at}0\"}}"
done
run dynamodb get-item --table-name posts --consistent-read --key '{"id":{"S":"a"},"at":{"N":"2"}}' --query Item.score
run dynamodb update-item --table-name posts --key '{"id":{"S":"a"},"at":{"N":"2"}}' --update-expression 'ADD score :n' \
  --expression-attribute-values '{":n":{"N":"0.5"}}' --return-values UPDATED_NEW
run dynamodb query --table-name posts --consistent-read --key-condition-expression 'id = :i AND #at >= :a' \
  --expression-attribute-names '{"#at":"at"}' --expression-attribute-values '{":i":{"S":"a"},":a":{"N":"2"}}' --query 'Items[].score.N' --page-size 1
run dynamodb scan --table-name posts --consistent-read --select COUNT
run dynamodb put-item --table-name posts --item '{"id":{"S":"a"},"at":{"N":"1"}}' --condition-expression 'attribute_not_exists(id)'
run dynamodb get-item --table-name nowhere --key '{"id":{"S":"a"}}'
run dynamodb batch-write-item --request-items '{"posts":[{"DeleteRequest":{"Key":{"id":{"S":"a"},"at":{"N":"1"}}}}]}'
run dynamodb delete-item --table-name posts --key '{"id":{"S":"a"},"at":{"N":"3"}}' --return-values ALL_OLD --query Attributes.score
run dynamodb delete-table --table-name posts --query TableDescription.TableName
run dynamodb wait table-not-exists --table-name posts

run sqs create-queue --queue-name clicks --attributes VisibilityTimeout=60
URL=$("$AWS" --endpoint-url "$WEIR_ENDPOINT" --output text sqs get-queue-url --queue-name clicks)
run sqs list-queues --queue-name-prefix cl
run sqs send-message --queue-url "$URL" --message-body '{"post":"a"}' --message-attributes 'kind={DataType=String,StringValue=like}' \
  --query '[MD5OfMessageBody,MD5OfMessageAttributes]'
run sqs receive-message --queue-url "$URL" --wait-time-seconds 5 --message-attribute-names All --query 'Messages[].[Body,MessageAttributes.kind.StringValue]'
run sqs get-queue-attributes --queue-url "$URL" --attribute-names ApproximateNumberOfMessagesNotVisible VisibilityTimeout
run sqs receive-message --queue-url "$URL" --wait-time-seconds 1
run sqs send-message-batch --queue-url "$URL" --entries Id=1,MessageBody=x Id=2,MessageBody=y --query 'Successful[].Id'
run sqs send-message --queue-url "$URL/none" --message-body x --query MD5OfMessageBody
run sqs create-queue --queue-name clicks --attributes VisibilityTimeout=61
run sqs delete-message --queue-url "$URL" --receipt-handle nonsense
run sqs purge-queue --queue-url "$URL"
run sqs delete-queue --queue-url "$URL"
