// Package clients holds Weir to what real AWS clients expect of AWS: the AWS
// SDK for Go, boto3 in an old and a new version, the AWS CLI, and clients that
// send what no client should, all against the real binary in a process of its
// own. `make clients` runs it; docs/testing.md says what it covers.
//
// The package has no code but tests. Start with TestDynamoDB and TestSQS.
package clients
