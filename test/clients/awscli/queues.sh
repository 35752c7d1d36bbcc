#!/usr/bin/env bash
. "$(dirname "$0")/common.sh"

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

ATTRIBUTES=FifoQueue=true,ContentBasedDeduplication=true
run sqs create-queue --queue-name orders.fifo --attributes $ATTRIBUTES
URL=$("$AWS" --endpoint-url "$WEIR_ENDPOINT" --output text sqs get-queue-url --queue-name orders.fifo)
for body in a1 b1 a2 a1; do
  run sqs send-message --queue-url "$URL" --message-body $body --message-group-id ${body%?} --query MD5OfMessageBody
done
run sqs send-message --queue-url "$URL" --message-body none --query MD5OfMessageBody
run sqs receive-message --queue-url "$URL" --wait-time-seconds 5 --attribute-names MessageGroupId --query 'Messages[].[Body,Attributes.MessageGroupId]'
run sqs receive-message --queue-url "$URL" --max-number-of-messages 10 --wait-time-seconds 5 --query 'Messages[].Body'
run sqs get-queue-attributes --queue-url "$URL" --attribute-names FifoQueue DeduplicationScope FifoThroughputLimit ApproximateNumberOfMessages
run sqs add-permission --queue-url "$URL" --label friends --aws-account-ids 111122223333 --actions SendMessage
run sqs get-queue-attributes --queue-url "$URL" --attribute-names Policy
run sqs remove-permission --queue-url "$URL" --label friends
run sqs remove-permission --queue-url "$URL" --label friends
run sqs tag-queue --queue-url "$URL" --tags team=feeds
run sqs list-queue-tags --queue-url "$URL"
run sqs create-queue --queue-name plain --attributes FifoQueue=true
run sqs delete-queue --queue-url "$URL"
