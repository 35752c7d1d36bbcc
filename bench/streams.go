package main

import (
	"fmt"
	"strings"

	"weir.dev/weir/bench/internal/load"
)

const (
	// streamClients append; each has hundreds of records under way.
	streamClients = 16
	// streamShards is how many shards Weir's stream has, and how many streams
	// NATS has in the rows of "nats x3".
	streamShards = 3
	streamName   = "bench"
	// halfBatch is the batch of the rows at half of the peak rate.
	halfBatch = 100
)

var streamBatches = []int{100, 500}

func opAppend(batch, subscribers int, how string) string {
	text := fmt.Sprintf("append, batch %d", batch)
	if subscribers > 0 {
		text += fmt.Sprintf(", %d %s", subscribers, how)
	}
	return text
}

const (
	polled = "polled"
	pushed = "pushed"
)

func opHalf() string { return opAppend(halfBatch, 1, pushed) + ", half of the peak" }

// streams measures appending records, with and without subscribers.
func (b *bench) streams() {
	for _, nodes := range b.nodes {
		if err := b.streamsOf(nodes); err != nil {
			b.skip("streams, nodes=%d: %v", nodes, err)
		}
	}
}

func (b *bench) streamsOf(nodes int) error {
	all, err := b.startContestants("streams", nodes, []*system{weir(b), nats(b), redis(b)}, readyForStreams)
	defer stopAll(all)
	if err != nil {
		return err
	}
	if c := find(all, "nats"); c != nil {
		all = append(all, partitioned(c))
	}
	var rows []Turns
	for _, batch := range streamBatches {
		rows = append(rows, b.byTurns(all, nodes, opAppend(batch, 0, ""), streamClients, 0)...)
		for _, how := range []string{polled, pushed} {
			for _, subscribers := range []int{1, 3} {
				rows = append(rows, b.byTurns(all, nodes, opAppend(batch, subscribers, how), streamClients, 0)...)
			}
		}
	}
	pace(all, rows, nodes)
	half := b.byTurns(all, nodes, opHalf(), streamClients, 0)
	for i := range half {
		half[i].Ratio = 0 // each at a rate of its own
	}
	rows = append(rows, half...)
	b.report.Streams = append(b.report.Streams, rows...)
	return nil
}

// pace adds to each system the appending at half of the rate that it reached
// with the same batch and as many subscribers.
func pace(all []*contestant, rows []Turns, nodes int) {
	peak := opAppend(halfBatch, 1, pushed)
	for _, c := range all {
		if t := beside(rows, c.name, nodes, peak); t != nil && !c.out {
			c.add(opHalf(), load.Paced(c.dial(peak), streamClients, t.PerSecond/2/halfBatch))
			c.tails[opHalf()] = c.tails[peak]
		}
	}
}

func readyForStreams(c *contestant, nodes int) error {
	switch c.name {
	case "weir":
		return readyWeirStream(c)
	case "nats":
		n := &load.NATS{Addrs: c.addrs}
		if err := n.CreateStreams(streamShards, nodes); err != nil {
			return err
		}
		addNATSStreams(c, n, 1)
	case "redis":
		r := &load.Redis{Addr: c.addrs[0]}
		addStream(c, r.Append, pushed, func(int) ([]load.Reader, error) {
			reader, err := r.Subscribe()
			return []load.Reader{reader}, err
		})
	}
	return nil
}

// partitioned is NATS with as many streams as Weir's stream has shards, on the
// same servers.
func partitioned(c *contestant) *contestant {
	more := &contestant{name: "nats x3", running: &running{procs: c.procs, addrs: c.addrs}, tails: map[string]func() ([]load.Reader, error){}}
	addNATSStreams(more, &load.NATS{Addrs: c.addrs}, streamShards)
	return more
}

func addNATSStreams(c *contestant, n *load.NATS, streams int) {
	addStream(c, func(batch int) func(int) (load.Client, error) { return n.Append(streams, batch) }, pushed, func(subscriber int) (readers []load.Reader, err error) {
		for s := 0; s < streams && err == nil; s++ {
			var reader load.Reader
			if reader, err = n.Subscribe(subscriber, s); err == nil {
				readers = append(readers, reader)
			}
		}
		return readers, err
	})
}

