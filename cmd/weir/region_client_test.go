package main

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"

	"weir.dev/weir/internal/server"
)

// regionUser is one region as its clients see it.
type regionUser struct {
	t  *testing.T
	db *dynamodb.Client
}

func regionClient(t *testing.T, s *server.Server) *regionUser {
	return &regionUser{t, dynamodb.New(dynamodb.Options{
		Region: "us-east-1", BaseEndpoint: aws.String("http://" + s.Addresses().AWS),
		Credentials: credentials.NewStaticCredentialsProvider("id", "secret", ""),
	})}
}

func (u *regionUser) create(table string) {
	u.t.Helper()
	_, err := u.db.CreateTable(context.Background(), &dynamodb.CreateTableInput{
		TableName: &table, BillingMode: types.BillingModePayPerRequest,
		AttributeDefinitions: []types.AttributeDefinition{{AttributeName: aws.String("id"), AttributeType: types.ScalarAttributeTypeS}},
		KeySchema:            []types.KeySchemaElement{{AttributeName: aws.String("id"), KeyType: types.KeyTypeHash}},
	})
	if err != nil {
		u.t.Fatal(err)
	}
}

func text(s string) types.AttributeValue { return &types.AttributeValueMemberS{Value: s} }

func (u *regionUser) put(table, id, v string) {
	u.t.Helper()
	if err := u.tryPut(table, id, v); err != nil {
		u.t.Fatal(err)
	}
}

func (u *regionUser) tryPut(table, id, v string) error {
	item := map[string]types.AttributeValue{"id": text(id), "v": text(v)}
	_, err := u.db.PutItem(context.Background(), &dynamodb.PutItemInput{TableName: &table, Item: item})
	return err
}

func (u *regionUser) delete(table, id string) {
	u.t.Helper()
	key := map[string]types.AttributeValue{"id": text(id)}
	if _, err := u.db.DeleteItem(context.Background(), &dynamodb.DeleteItemInput{TableName: &table, Key: key}); err != nil {
		u.t.Fatal(err)
	}
}

// get is the item's value; "" when there is none.
func (u *regionUser) get(table, id string) string {
	u.t.Helper()
	key := map[string]types.AttributeValue{"id": text(id)}
	res, err := u.db.GetItem(context.Background(), &dynamodb.GetItemInput{TableName: &table, Key: key, ConsistentRead: aws.Bool(true)})
	if err != nil {
		u.t.Fatal(err)
	}
	if s, ok := res.Item["v"].(*types.AttributeValueMemberS); ok {
		return s.Value
	}
	return ""
}

// want waits until the item has the value, or is gone when that is "".
func (u *regionUser) want(table, id, v string) {
	u.t.Helper()
	got := "nothing yet"
	for end := time.Now().Add(regionSoon); time.Now().Before(end); {
		key := map[string]types.AttributeValue{"id": text(id)}
		res, err := u.db.GetItem(context.Background(), &dynamodb.GetItemInput{TableName: &table, Key: key, ConsistentRead: aws.Bool(true)})
		if err != nil {
			continue // the table is not there yet
		}
		got = ""
		if s, ok := res.Item["v"].(*types.AttributeValueMemberS); ok {
			got = s.Value
		}
		if got == v {
			return
		}
	}
	u.t.Fatalf("%s of %s is %q and not %q", id, table, got, v)
}

// add adds to the number n of an item.
func (u *regionUser) add(table, id, by string) {
	u.t.Helper()
	_, err := u.db.UpdateItem(context.Background(), &dynamodb.UpdateItemInput{
		TableName: &table, Key: map[string]types.AttributeValue{"id": text(id)}, UpdateExpression: aws.String("ADD n :n"),
		ExpressionAttributeValues: map[string]types.AttributeValue{":n": &types.AttributeValueMemberN{Value: by}},
	})
	if err != nil {
		u.t.Fatal(err)
	}
}

// wantNumber waits until the number n of an item has the value.
func (u *regionUser) wantNumber(table, id, n string) {
	u.t.Helper()
	got := ""
	for end := time.Now().Add(regionSoon); time.Now().Before(end) && got != n; {
		key := map[string]types.AttributeValue{"id": text(id)}
		res, err := u.db.GetItem(context.Background(), &dynamodb.GetItemInput{TableName: &table, Key: key, ConsistentRead: aws.Bool(true)})
		if err != nil {
			u.t.Fatal(err)
		}
		if v, ok := res.Item["n"].(*types.AttributeValueMemberN); ok {
			got = v.Value
		}
	}
	if got != n {
		u.t.Fatalf("n of %s in %s is %q and not %q", id, table, got, n)
	}
}

// hearsNothing waits until what is written in another region does not arrive.
func (u *regionUser) hearsNothing(other *regionUser, table string) {
	u.t.Helper()
	for i := range 20 {
		probe, arrived := fmt.Sprint("probe", i), false
		other.put(table, probe, "x")
		for end := time.Now().Add(time.Second); time.Now().Before(end) && !arrived; {
			arrived = u.get(table, probe) != ""
		}
		if !arrived {
			return
		}
	}
	u.t.Fatalf("what is written to %s still arrives", table)
}

// agrees waits until both regions hold the same item, and returns its value.
func (u *regionUser) agrees(other *regionUser, table, id string) string {
	u.t.Helper()
	for end := time.Now().Add(regionSoon); time.Now().Before(end); {
		if v := u.get(table, id); v != "" && v == other.get(table, id) {
			return v
		}
	}
	u.t.Fatalf("%s of %s stays %q and %q", id, table, u.get(table, id), other.get(table, id))
	return ""
}

// refuses waits until the region takes no writes of a table.
func (u *regionUser) refuses(table string) {
	u.t.Helper()
	for end := time.Now().Add(regionSoon); time.Now().Before(end); {
		if err := u.tryPut(table, "probe", "x"); err != nil {
			return
		}
	}
	u.t.Fatalf("writes of %s are still taken", table)
}
