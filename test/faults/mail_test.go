package faults

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/sqs"
)

// mail sends, receives and deletes messages: every acknowledged one arrives, a
// deleted one never comes back, none is given to two consumers while it is
// invisible.
type mail struct {
	*load
	url *string

	mu         sync.Mutex // guards what follows
	sent       map[string]bool
	unsure     int               // sends whose outcome nobody knows
	ids        map[string]string // of each body, the message's id
	deliveries map[string][]delivery
	deleted    map[string]time.Time // of each id, when its deletion was acknowledged
}

// delivery is one time that a consumer was given a message.
type delivery struct{ called, returned time.Time }

const (
	producers         = 3
	consumers         = 3
	visibility        = 5 * time.Second
	visibilitySeconds = "5"
)

func (p *mail) start() {
	p.url = p.queue("mail", visibilitySeconds)
	p.sent, p.ids, p.deliveries, p.deleted = map[string]bool{}, map[string]string{}, map[string][]delivery{}, map[string]time.Time{}
	for w := range producers {
		p.client(15*time.Millisecond, func(ctx context.Context, i int) {
			body := fmt.Sprintf("letter %d of %d", i, w)
			_, err := p.queues.SendMessage(ctx, &sqs.SendMessageInput{QueueUrl: p.url, MessageBody: &body})
			p.mu.Lock()
			defer p.mu.Unlock()
			if err != nil {
				p.unsure++
				return
			}
			p.sent[body] = true
			p.gaps.ack(fmt.Sprint("queue by producer ", w))
		})
	}
	for range consumers {
		p.client(time.Millisecond, func(ctx context.Context, _ int) { p.consume(ctx) })
	}
}

// consume receives and deletes once; it reports how many came.
func (p *mail) consume(ctx context.Context) int {
	called := time.Now()
	out, err := p.queues.ReceiveMessage(ctx, &sqs.ReceiveMessageInput{QueueUrl: p.url, MaxNumberOfMessages: 10, WaitTimeSeconds: 1})
	if err != nil {
		return 0
	}
	returned := time.Now()
	p.mu.Lock()
	for _, m := range out.Messages {
		id, body := aws.ToString(m.MessageId), aws.ToString(m.Body)
		if first, ok := p.ids[body]; ok && first != id {
			p.t.Errorf("%q was sent once and came as two messages, %s and %s", body, first, id)
		}
		p.ids[body] = id
		if at, ok := p.deleted[id]; ok && called.After(at) {
			p.t.Errorf("%q was deleted %v before it was received again", body, called.Sub(at))
		}
		for _, d := range p.deliveries[id] {
			if returned.Before(d.called.Add(visibility)) {
				p.t.Errorf("%q was given away twice within %v", body, returned.Sub(d.called))
			}
		}
		p.deliveries[id] = append(p.deliveries[id], delivery{called, returned})
	}
	p.mu.Unlock()
	for _, m := range out.Messages {
		if _, err := p.queues.DeleteMessage(ctx, &sqs.DeleteMessageInput{QueueUrl: p.url, ReceiptHandle: m.ReceiptHandle}); err == nil {
			p.mu.Lock()
			p.deleted[aws.ToString(m.MessageId)] = time.Now()
			p.mu.Unlock()
		}
	}
	return len(out.Messages)
}

func (p *mail) check() {
	p.until("every acknowledged message arrives", func() (bool, string) {
		if p.consume(p.t.Context()) > 0 {
			return false, "messages still come"
		}
		p.mu.Lock()
		defer p.mu.Unlock()
		missing := 0
		for body := range p.sent {
			if p.ids[body] == "" {
				missing++
			}
		}
		return missing == 0, fmt.Sprintf("%d of %d acknowledged messages never came", missing, len(p.sent))
	})
	p.mu.Lock()
	defer p.mu.Unlock()
	again := 0
	for _, d := range p.deliveries {
		again += len(d) - 1
	}
	if extra := len(p.ids) - len(p.sent); extra > p.unsure {
		p.t.Errorf("%d messages came that nobody sent", extra-p.unsure)
	}
	p.t.Logf("queue: %d messages acknowledged, %d unknown, %d arrived; %d deleted, %d came again after their visibility", len(p.sent), p.unsure, len(p.ids), len(p.deleted), again)
}

// clicks sends messages with weights; a pipe adds them up in a table.
type clicks struct {
	*load
	url, table *string

	mu     sync.Mutex // guards what follows
	sums   [clickPosts]int
	unsure [clickPosts]int // weight of sends whose outcome nobody knows
	sent   int
}

const clickPosts = 5

func (p *clicks) start() {
	p.url, p.table = p.queue("clicks", "30"), p.load.table("posts")
	out := p.c.nodes[0].Weir("pipe", "create", p.name+"-pipe", "--from", "queue:"+p.name+"-clicks", "--to", "table:"+*p.table,
		"--key", "pk=$.post", "--update", "ADD score :n", "--value", ":n=$.weight")
	if out.Code != 0 {
		p.t.Fatalf("weir pipe create: status %d: %s", out.Code, out.Stderr)
	}
	for w := range 2 {
		p.client(10*time.Millisecond, func(ctx context.Context, i int) {
			post, weight := (i+w)%clickPosts, 1+i%7
			_, err := p.queues.SendMessage(ctx, &sqs.SendMessageInput{QueueUrl: p.url, MessageBody: aws.String(fmt.Sprintf(`{"post":"post%d","weight":%d}`, post, weight))})
			p.mu.Lock()
			defer p.mu.Unlock()
			if err != nil {
				p.unsure[post] += weight
				return
			}
			p.sums[post] += weight
			p.sent++
		})
	}
}

func (p *clicks) check() {
	var scores [clickPosts]int
	p.until("the pipe's sums are exact", func() (bool, string) {
		for i := range clickPosts {
			out, err := p.tables.GetItem(p.t.Context(), &dynamodb.GetItemInput{TableName: p.table, Key: item{"pk": s(fmt.Sprint("post", i))}, ConsistentRead: aws.Bool(true)})
			if err != nil {
				return false, err.Error()
			}
			scores[i] = number(out.Item, "score")
		}
		for i, score := range scores {
			if score < p.sums[i] || score > p.sums[i]+p.unsure[i] {
				return false, fmt.Sprintf("the scores are %v, the acknowledged clicks %v, those unknown %v", scores, p.sums, p.unsure)
			}
		}
		return true, ""
	})
	if out := p.c.nodes[0].Weir("pipe", "delete", p.name+"-pipe"); out.Code != 0 {
		p.t.Errorf("weir pipe delete: status %d: %s", out.Code, out.Stderr)
	}
	p.t.Logf("pipe: %d clicks acknowledged, %v unknown in weight, sums %v", p.sent, p.unsure, scores)
}