// addStream adds appending without and with subscribers, each of which open
// connects.
func addStream(c *contestant, dial func(batch int) func(int) (load.Client, error), how string, open func(subscriber int) ([]load.Reader, error)) {
	for _, batch := range streamBatches {
		plain := opAppend(batch, 0, "")
		if c.dial(plain) == nil {
			c.add(plain, dial(batch))
		}
		for _, subscribers := range []int{1, 3} {
			operation := opAppend(batch, subscribers, how)
			c.add(operation, dial(batch))
			c.tails[operation] = func() ([]load.Reader, error) { return connect(subscribers, open) }
		}
	}
}

func connect(subscribers int, open func(subscriber int) ([]load.Reader, error)) (all []load.Reader, err error) {
	for i := 0; i < subscribers && err == nil; i++ {
		var readers []load.Reader
		readers, err = open(i)
		all = append(all, readers...)
	}
	if err != nil {
		for _, r := range all {
			_ = r.Close() // the error is told already
		}
		return nil, err
	}
	return all, nil
}

func readyWeirStream(c *contestant) error {
	aws := &load.AWS{Addrs: c.addrs, Credentials: credentials, Invocation: true}
	if err := aws.CreateStream(streamName, streamShards); err != nil {
		return err
	}
	shards, err := aws.Shards(streamName)
	if err != nil {
		return err
	}
	consumers := make([]string, 3)
	for i := range consumers {
		if consumers[i], err = aws.RegisterConsumer(streamName, fmt.Sprintf("c%d", i)); err != nil {
			return err
		}
	}
	dial := func(batch int) func(int) (load.Client, error) { return aws.PutRecords(streamName, batch) }
	each := func(open func(subscriber int, shard string) (load.Reader, error)) func(int) ([]load.Reader, error) {
		return func(subscriber int) (readers []load.Reader, err error) {
			for _, shard := range shards {
				reader, err := open(subscriber, shard)
				if err != nil {
					return readers, err
				}
				readers = append(readers, reader)
			}
			return readers, nil
		}
	}
	addStream(c, dial, polled, each(func(i int, shard string) (load.Reader, error) { return aws.Poll(i, streamName, shard, "LATEST") }))
	addStream(c, dial, pushed, each(func(i int, shard string) (load.Reader, error) { return aws.Push(i, consumers[i], shard) }))
	return nil
}

// pushTarget is how old a record may be when its subscriber has it, of 99 %.
const pushTargetMicros = 10_000

func (r *Report) judgeStreams(add func(what, wanted string, met bool, format string, args ...any)) {
	largest := opAppend(streamBatches[len(streamBatches)-1], 0, "")
	for _, peer := range []string{"nats", "nats x3"} {
		if t := beside(r.Streams, peer, 3, largest); t != nil {
			add("append at batch 500 on three nodes, beside "+peer+" R3", "1.5x", t.Ratio >= 1.5, "%.2fx (%.2f to %.2f)", t.Ratio, t.Worst, t.Best)
		}
	}
	for _, nodes := range []int{1, 3} {
		if t := beside(r.Streams, "weir", nodes, opHalf()); t != nil {
			add(fmt.Sprintf("p99 of pushing at half of the peak rate, nodes=%d", nodes), "below 10 ms", t.PushP99Micros < pushTargetMicros, "%s", micros(t.PushP99Micros))
		}
	}
}

func (r *Report) streams(w *strings.Builder) {
	if len(r.Streams) == 0 {
		return
	}
	fmt.Fprintf(w, "\n## Streams, by turns (%d clients)\n\nRecords of %d bytes; Weir's stream has %d shards, NATS has one stream, and \"nats x3\" is NATS with three. A batch is one\n"+
		"PutRecords, or as many messages of the peer written at once and all acknowledged. Subscribers read everything: *polled* by\n"+
		"GetRecords with 10 ms of rest after each, *pushed* by SubscribeToShard, a push consumer, or XREAD. The age of a record is the\n"+
		"time from the building of its batch to the subscriber, who shares the processors. The times p50 and p99 are those of a batch.\n\n", streamClients, load.RecordBytes, streamShards)
	writeTurns(w, r.Streams, true)
}
