#!/usr/bin/env bash
# What a person types at the AWS CLI, NAME.sh, begins with this. Each command is
# printed with its output, and with a mark if it failed; others_test.go compares
# all of it with NAME.expected. AWS is the CLI to use. The endpoint is given as a flag:
# versions before 2.13 read no AWS_ENDPOINT_URL, and version 1 ignores it for SQS.
set -u
run() {
  echo "\$ aws $*"
  "$AWS" --endpoint-url "$WEIR_ENDPOINT" --output json "$@" 2>&1
  [ $? = 0 ] || echo "(failed)" # the versions have other statuses
}
