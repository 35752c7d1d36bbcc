package dynamo

import (
	"context"
	"strings"
	"testing"

	"weir.dev/weir/internal/model"
)

// TestReplicas makes, describes and removes replicas of a table on links to
// regions that have names, and takes every error in the order of AWS's checks.
func TestReplicas(t *testing.T) {
	door, cluster := newDoor(t)
	ctx := context.Background()
	ask := func(operation, body string) string {
		t.Helper()
		return shown(door.Handle(ctx, request(operation, body)))
	}
	want := func(operation, body string, parts ...string) {
		t.Helper()
		got := ask(operation, body)
		for _, p := range parts {
			if absent, no := strings.CutPrefix(p, "!"); no && strings.Contains(got, absent) || !no && !strings.Contains(got, p) {
				t.Errorf("%s %s: %sdoes not fit %q", operation, body, got, p)
			}
		}
	}
	create := func(name string) {
		t.Helper()
		want("CreateTable", `{"TableName":"`+name+`","KeySchema":[{"AttributeName":"k","KeyType":"HASH"}],"AttributeDefinitions":[{"AttributeName":"k","AttributeType":"S"}],"BillingMode":"PAY_PER_REQUEST"}`, "ACTIVE")
	}
	create("orders")
	create("user_a")
	link := func(name string, spec model.LinkSpec) *model.Resource {
		t.Helper()
		r, err := door.service.CreateTied(ctx, model.KindLink, name, spec.Append(nil))
		if err != nil {
			t.Fatal(err)
		}
		return r
	}
	ireland := link("to-ireland", model.LinkSpec{To: "h:1", Region: 2, RegionName: "eu-west-1", Mode: model.LinkAsync, Tables: []string{"user_*"}})
	link("part", model.LinkSpec{To: "h:1", Region: 3, RegionName: "eu-south-1", Mode: model.LinkAsync, Tables: []string{"*"}, Where: "a > b"})
	update := func(table, updates string) string {
		return `{"TableName":"` + table + `","ReplicaUpdates":[` + updates + `]}`
	}
	ours, theirs := `{"Create":{"RegionName":"us-east-1"}}`, `{"Create":{"RegionName":"eu-west-1"}}`
	// The model's constraints, then what is said of replicas, then what is there.
	want("UpdateTable", `{"TableName":"nobody","ReplicaUpdates":[]}`, "Value '[]' at 'replicaUpdates' failed to satisfy constraint: Member must have length greater than or equal to 1")
	want("UpdateTable", update("nobody", `{"Create":{}}`), "Value null at 'replicaUpdates.1.member.create.regionName' failed to satisfy constraint: Member must not be null")
	want("UpdateTable", update("nobody", ours), "ResourceNotFoundException")
	want("UpdateTable", update("orders", `{}`), "exactly one of Create, Update and Delete")
	want("UpdateTable", update("orders", `{"Create":{"RegionName":"a"},"Delete":{"RegionName":"a"}}`), "exactly one of Create, Update and Delete")
	want("UpdateTable", update("orders", ours), "Cannot add, delete, or update the local region through ReplicaUpdates.")
	want("UpdateTable", update("orders", `{"Create":{"RegionName":"eu-west-1","TableClassOverride":"STANDARD"}}`), "Settings of single replicas are not supported by Weir")
	want("UpdateTable", `{"TableName":"orders","BillingMode":"PROVISIONED","ReplicaUpdates":[`+theirs+`]}`, "cannot be combined with ReplicaUpdates")
	want("UpdateTable", update("orders", `{"Create":{"RegionName":"eu-north-1"}}`), "ValidationException", "No link of this cluster leads to a region named eu-north-1")
	want("UpdateTable", update("orders", `{"Create":{"RegionName":"eu-south-1"}}`), "No link of this cluster leads to a region named eu-south-1") // it ships a part
	for _, action := range []string{"Update", "Delete"} {
		want("UpdateTable", update("orders", `{"`+action+`":{"RegionName":"eu-west-1"}}`), "Replica specified in the Replica Update or Replica Delete action of the request was not found.")
	}
	want("UpdateTable", `{"TableName":"orders","MultiRegionConsistency":"STRONG","ReplicaUpdates":[`+theirs+`]}`, "strong consistency is not supported")
	want("DescribeTable", `{"TableName":"orders"}`, "!Replicas", "!GlobalTableVersion")
	want("UpdateTable", update("orders", theirs), `"GlobalTableVersion":"2019.11.21"`,
		`"Replicas":[{"RegionName":"eu-west-1","ReplicaStatus":"CREATING","ReplicaArn":"arn:aws:dynamodb:eu-west-1:000000000000:table/orders","ReplicaStatusPercentProgress":"0"}]`)
	want("UpdateTable", update("orders", theirs), "one or more replicas already existed as tables")
	table, err := door.service.DescribeTable(ctx, "orders")
	if err != nil {
		t.Fatal(err)
	}
	watch := model.Watch{Reader: ireland.ID, Version: ireland.Version + 9, Log: true, Keep: true, Note: []byte{1, 0}}
	if _, err := cluster.Propose(ctx, &model.Command{Kind: model.CmdWatch, Resource: table.ID, Body: watch.Append(nil)}); err != nil {
		t.Fatal(err)
	}
	want("DescribeTable", `{"TableName":"orders"}`, `"ReplicaStatus":"ACTIVE"`, "!PercentProgress", "!StatusDescription")
	want("UpdateTable", update("orders", `{"Update":{"RegionName":"eu-west-1"}}`), "ACTIVE")
	if err := door.service.UpdateLink(ctx, "to-ireland", func(s *model.LinkSpec) error { s.Paused = true; return nil }); err != nil {
		t.Fatal(err)
	}
	want("DescribeTable", `{"TableName":"orders"}`, `"ReplicaStatusDescription":"The link to-ireland ships nothing now`)
	want("DescribeTable", `{"TableName":"user_a"}`, `"ReplicaStatus":"CREATING"`)
	want("UpdateTable", update("user_a", `{"Delete":{"RegionName":"eu-west-1"}}`), "is replicated by user_* in the list of the link to-ireland")
	want("UpdateTable", update("orders", `{"Delete":{"RegionName":"eu-west-1"}}`), "!Replicas", "TableDescription")
	link("alone", model.LinkSpec{To: "h:1", Region: 4, RegionName: "ap-east-1", Mode: model.LinkAsync, Tables: []string{"orders"}})
	want("UpdateTable", update("orders", `{"Delete":{"RegionName":"ap-east-1"}}`), "ships nothing but the table orders")
}
