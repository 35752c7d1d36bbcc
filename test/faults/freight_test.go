package faults

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/kinesis"
	ktypes "github.com/aws/aws-sdk-go-v2/service/kinesis/types"
	"github.com/aws/aws-sdk-go-v2/service/sqs"

	"weir.dev/weir/test/process"
)

const (
	freightLink    = "freight-to-west"
	freightShards  = 4
	freightClients = 2 // of each kind
	freightBatch   = 5
	// freightPause is between two calls of a client.
	freightPause = 25 * time.Millisecond
)

var freightQueue, freightStream = aws.String("freight"), aws.String("freight")

// freight is a queue and a stream that a link ships, and clients who use them in
// the region that takes the writes: when one refuses they go to the other. A
// message that was acknowledged is received, in whichever region; one whose
// deletion was acknowledged never comes again, and a record is in both regions
// under the sequence number that was acknowledged.
type freight struct {
	t       *testing.T
	r       *regions
	queues  map[*cluster]*sqs.Client
	streams map[*cluster]*kinesis.Client
	stopped chan struct{}
	stop    func()
	running sync.WaitGroup
	gap     gaps // of all senders together

	mu       sync.Mutex // guards what follows
	at       *cluster
	sent     map[string]bool // bodies that were acknowledged
	came     map[string]bool
	deleted  map[string]time.Time // by body, when its deletion was acknowledged
	sequence map[string]string    // of the records that were acknowledged
	unsure   int                  // records of unknown outcome
}

// startFreight makes the queue and the stream in east, links them to west, and
// starts the clients.
func startFreight(r *regions, toWest []string) *freight {
	r.t.Helper()
	f := &freight{
		t: r.t, r: r, at: r.east, stopped: make(chan struct{}), queues: map[*cluster]*sqs.Client{}, streams: map[*cluster]*kinesis.Client{},
		sent: map[string]bool{}, came: map[string]bool{}, deleted: map[string]time.Time{}, sequence: map[string]string{},
	}
	for _, c := range []*cluster{r.east, r.west} {
		f.queues[c], f.streams[c] = sqs.NewFromConfig(c.config(1)), kinesis.NewFromConfig(c.config(1))
	}
	steady := r.east.config(attempts)
	if _, err := sqs.NewFromConfig(steady).CreateQueue(r.t.Context(), &sqs.CreateQueueInput{QueueName: freightQueue, Attributes: map[string]string{"VisibilityTimeout": visibilitySeconds}}); err != nil {
		r.t.Fatal(err)
	}
	if _, err := kinesis.NewFromConfig(steady).CreateStream(r.t.Context(), &kinesis.CreateStreamInput{StreamName: freightStream, ShardCount: aws.Int32(freightShards)}); err != nil {
		r.t.Fatal(err)
	}
	r.ship(r.east, r.west, freightLink, toWest, "--queues", *freightQueue, "--streams", *freightStream)
	f.stop = sync.OnceFunc(func() { close(f.stopped) })
	for w := range freightClients {
		f.client(func(ctx context.Context, at *cluster, i int) error {
			return f.send(ctx, at, fmt.Sprintf("crate %d of %d", i, w))
		})
		f.client(func(ctx context.Context, at *cluster, _ int) error { return f.consume(ctx, at) })
		f.client(func(ctx context.Context, at *cluster, i int) error { return f.record(ctx, at, w, i) })
	}
	r.t.Cleanup(f.finish)
	return f
}

func (f *freight) finish() {
	f.stop()
	f.running.Wait()
}

// client works until the load stops, where the writes are taken.
func (f *freight) client(work func(ctx context.Context, at *cluster, i int) error) {
	f.running.Go(func() {
		tick := time.NewTicker(freightPause)
		defer tick.Stop()
		for i := 0; ; i++ {
			at := f.active()
			ctx, cancel := context.WithTimeout(context.Background(), 4*time.Second)
			err := work(ctx, at, i)
			cancel()
			if err != nil && passive(err) {
				f.leave(at)
			}
			select {
			case <-f.stopped:
				return
			case <-tick.C:
			}
		}
	})
}

