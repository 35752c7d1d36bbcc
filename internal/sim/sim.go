// Package sim runs whole clusters in one process on virtual time, from one
// seed, and checks what they promise.
//
// A run has nodes with disks that lose what was not synced, a network that
// delays, loses, duplicates, reorders and cuts, clocks that are off, and a
// nemesis that crashes nodes; clients work on the nodes' services meanwhile,
// and at the end everything is healed and counted. The same seed gives the
// same run: Run must be called inside a testing/synctest bubble, with the
// settings that its TestMain makes. docs/testing.md tells what is checked.
//
// Start with Run; cluster.go holds nodes and disks, network.go the network,
// nemesis.go the faults, members.go nodes that come and go, asserter.go the
// always-on check of every applied command; kv.go, queue.go, fifo.go, dead.go,
// likes.go, flow.go, stream*.go, sessions.go and async.go are the workloads with their checks.
package sim

import (
	"context"
	"fmt"
	"io"
	"math/rand/v2"
	"sync"
	"time"

	"weir.dev/weir/internal/model"
	"weir.dev/weir/internal/service"
)

// Config says how a run goes. Everything else comes from the seed.
type Config struct {
	Nodes   int // at the beginning, and at least ever after
	Tablets int
	Length  time.Duration // of the time with faults
	Calm    bool          // no faults at all
	Log     io.Writer     // the nodes' logs; nil for none
}

// Report is what a run did and what it found.
type Report struct {
	Crashes, Partitions, SlowDisks, ClockJumps int
	Joined, Removed                            int           // nodes; those asked to leave
	KV, KVUnknown                              int           // operations
	Sent, Received, Deleted                    int           // messages
	Likes, Flowed                              int           // messages through the pipe; through two, by way of a stream
	Ordered, Rescued, Moves                    int           // messages of the FIFO queue; dead letters moved; tasks that moved them
	Records, RecordsRead, Reshardings          int           // of the stream: put, read by all its consumers, begun
	Applied, Repeated                          int           // commands on all nodes; those that the dedupe table held back
	SessionReads, LagReads, OnAllDisks         int           // eventual reads; those held to a lag; writes found on all disks
	Async, AsyncLost                           int           // writes that a leader alone had acknowledged; those that a change of leaders lost
	Traffic                                    int           // network deliveries
	Simulated                                  time.Duration // how long the cluster ran
	Trace                                      uint64        // of all commands, where and when they were applied
	Failures                                   []string
}

// workload is a set of clients with a check at the end.
type workload interface {
	// clients is the number of clients.
	clients() int
	// client runs one client until stop.
	client(id int, stop <-chan struct{})
	// finish runs after everything is healed; it waits for what must still come.
	finish() error
	// check returns what is wrong.
	check() []string
	report(*Report)
}

// Run runs one cluster from a seed.
func Run(seed uint64, cfg Config) (r Report) {
	w := newWorld(seed, cfg)
	w.began = time.Now()
	if err := w.run(&r); err != nil {
		r.Failures = append(r.Failures, err.Error())
	}
	for _, room := range w.nodes {
		if err := w.crash(room, 100); err != nil {
			r.Failures = append(r.Failures, err.Error())
		}
	}
	// Deliveries that are still under way end here, not in the next run.
	time.Sleep(time.Minute)
	r.Simulated, r.Trace = w.elapsed(), w.watch.trace
	r.Applied, r.Repeated, r.Traffic = w.watch.applied, w.watch.repeats, w.net.traffic.sent
	r.Failures = append(append(r.Failures, w.watch.failures...), w.fatal...)
	return r
}

