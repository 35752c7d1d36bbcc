package main

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"weir.dev/weir/bench/internal/load"
)

// emulators are the SQS emulators: not durable, and here because people use
// them in the same places.
var emulators = []string{"fauxqs", "elasticmq", "sqslite", "local-aws-sqs"}

const (
	// fillTime bounds the making of a backlog; what is there then is measured.
	fillTime = 3 * time.Minute
	// fillClients send it.
	fillClients = 64
	// groupsPerClient makes ten thousand message groups of 64 clients.
	groupsPerClient = 157
	// cushion is what lies in RabbitMQ's queue besides, because it pushes to a
	// consumer what another one may be waiting for.
	cushion = 2 * targetClients * load.MaxBatch
)

func opStandard(batch int) string { return fmt.Sprintf("standard, batch %d", batch) }
func opFIFO(batch int) string     { return fmt.Sprintf("fifo, batch %d", batch) }

func withBacklog(operation string) string { return operation + ", backlog" }

// queues measures sending, receiving and deleting beside the peers.
func (b *bench) queues() {
	for _, nodes := range b.nodes {
		if err := b.queuesOf(nodes); err != nil {
			b.skip("queues, nodes=%d: %v", nodes, err)
		}
	}
}

func (b *bench) queuesOf(nodes int) error {
	all, err := b.startContestants("queues", nodes, []*system{weir(b), nats(b), rabbitmq(b), redis(b), fauxqs(b), elasticmq(b), sqslite(b), localSQS(b)}, readyForQueues)
	defer stopAll(all)
	if err != nil {
		return err
	}
	if c := find(all, "nats"); c != nil {
		all = append(all, unconfirmed(c))
	}
	add := func(operation string, backlog int64) {
		b.report.Queues = append(b.report.Queues, b.byTurns(all, nodes, operation, targetClients, backlog)...)
	}
	for _, operation := range []string{opStandard(1), opStandard(load.MaxBatch), opFIFO(1), opFIFO(load.MaxBatch)} {
		add(operation, 0)
	}
	filled := b.fillAll(all, nodes)
	for _, operation := range []string{opStandard(1), opStandard(load.MaxBatch), opFIFO(load.MaxBatch)} {
		add(withBacklog(operation), filled)
	}
	return nil
}

// fillAll makes the backlogs of all that can have one, and returns the
// smallest.
func (b *bench) fillAll(all []*contestant, nodes int) (filled int64) {
	if !b.wanted(opStandard(1)) && !b.wanted(opStandard(load.MaxBatch)) {
		return 0
	}
	filled = b.backlog
	for _, c := range all {
		if c.fill == nil || c.out {
			continue
		}
		q := load.NewQuota(b.backlog, fillTime)
		start := time.Now()
		if err := c.fill(q); err != nil {
			c.out = true
			b.skip("the backlog of %s, nodes=%d: %v", c.name, nodes, err)
			continue
		}
		took := time.Since(start).Seconds()
		b.say("%s nodes=%d: a backlog of %d messages in %.1f s, %.0f/s", c.name, nodes, q.Done(), took, float64(q.Done())/took)
		if q.Done() < b.backlog*99/100 {
			b.report.Notes = append(b.report.Notes, fmt.Sprintf("%s, nodes=%d: the backlog is %d messages, all that were sent in %v", c.name, nodes, q.Done(), fillTime))
		}
	}
	return filled
}

func readyForQueues(c *contestant, nodes int) error {
	var err error
	switch c.name {
	case "weir":
		err = readyWeirQueues(c)
	case "fauxqs", "local-aws-sqs":
		aws := load.AWS{Addrs: c.addrs, Credentials: credentials, Invocation: true}
		var url string
		if url, err = aws.CreateQueue("bench"); err != nil {
			return err
		}
		addStandard(c, "", func(batch int) func(int) (load.Client, error) { return aws.Queue(url, batch) })
		err = addFIFO(c, &aws)
	case "nats":
		n := &load.NATS{Addrs: c.addrs}
		err = n.CreateWork(nodes)
		c.fill = func(q *load.Quota) error { return load.Fill(fillClients, n.FillWork(q)) }
		addBoth(c, n.WorkBatch)
	case "rabbitmq":
		r := &load.Rabbit{Addrs: c.addrs}
		if err = r.Declare(); err == nil {
			err = load.Fill(4, r.FillWork(load.NewQuota(cushion, fillTime)))
		}
		c.fill = func(q *load.Quota) error { return load.Fill(fillClients, r.FillWork(q)) }
		addBoth(c, r.Work)
	case "redis":
		r := &load.Redis{Addr: c.addrs[0]}
		err = r.Create()
		c.fill = func(q *load.Quota) error { return load.Fill(fillClients, r.FillWork(q)) }
		addBoth(c, r.Work)
	case "elasticmq":
		err = byQuery(c.running, true)
	case "sqslite":
		err = byQuery(c.running, false)
	}
	return err
}

