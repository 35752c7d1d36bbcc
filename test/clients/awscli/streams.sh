#!/usr/bin/env bash
. "$(dirname "$0")/common.sh"

run kinesis create-stream --stream-name views --shard-count 2
run kinesis wait stream-exists --stream-name views
run kinesis list-streams --query StreamNames
run kinesis describe-stream-summary --stream-name views --query 'StreamDescriptionSummary.[StreamStatus,OpenShardCount,RetentionPeriodHours,StreamARN]'
run kinesis list-shards --stream-name views --query 'Shards[].[ShardId,HashKeyRange]'
DATA=$(mktemp)
printf 'Grüße' >"$DATA"
run kinesis put-record --stream-name views --partition-key ann --data "fileb://$DATA" --query ShardId | sed "s|$DATA|DATA|"
rm "$DATA"
run kinesis put-records --stream-name views --records Data=YQ==,PartitionKey=a,ExplicitHashKey=0 Data=Yg==,PartitionKey=b,ExplicitHashKey=0 \
  --query '[FailedRecordCount,Records[].ShardId]'
ITERATOR=$("$AWS" --endpoint-url "$WEIR_ENDPOINT" --output text kinesis get-shard-iterator --stream-name views --shard-id shardId-000000000000 \
  --shard-iterator-type TRIM_HORIZON --query ShardIterator)
run kinesis get-records --shard-iterator "$ITERATOR" --query 'Records[?PartitionKey!=`ann`].PartitionKey' | sed "s|$ITERATOR|ITERATOR|"
run kinesis increase-stream-retention-period --stream-name views --retention-period-hours 48
run kinesis wait stream-exists --stream-name views
run kinesis add-tags-to-stream --stream-name views --tags team=feeds
run kinesis list-tags-for-stream --stream-name views
run kinesis split-shard --stream-name views --shard-to-split shardId-000000000000 --new-starting-hash-key 5
run kinesis wait stream-exists --stream-name views
run kinesis merge-shards --stream-name views --shard-to-merge shardId-000000000002 --adjacent-shard-to-merge shardId-000000000003
run kinesis wait stream-exists --stream-name views
run kinesis list-shards --stream-name views --query 'Shards[].[ShardId,ParentShardId,AdjacentParentShardId]'
run kinesis register-stream-consumer --consumer-name reader --query Consumer.ConsumerName \
  --stream-arn "$("$AWS" --endpoint-url "$WEIR_ENDPOINT" --output text kinesis describe-stream-summary --stream-name views --query StreamDescriptionSummary.StreamARN)"
run kinesis describe-stream --stream-name nowhere
run kinesis delete-stream --stream-name views
run kinesis delete-stream --stream-name views --enforce-consumer-deletion
run kinesis wait stream-not-exists --stream-name views