func (w *world) run(r *Report) error {
	if err := w.boot(w.nodes[0]); err != nil {
		return err
	}
	if err := w.grow(); err != nil {
		return fmt.Errorf("cannot grow the cluster: %w", err)
	}
	loads := []workload{&kv{w: w}, newQueueLoad(w), newLikes(w), newFifoLoad(w), newDeadLoad(w), newStreamLoad(w), &sessions{w: w}, w.async, &flow{w: w}}
	if err := retry(w.createResources); err != nil {
		return fmt.Errorf("cannot create the resources: %w", err)
	}
	stop := make(chan struct{})
	var clients sync.WaitGroup
	for i, load := range loads {
		for c := range load.clients() {
			clients.Go(func() { load.client(10*i+c, stop) })
		}
	}
	var nemesisErr error
	if !w.cfg.Calm {
		clients.Go(func() { nemesisErr = w.nemesis(stop, r) })
	}
	time.Sleep(w.cfg.Length)
	close(stop)
	clients.Wait()
	if nemesisErr != nil {
		return nemesisErr
	}
	if err := w.healAll(); err != nil {
		return err
	}
	for _, load := range loads {
		if err := load.finish(); err != nil {
			r.Failures = append(r.Failures, err.Error())
		}
	}
	for _, load := range loads {
		r.Failures = append(r.Failures, load.check()...)
		load.report(r)
	}
	return nil
}

// healAll ends all faults and boots what is down.
func (w *world) healAll() error {
	w.net.calm()
	for _, room := range w.nodes {
		w.setSlow(room, 0)
		if room.live == nil {
			if err := w.boot(room); err != nil {
				return err
			}
		}
	}
	time.Sleep(5 * time.Second)
	return w.buryRemoved()
}

// createResources makes the tables, queues and streams of all workloads.
func (w *world) createResources() error {
	s := w.nodes[0].live.service
	for _, name := range []string{kvTable, likesTable, sessionTable, asyncTable, flowTable} {
		var tags []model.Tag
		if name == asyncTable {
			tags = []model.Tag{{Key: service.ReplicationTag, Value: model.LevelAsync.String()}}
		}
		ctx, cancel := contextFor(10 * time.Second)
		_, err := s.CreateTable(ctx, &service.CreateTableRequest{
			Name: name, Attributes: []model.KeyAttr{{Name: "id", Kind: model.KindS}},
			KeySchema: []service.KeyElement{{Name: "id", Type: "HASH"}}, Billing: model.BillingPerRequest, Tags: tags,
		})
		cancel()
		if err != nil && !exists(err) {
			return err
		}
	}
	if err := w.createQueues(s); err != nil {
		return err
	}
	ctx, cancel := contextFor(10 * time.Second)
	defer cancel()
	if err := w.async.setUp(ctx, w.nodes[0].live); err != nil {
		return err
	}
	if err := (&flow{w: w}).createStream(s); err != nil {
		return err
	}
	return w.createStreams(s)
}

// retry tries until it succeeds, for a simulated minute.
func retry(f func() error) (err error) {
	for end := time.Now().Add(time.Minute); time.Now().Before(end); time.Sleep(200 * time.Millisecond) {
		if err = f(); err == nil {
			return nil
		}
	}
	return err
}

func contextFor(d time.Duration) (context.Context, context.CancelFunc) {
	return context.WithTimeout(context.Background(), d)
}

// elapsed is the run's time.
func (w *world) elapsed() time.Duration { return time.Since(w.began) }

// nodeFor is the node that a client speaks to: mostly the same one, so that a
// node which is cut off still has clients. nil when no node runs.
func (w *world) nodeFor(client int, rng *rand.Rand) *liveNode {
	if rng.IntN(4) > 0 {
		w.mu.Lock()
		home := w.nodes[client%len(w.nodes)].live
		w.mu.Unlock()
		if home != nil {
			return home
		}
	}
	return w.anyNode(rng)
}

// anyNode is one of the nodes that run, or nil.
func (w *world) anyNode(rng *rand.Rand) *liveNode {
	up := w.up()
	if len(up) == 0 {
		return nil
	}
	return up[rng.IntN(len(up))]
}