// unconfirmed is NATS with acknowledgements that nothing confirms, as those of
// RabbitMQ are, on the same servers and the same queue.
func unconfirmed(c *contestant) *contestant {
	more := &contestant{name: "nats, acks unconfirmed", running: &running{procs: c.procs, addrs: c.addrs}}
	addBoth(more, (&load.NATS{Addrs: c.addrs}).WorkLax)
	return more
}

// addBoth adds a work queue that is the same one with and without a backlog.
func addBoth(c *contestant, work func(batch int) func(int) (load.Client, error)) {
	addStandard(c, "", work)
	addStandard(c, ", backlog", work)
}

func addStandard(c *contestant, suffix string, work func(batch int) func(int) (load.Client, error)) {
	for _, batch := range []int{1, load.MaxBatch} {
		c.add(opStandard(batch)+suffix, work(batch))
	}
}

func addFIFO(c *contestant, aws *load.AWS) error {
	url, err := aws.CreateQueue("bench.fifo")
	if err != nil {
		return err
	}
	for _, batch := range []int{1, load.MaxBatch} {
		c.add(opFIFO(batch), aws.QueueFIFO(url, batch, groupsPerClient))
	}
	return nil
}

// readyWeirQueues makes a queue of each kind, and another for the backlog, so
// that all four can be measured whenever it is filled.
func readyWeirQueues(c *contestant) error {
	aws := &load.AWS{Addrs: c.addrs, Credentials: credentials, Invocation: true}
	url, err := aws.CreateQueue("bench")
	if err != nil {
		return err
	}
	addBoth(c, func(batch int) func(int) (load.Client, error) { return aws.Queue(url, batch) })
	if err := addFIFO(c, aws); err != nil {
		return err
	}
	full, err := aws.CreateQueue("full.fifo")
	if err != nil {
		return err
	}
	c.add(withBacklog(opFIFO(load.MaxBatch)), aws.QueueFIFO(full, load.MaxBatch, groupsPerClient))
	c.fill = func(q *load.Quota) error {
		if err := load.Fill(fillClients, aws.FillQueue(url, 0, "", q)); err != nil {
			return err
		}
		return load.Fill(fillClients, aws.FillQueue(full, groupsPerClient, "", load.NewQuota(q.Done()/10, fillTime)))
	}
	return nil
}

func (r *Report) judgeQueues(add func(what, wanted string, met bool, format string, args ...any)) {
	batch := opStandard(load.MaxBatch)
	for _, peer := range []string{"nats", "nats, acks unconfirmed"} {
		if t := beside(r.Queues, peer, 3, batch); t != nil {
			add("queue at batch 10 on three nodes, beside "+peer, "1.5x", t.Ratio >= 1.5, "%.2fx (%.2f to %.2f)", t.Ratio, t.Worst, t.Best)
		}
	}
	for _, emulator := range emulators {
		if t := beside(r.Queues, emulator, 1, batch); t != nil {
			add("queue at batch 10 on one node, beside "+emulator, "3x", t.Ratio >= 3, "%.2fx (%.2f to %.2f)", t.Ratio, t.Worst, t.Best)
		}
	}
}

func (r *Report) queues(w *strings.Builder) {
	if len(r.Queues) == 0 {
		return
	}
	fmt.Fprintf(w, "\n## Queues, by turns (%d clients)\n\nEach client sends a batch of messages of %d bytes, receives as many and deletes them; a message that went all the\n"+
		"way counts, and the times are those of a whole batch's way. ", targetClients, load.ValueBytes)
	if backlog := slices.MaxFunc(r.Queues, func(a, b Turns) int { return int(a.Backlog - b.Backlog) }).Backlog; backlog > 0 {
		fmt.Fprintf(w, "Backlog: %d messages lie in the queue, a tenth of that in a FIFO queue. ", backlog)
	}
	fmt.Fprint(w, "All\nsystems are up and have their turns; medians.\n\n")
	writeTurns(w, r.Queues, false)
}
