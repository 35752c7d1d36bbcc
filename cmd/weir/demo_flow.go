package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"weir.dev/weir/internal/cluster"
	"weir.dev/weir/internal/demo"
	"weir.dev/weir/internal/model"
)

const (
	// demoTick is the time between two measurements.
	demoTick = 250 * time.Millisecond
	// demoPace is how often clicks that are due are handed to the senders.
	demoPace = 20 * time.Millisecond
	// demoBatch is SQS's most messages of one call.
	demoBatch = 10
	// demoDown is how long the killed node stays away.
	demoDown = 4 * time.Second
	// demoHealTimeout bounds the time until it has caught up.
	demoHealTimeout = 30 * time.Second
	// healedLag is the number of entries behind the leader that counts as caught
	// up while clicks flow.
	healedLag = 100
)

// sendAll sends the clicks when they are due, from several senders.
func (d *demoRun) sendAll() error {
	clicks := d.day.Clicks
	batches := make(chan []demo.Click, len(clicks)) // room for all: clicks wait, as people do
	done := make(chan struct{}, demoSenders)
	for i := range demoSenders {
		d.spawn(func() error { err := d.sender(i, batches); done <- struct{}{}; return err })
	}
	for next := 0; next < len(clicks); {
		due := next
		for due < len(clicks) && clicks[due].At <= d.now() {
			due++
		}
		for next < due {
			to := min(due, next+demoBatch)
			batches <- clicks[next:to]
			next = to
		}
		if !d.wait(demoPace) {
			break
		}
	}
	close(batches)
	for range demoSenders {
		select {
		case <-done: // with an error, spawn has ended the demo
		case <-d.ctx.Done():
			return d.interrupted()
		}
	}
	return nil
}

// sender sends batch after batch and counts what is acknowledged.
func (d *demoRun) sender(i int, batches <-chan []demo.Click) error {
	for batch := range batches {
		if err := d.clients.send(d.ctx, i, batch); err != nil {
			return err
		}
		d.mu.Lock()
		d.acks = append(d.acks, d.now())
		for _, c := range batch {
			d.sent[c.Post].Add(c)
		}
		d.mu.Unlock()
	}
	return nil
}

// measure calls read once in a tick until over.
func (d *demoRun) measure(over <-chan struct{}, read func(context.Context) error) error {
	ticks := time.NewTicker(demoTick)
	defer ticks.Stop()
	for {
		if err := read(d.ctx); err != nil {
			return err
		}
		select {
		case <-ticks.C:
		case <-over:
			return nil
		case <-d.ctx.Done():
			return nil
		}
	}
}

