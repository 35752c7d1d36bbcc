package faults

import (
	"context"
	"fmt"
	"math/big"
	"net/http"
	"strings"
	"sync"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/kinesis"
	"github.com/aws/aws-sdk-go-v2/service/kinesis/types"
)

// records puts records into a stream and reads them by SubscribeToShard, one
// subscriber for each shard, which subscribes again where it was when its
// subscription breaks: every acknowledged record arrives, none twice, those of a
// key in their order, each under the sequence number that was acknowledged.
type records struct {
	*load
	stream *string
	puts   *kinesis.Client
	reads  *kinesis.Client // without a time limit: a subscription lasts five minutes
	arn    *string         // of the consumer
	ctx    context.Context // of the subscribers; ends with the check
	end    func()
	tasks  sync.WaitGroup

	mu     sync.Mutex // guards what follows
	acked  map[string]string
	unsure int
	seen   map[string]string
	order  map[string][]string // by key: its records as they came
	broken int                 // subscriptions that ended before their time
}

const (
	// recordShards are spread over all tablets: whichever node dies leads some.
	recordShards    = 16
	recordProducers = 3
	recordBatch     = 10
)

func (p *records) start() {
	p.acked, p.seen, p.order = map[string]string{}, map[string]string{}, map[string][]string{}
	p.stream = aws.String(p.name + "-records")
	p.puts = kinesis.NewFromConfig(p.c.config(attempts))
	cfg := p.c.config(1)
	cfg.HTTPClient.(*spread).client = &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: 64, ResponseHeaderTimeout: attemptTimeout}}
	p.reads = kinesis.NewFromConfig(cfg)
	p.ctx, p.end = context.WithCancel(context.Background())
	p.t.Cleanup(func() { // also when the scenario gave up halfway
		p.end()
		p.tasks.Wait()
	})
	_, err := p.puts.CreateStream(p.t.Context(), &kinesis.CreateStreamInput{StreamName: p.stream, ShardCount: aws.Int32(recordShards)})
	if err != nil {
		p.t.Fatal(err)
	}
	about, err := p.puts.DescribeStream(p.t.Context(), &kinesis.DescribeStreamInput{StreamName: p.stream})
	if err != nil {
		p.t.Fatal(err)
	}
	consumer, err := p.puts.RegisterStreamConsumer(p.t.Context(), &kinesis.RegisterStreamConsumerInput{StreamARN: about.StreamDescription.StreamARN, ConsumerName: aws.String("all")})
	if err != nil {
		p.t.Fatal(err)
	}
	p.arn = consumer.Consumer.ConsumerARN
	for _, shard := range about.StreamDescription.Shards {
		p.tasks.Go(func() { p.follow(*shard.ShardId) })
	}
	for w := range recordProducers {
		p.client(20*time.Millisecond, func(ctx context.Context, i int) { p.put(ctx, w, i) })
	}
}

// put puts one batch: record i of each of the producer's keys.
func (p *records) put(ctx context.Context, producer, i int) {
	var batch []types.PutRecordsRequestEntry
	for k := range recordBatch {
		key := fmt.Sprintf("%d-%d", producer, k)
		batch = append(batch, types.PutRecordsRequestEntry{PartitionKey: &key, Data: fmt.Appendf(nil, "%s/%d", key, i)})
	}
	out, err := p.puts.PutRecords(ctx, &kinesis.PutRecordsInput{StreamName: p.stream, Records: batch})
	p.mu.Lock()
	defer p.mu.Unlock()
	for k := range batch {
		if err != nil || out.Records[k].ErrorCode != nil {
			p.unsure++
			continue
		}
		p.acked[string(batch[k].Data)] = *out.Records[k].SequenceNumber
	}
	if err == nil {
		p.gaps.ack(fmt.Sprint("stream by producer ", producer))
	}
}

