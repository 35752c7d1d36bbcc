#!/usr/bin/env bash
. "$(dirname "$0")/common.sh"

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
