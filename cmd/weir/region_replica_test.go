package main

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"
)

// TestReplicaBySDK makes a replica with AWS's SDK on a link that was made for
// another table, and waits as programs do until it is active.
func TestReplicaBySDK(t *testing.T) {
	east, west := startRegion(t), startRegion(t)
	eastAt, westAt := "--console="+east.Addresses().Console, "--console="+west.Addresses().Console
	weir := func(args ...string) string {
		t.Helper()
		out, err := output(t, func() error { return dispatch(args) })
		if err != nil {
			t.Fatal(args, err)
		}
		return strings.TrimSpace(out)
	}
	weir("region", "name", "eu-west-1", westAt)
	token := weir("region", "token", "from-east", westAt)
	weir("region", "link", "add", "to-west", "--to="+west.Addresses().Peer, "--token="+token, "--tables=other", eastAt)
	e := regionClient(t, east)
	e.create("orders")
	e.put("orders", "a", "1")
	ctx := context.Background()
	change := func(u types.ReplicationGroupUpdate) *types.TableDescription {
		t.Helper()
		out, err := e.db.UpdateTable(ctx, &dynamodb.UpdateTableInput{TableName: aws.String("orders"), ReplicaUpdates: []types.ReplicationGroupUpdate{u}})
		if err != nil {
			t.Fatal(err)
		}
		return out.TableDescription
	}
	change(types.ReplicationGroupUpdate{Create: &types.CreateReplicationGroupMemberAction{RegionName: aws.String("eu-west-1")}})
	for end := time.Now().Add(regionSoon); ; {
		got, err := e.db.DescribeTable(ctx, &dynamodb.DescribeTableInput{TableName: aws.String("orders")})
		if err != nil {
			t.Fatal(err)
		}
		if r := got.Table.Replicas; len(r) == 1 && *r[0].RegionName == "eu-west-1" && r[0].ReplicaStatus == types.ReplicaStatusActive {
			break
		}
		if time.Now().After(end) {
			t.Fatalf("%+v", got.Table.Replicas)
		}
	}
	regionClient(t, west).want("orders", "a", "1")
	d := change(types.ReplicationGroupUpdate{Delete: &types.DeleteReplicationGroupMemberAction{RegionName: aws.String("eu-west-1")}})
	if len(d.Replicas) != 0 {
		t.Errorf("%+v", d.Replicas)
	}
	regionClient(t, west).want("orders", "a", "1") // what was shipped stays
}
