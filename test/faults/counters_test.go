package faults

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"sync/atomic"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"
)

// The item types, shortened.
type (
	item = map[string]types.AttributeValue
	str  = types.AttributeValueMemberS
	num  = types.AttributeValueMemberN
)

func s(v string) types.AttributeValue { return &str{Value: v} }
func n(v int) types.AttributeValue    { return &num{Value: strconv.Itoa(v)} }

// number reads a number that was written by n; 0 when it is not there.
func number(it item, name string) int {
	v, ok := it[name].(*num)
	if !ok {
		return 0
	}
	i, err := strconv.Atoi(v.Value)
	if err != nil {
		return -1
	}
	return i
}

// read reads an item strongly.
func (l *load) read(ctx context.Context, table *string, key string) (item, error) {
	out, err := l.tables.GetItem(ctx, &dynamodb.GetItemInput{TableName: table, Key: item{"pk": s(key)}, ConsistentRead: aws.Bool(true)})
	if err != nil {
		return nil, err
	}
	return out.Item, nil
}

// sums adds without conditions. Every call is tried until it is acknowledged,
// through any node, so only Weir's own memory of invocation ids keeps a try
// whose answer was lost from counting twice.
type sums struct {
	*load
	table *string
	acked [sumClients]atomic.Int64
	lost  [sumClients]atomic.Int64 // calls whose outcome nobody knows
}

const sumClients = 8

func (p *sums) start() {
	p.table = p.load.table("sums")
	for w := range sumClients {
		key := fmt.Sprint("sum", w)
		p.client(5*time.Millisecond, func(ctx context.Context, _ int) {
			_, err := p.tables.UpdateItem(ctx, &dynamodb.UpdateItemInput{
				TableName: p.table, Key: item{"pk": s(key)}, UpdateExpression: aws.String("ADD v :n"), ExpressionAttributeValues: item{":n": n(1)},
			})
			if err != nil {
				p.lost[w].Add(1)
				p.t.Logf("an addition of unknown outcome: %v", err)
				return
			}
			p.acked[w].Add(1)
			p.gaps.ack(key)
		})
	}
}

func (p *sums) check() {
	total, unknown := int64(0), int64(0)
	for w := range sumClients {
		got, err := p.read(p.t.Context(), p.table, fmt.Sprint("sum", w))
		if err != nil {
			p.t.Fatal(err)
		}
		acked, lost := p.acked[w].Load(), p.lost[w].Load()
		if v := int64(number(got, "v")); v < acked || v > acked+lost {
			p.t.Errorf("sum %d is %d, but %d additions were acknowledged and %d are unknown", w, v, acked, lost)
		}
		total, unknown = total+acked, unknown+lost
	}
	p.t.Logf("sums: %d additions acknowledged, %d unknown", total, unknown)
}

// counters counts with conditions: several clients on one item, each write on
// the condition that the counter is still what the client read. An outcome
// that is unknown becomes known: the same write is tried under a new
// invocation until it succeeds or its condition fails, and then the client's
// own attribute tells whether its write was there.
type counters struct {
	*load
	table    *string
	acked    [counterClients]int // each owned by its client
	resolved atomic.Int64        // outcomes that were unknown at first
	refused  atomic.Int64        // conditions that failed, as they should
}

const (
	counterClients = 6
	counterItems   = 3
)

func (p *counters) start() {
	p.table = p.load.table("counters")
	for w := range counterClients {
		key := fmt.Sprint("counter", w%counterItems)
		p.client(10*time.Millisecond, func(ctx context.Context, _ int) {
			now, err := p.read(ctx, p.table, key)
			if err == nil && p.count(ctx, key, w, number(now, "v")) {
				p.acked[w]++
				p.gaps.ack(fmt.Sprint(key, " by client ", w))
			}
		})
	}
}

// count makes old into old+1, and reports whether it did.
func (p *counters) count(ctx context.Context, key string, w, old int) bool {
	own := fmt.Sprint("by", w)
	in := &dynamodb.UpdateItemInput{
		TableName: p.table, Key: item{"pk": s(key)}, UpdateExpression: aws.String("SET v = :new, #own = :mine"),
		ConditionExpression: aws.String("v = :old"), ExpressionAttributeNames: map[string]string{"#own": own},
		ExpressionAttributeValues: item{":new": n(old + 1), ":mine": n(p.acked[w] + 1), ":old": n(old)},
	}
	if old == 0 {
		in.ConditionExpression = aws.String("attribute_not_exists(v)")
		delete(in.ExpressionAttributeValues, ":old")
	}
	for unsure := false; ctx.Err() == nil; unsure = true {
		_, err := p.once.UpdateItem(ctx, in)
		var failed *types.ConditionalCheckFailedException
		switch {
		case err == nil:
			return true
		case errors.As(err, &failed):
			if !unsure {
				p.refused.Add(1)
				return false
			}
			// The counter has moved on, so no try of this write can come to pass any
			// more: what the item says now is final.
			now, err := p.read(ctx, p.table, key)
			if err != nil {
				p.t.Errorf("%s by client %d: %v", key, w, err)
				return false
			}
			p.resolved.Add(1)
			return number(now, own) == p.acked[w]+1
		}
		time.Sleep(20 * time.Millisecond) // no hammering while nobody answers
	}
	p.t.Errorf("%s by client %d: no outcome at all", key, w)
	return false
}

func (p *counters) check() {
	total := 0
	for i := range counterItems {
		key := fmt.Sprint("counter", i)
		got, err := p.read(p.t.Context(), p.table, key)
		if err != nil {
			p.t.Fatal(err)
		}
		sum := 0
		for w := i; w < counterClients; w += counterItems {
			sum += p.acked[w]
			if own := number(got, fmt.Sprint("by", w)); own != p.acked[w] {
				p.t.Errorf("%s has %d writes of client %d, who knows of %d", key, own, w, p.acked[w])
			}
		}
		if v := number(got, "v"); v != sum {
			p.t.Errorf("%s is %d, but %d writes took effect", key, v, sum)
		}
		total += sum
	}
	p.t.Logf("counters: %d conditional writes; %d conditions failed, %d unknown outcomes became known", total, p.refused.Load(), p.resolved.Load())
}