// readApplied measures the outflow: what has arrived in the table.
func (d *demoRun) readApplied(ctx context.Context) error {
	applied, complete, err := readPosts(ctx, d.clients.dynamo, d.day.Posts, true)
	if err != nil || !complete {
		return err
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	d.applied = applied
	d.picture.Applied.Add(d.now(), float64(demo.Sum(applied).Clicks))
	return nil
}

// compareTimeout bounds how long a node may be behind when nothing is left to
// apply.
const compareTimeout = 10 * time.Second

// compareNodes reads the table from each node's own replicas, and notes those
// that do not come to show what the strong reads have shown.
func (d *demoRun) compareNodes() error {
	for i, n := range d.nodes.all {
		deadline := time.Now().Add(compareTimeout)
		for {
			own, complete, err := readPosts(d.ctx, d.clients.each[i], d.day.Posts, false)
			if err != nil {
				return err
			}
			if complete && slices.Equal(own, d.applied) {
				break
			}
			if time.Now().After(deadline) {
				d.differing = append(d.differing, n.name)
				break
			}
			if !d.wait(demoPoll) {
				return nil
			}
		}
	}
	return nil
}

// readQueued measures the backlog.
func (d *demoRun) readQueued(ctx context.Context) error {
	n, err := d.clients.queued(ctx)
	if err != nil {
		return err
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	d.queued = n
	d.picture.Backlog.Add(d.now(), float64(n))
	return nil
}

// show measures the inflow and draws.
func (d *demoRun) show(context.Context) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.picture.Sent.Add(d.now(), float64(demo.Sum(d.sent).Clicks))
	d.screen.draw(&d.picture)
	return nil
}

// killLeader kills the node that leads the queue in the middle of the flash
// crowd, starts it again, and waits until it has caught up.
func (d *demoRun) killLeader() error {
	if d.flags.noKill {
		return nil
	}
	if !d.wait((d.day.FlashFrom+d.day.FlashTo)/2 - busyTime - d.now()) {
		return nil
	}
	victim, witness, err := d.busiest()
	if err != nil {
		return err
	}
	at := d.now()
	if err := victim.kill(); err != nil {
		return err
	}
	d.screen.say("killed %s, which leads the queue's tablet", victim.name)
	d.mu.Lock()
	d.picture.Kill, d.killed = at, victim.name
	d.mu.Unlock()
	if !d.wait(min(demoDown, d.day.Length/5)) {
		return nil
	}
	at = d.now()
	if err := victim.start(d.ctx); err != nil {
		return err
	}
	d.screen.say("started %s again", victim.name)
	d.mu.Lock()
	d.picture.Restart = at
	d.mu.Unlock()
	return d.waitHealed(victim, witness)
}

// busyTime is how long the logs are watched to find the busiest.
const busyTime = 400 * time.Millisecond

// busiest finds the node that leads the tablet whose log grows most, which is
// the one of the queue while a crowd clicks; and another node.
func (d *demoRun) busiest() (victim, witness *demoNode, err error) {
	var before, after cluster.ClusterStatus
	at := d.nodes.all[0].console
	if err := admin(at, "GET", "/api/status", nil, &before); err != nil {
		return nil, nil, err
	}
	if !d.wait(busyTime) {
		return nil, nil, d.interrupted()
	}
	if err := admin(at, "GET", "/api/status", nil, &after); err != nil {
		return nil, nil, err
	}
	victim = d.nodes.nodeOf(&after, busiestLeader(&before, &after))
	if victim == nil {
		return nil, nil, errors.New("no node leads the queue's tablet")
	}
	for _, n := range d.nodes.all {
		if n != victim {
			witness = n
		}
	}
	return victim, witness, nil
}

// busiestLeader is the leader of the tablet whose log has grown most.
func busiestLeader(before, after *cluster.ClusterStatus) (leader model.NodeID) {
	last := map[model.TabletID]model.Index{}
	for _, t := range before.Tablets {
		last[t.ID] = t.Last
	}
	var most model.Index
	for _, t := range after.Tablets {
		if grown := t.Last - min(t.Last, last[t.ID]); t.Leader != 0 && (leader == 0 || grown > most) {
			leader, most = t.Leader, grown
		}
	}
	return leader
}

// waitHealed waits until a node holds all its replicas again, nearly as long
// as their leaders' logs.
func (d *demoRun) waitHealed(victim, witness *demoNode) error {
	began, lacking := time.Now(), ""
	for time.Since(began) < demoHealTimeout {
		var s cluster.ClusterStatus
		if err := admin(witness.console, "GET", "/api/status", nil, &s); err != nil {
			lacking = err.Error()
		} else if lacking = unhealed(&s, d.nodes, victim); lacking == "" {
			d.screen.say("%s has caught up", victim.name)
			d.mu.Lock()
			d.healed = d.now()
			d.mu.Unlock()
			return nil
		}
		if !d.wait(demoPoll) {
			return nil
		}
	}
	return fmt.Errorf("%s did not catch up within %v: %s", victim.name, demoHealTimeout, lacking)
}

// unhealed says what a node lacks after its restart; nothing when it is back.
func unhealed(s *cluster.ClusterStatus, nodes *demoNodes, victim *demoNode) string {
	for _, t := range s.Tablets {
		if t.Leader == 0 {
			return fmt.Sprintf("tablet %v has no leader", t.ID)
		}
		for _, r := range t.Replicas {
			if nodes.nodeOf(s, r.Node) == victim && (!r.Up || r.Lag > healedLag) {
				return fmt.Sprintf("its replica of tablet %v is up: %v, and %d entries behind", t.ID, r.Up, r.Lag)
			}
		}
	}
	return ""
}