func (f *freight) active() *cluster {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.at
}

// leave goes to the other region, if nobody has gone there yet.
func (f *freight) leave(from *cluster) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.at != from {
		return
	}
	if f.at = f.r.east; from == f.r.east {
		f.at = f.r.west
	}
}

// url is the queue as a region's clients name it.
func (f *freight) url(at *cluster) *string {
	return aws.String(at.nodes[0].Endpoint() + "/000000000000/" + *freightQueue)
}

func (f *freight) send(ctx context.Context, at *cluster, body string) error {
	_, err := f.queues[at].SendMessage(ctx, &sqs.SendMessageInput{QueueUrl: f.url(at), MessageBody: &body})
	if err != nil {
		return err
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.sent[body] = true
	f.gap.ack("any")
	return nil
}

func (f *freight) consume(ctx context.Context, at *cluster) error {
	called := time.Now()
	out, err := f.queues[at].ReceiveMessage(ctx, &sqs.ReceiveMessageInput{QueueUrl: f.url(at), MaxNumberOfMessages: 10, WaitTimeSeconds: 1})
	if err != nil {
		return err
	}
	for _, m := range out.Messages {
		body := aws.ToString(m.Body)
		f.mu.Lock()
		f.came[body] = true
		if at, gone := f.deleted[body]; gone && called.After(at) {
			f.t.Errorf("%q was deleted %v before it was received again", body, called.Sub(at))
		}
		f.mu.Unlock()
		if _, err = f.queues[at].DeleteMessage(ctx, &sqs.DeleteMessageInput{QueueUrl: f.url(at), ReceiptHandle: m.ReceiptHandle}); err == nil {
			f.mu.Lock()
			f.deleted[body] = time.Now()
			f.mu.Unlock()
		}
	}
	return err
}

func (f *freight) record(ctx context.Context, at *cluster, producer, i int) error {
	var batch []ktypes.PutRecordsRequestEntry
	for k := range freightBatch {
		key := fmt.Sprintf("%d-%d", producer, k)
		batch = append(batch, ktypes.PutRecordsRequestEntry{PartitionKey: &key, Data: fmt.Appendf(nil, "%s/%d", key, i)})
	}
	out, err := f.streams[at].PutRecords(ctx, &kinesis.PutRecordsInput{StreamName: freightStream, Records: batch})
	f.mu.Lock()
	defer f.mu.Unlock()
	for k := range batch {
		if err != nil || out.Records[k].ErrorCode != nil {
			f.unsure++
			continue
		}
		f.sequence[string(batch[k].Data)] = *out.Records[k].SequenceNumber
	}
	return err
}

// planned moves the writes of the queue and the stream and measures for how long
// none was taken.
func (f *freight) planned(link string, from, to *cluster) {
	f.t.Helper()
	f.gap.reset()
	text := f.r.weir(from, "region", "failover", link, "--planned")
	time.Sleep(time.Second) // clients at work
	if f.active() != to {
		f.t.Error("the other region takes no messages after a planned failover")
	}
	f.gap.report(f.t, "a planned failover of a queue and a stream; it says: "+strings.TrimSpace(text), f.r.pause)
}

// check ends the clients, receives what is left, and reads the stream in both
// regions.
func (f *freight) check() {
	f.t.Helper()
	f.finish()
	begun := time.Now()
	for {
		ctx, cancel := context.WithTimeout(f.t.Context(), 4*time.Second)
		err := f.consume(ctx, f.at)
		cancel()
		missing := 0
		for body := range f.sent {
			if !f.came[body] {
				missing++
			}
		}
		if missing == 0 {
			break
		}
		if time.Since(begun) > settleTimeout {
			f.t.Errorf("%d of %d acknowledged messages never came: %v", missing, len(f.sent), err)
			break
		}
	}
	f.t.Logf("a queue in two regions: %d messages acknowledged, %d arrived, %d deleted", len(f.sent), len(f.came), len(f.deleted))
	f.checkStream("east", f.r.east)
	f.checkStream("west", f.r.west)
}

// checkStream waits until a region has every acknowledged record, and holds
// each to its number and its key's order.
func (f *freight) checkStream(name string, at *cluster) {
	f.t.Helper()
	for begun := time.Now(); ; time.Sleep(100 * time.Millisecond) { // a real process: there is nothing to wait on
		have, order := f.content(at)
		missing := 0
		for data, want := range f.sequence {
			switch got := have[data]; {
			case got == "":
				missing++
			case sequenceOf(got).Cmp(sequenceOf(want)) != 0:
				f.t.Errorf("record %s was acknowledged as %s and is in %s as %s", data, want, name, got)
			}
		}
		if missing > 0 && time.Since(begun) < regionTimeout {
			continue
		}
		if missing > 0 || len(have) > len(f.sequence)+f.unsure {
			f.t.Errorf("%s has %d records and lacks %d; %d were acknowledged, %d are unknown", name, len(have), missing, len(f.sequence), f.unsure)
		}
		f.checkOrder(name, order)
		f.t.Logf("a stream in two regions: %s has %d records, %d acknowledged, %d unknown, seen after %v", name, len(have), len(f.sequence), f.unsure, since(begun))
		return
	}
}

func (f *freight) checkOrder(name string, order map[string][]int) {
	f.t.Helper()
	for key, came := range order {
		last := -1
		for _, serial := range came {
			if f.sequence[fmt.Sprintf("%s/%d", key, serial)] == "" {
				continue // a put of unknown outcome may take effect late
			}
			if serial <= last {
				f.t.Errorf("in %s record %d of key %s is behind record %d", name, serial, key, last)
			}
			last = serial
		}
	}
}

// content is a region's records with their sequence numbers, and the serials of
// each key in their order.
func (f *freight) content(at *cluster) (have map[string]string, order map[string][]int) {
	f.t.Helper()
	have, order = map[string]string{}, map[string][]int{}
	client := kinesis.NewFromConfig(at.config(attempts))
	about, err := client.DescribeStream(f.t.Context(), &kinesis.DescribeStreamInput{StreamName: freightStream})
	if err != nil {
		f.t.Fatal(err)
	}
	for _, shard := range about.StreamDescription.Shards {
		from, err := client.GetShardIterator(f.t.Context(), &kinesis.GetShardIteratorInput{StreamName: freightStream, ShardId: shard.ShardId, ShardIteratorType: ktypes.ShardIteratorTypeTrimHorizon})
		if err != nil {
			f.t.Fatal(err)
		}
		last := "(none)"
		for next := from.ShardIterator; ; {
			page, err := client.GetRecords(f.t.Context(), &kinesis.GetRecordsInput{ShardIterator: next, Limit: aws.Int32(10_000)})
			if err != nil {
				f.t.Fatalf("cannot read shard %s through %s behind its last record %s: %v", *shard.ShardId, at.nodes[0].Name(), last, err)
			}
			if len(page.Records) == 0 {
				break
			}
			for i := range page.Records {
				data := string(page.Records[i].Data)
				if before := have[data]; before != "" {
					f.t.Errorf("record %s is there twice, as %s and %s", data, before, *page.Records[i].SequenceNumber)
				}
				last = *page.Records[i].SequenceNumber
				have[data] = last
				key, serial, _ := strings.Cut(data, "/")
				var number int
				if _, err := fmt.Sscan(serial, &number); err != nil {
					f.t.Errorf("record %q is none of ours", data)
				}
				order[key] = append(order[key], number)
			}
			next = page.NextShardIterator
		}
	}
	return have, order
}

// peers are the addresses at which other regions reach a region's nodes.
func peers(nodes []*process.Node) (list []string) {
	for _, n := range nodes {
		list = append(list, n.Peer())
	}
	return list
}