// follow reads a shard until the check ends it.
func (p *records) follow(shard string) {
	last := ""
	for p.ctx.Err() == nil {
		if last = p.subscribe(shard, last); p.ctx.Err() != nil {
			return
		}
		p.mu.Lock()
		p.broken++
		p.mu.Unlock()
		select {
		case <-time.After(100 * time.Millisecond): // a real process: there is nothing to wait on
		case <-p.ctx.Done():
		}
	}
}

// subscribe reads until the subscription ends, and returns the sequence number
// behind which the next one begins.
func (p *records) subscribe(shard, last string) string {
	from := &types.StartingPosition{Type: types.ShardIteratorTypeTrimHorizon}
	if last != "" {
		from = &types.StartingPosition{Type: types.ShardIteratorTypeAfterSequenceNumber, SequenceNumber: &last}
	}
	// A node that dies without a word leaves its connections open: events come at
	// least every five seconds, so a longer silence is an end.
	ctx, cancel := context.WithCancel(p.ctx)
	defer cancel()
	silent := time.AfterFunc(silence, cancel)
	defer silent.Stop()
	out, err := p.reads.SubscribeToShard(ctx, &kinesis.SubscribeToShardInput{ConsumerARN: p.arn, ShardId: &shard, StartingPosition: from})
	if err != nil {
		return last // refused while another subscription counts, or no node answers
	}
	events := out.GetStream()
	defer events.Close()
	for e := range events.Events() {
		silent.Reset(silence)
		if event, ok := e.(*types.SubscribeToShardEventStreamMemberSubscribeToShardEvent); ok {
			p.note(shard, event.Value.Records)
			if event.Value.ContinuationSequenceNumber != nil {
				last = *event.Value.ContinuationSequenceNumber
			}
		}
	}
	return last
}

// silence is how long a subscriber waits for an event.
const silence = 8 * time.Second

func (p *records) note(shard string, came []types.Record) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for i := range came {
		data, sequence := string(came[i].Data), *came[i].SequenceNumber
		if before, again := p.seen[data]; again {
			p.t.Errorf("record %s came twice: as %s, and as %s from %s", data, before, sequence, shard)
		}
		p.seen[data] = sequence
		key, _, _ := strings.Cut(data, "/")
		p.order[key] = append(p.order[key], data)
	}
}

func (p *records) check() {
	p.until("every acknowledged record arrives", func() (bool, string) {
		p.mu.Lock()
		defer p.mu.Unlock()
		missing := 0
		for data := range p.acked {
			if p.seen[data] == "" {
				missing++
			}
		}
		return missing == 0, fmt.Sprintf("%d of %d acknowledged records never came", missing, len(p.acked))
	})
	p.end()
	p.tasks.Wait()
	p.mu.Lock()
	defer p.mu.Unlock()
	for data, want := range p.acked {
		if got := p.seen[data]; got != "" && sequenceOf(got).Cmp(sequenceOf(want)) != 0 {
			p.t.Errorf("record %s was acknowledged as %s and came as %s", data, want, got)
		}
	}
	for key, came := range p.order {
		last := -1
		for _, data := range came {
			var serial int
			if _, err := fmt.Sscanf(data, key+"/%d", &serial); err != nil {
				p.t.Errorf("record %q is none of ours", data)
			}
			if p.acked[data] == "" {
				continue // a put of unknown outcome may take effect late
			}
			if serial < last {
				p.t.Errorf("record %d of key %s came after record %d", serial, key, last)
			}
			last = serial
		}
	}
	if extra := len(p.seen) - len(p.acked); extra > p.unsure {
		p.t.Errorf("%d records came that nobody put", extra-p.unsure)
	}
	p.t.Logf("stream: %d records acknowledged, %d unknown, %d arrived by %d shards' subscriptions, which broke %d times", len(p.acked), p.unsure, len(p.seen), recordShards, p.broken)
}

// sequenceOf is a sequence number as it is compared.
func sequenceOf(sequence string) *big.Int {
	n, _ := new(big.Int).SetString(sequence, 10)
	return n
}
