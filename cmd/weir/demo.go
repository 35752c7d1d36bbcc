package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"runtime/debug"
	"sync"
	"syscall"
	"time"

	"weir.dev/weir/internal/demo"
)

var demoVerb = verb{name: "demo", summary: "three nodes, a flash crowd, a killed leader, and the proof that no click was lost or counted twice",
	long: `Starts a cluster of three nodes on this machine, in a temporary directory, and
sends it a day of clicks on "Like" squeezed into half a minute: a quiet night,
spikes, and a flash crowd of 50 times the quiet rate. The clicks go into a queue,
and a pipe applies them to a table at an even rate. In the middle of the flash
crowd the node that leads the queue is killed, and started again later.

It draws what flows in against what flows out, writes the picture to --out, and
counts in the end: every acknowledged click must be in the table exactly once.
Exits with status 1 when one is not.`,
	flags: func(fs *flag.FlagSet) func([]string) error {
		return newDemoFlags(fs).run
	}}

type demoFlags struct {
	seconds, rate        float64
	seed                 uint64
	posts                int
	out                  string
	asJSON, keep, noKill bool
}

func newDemoFlags(fs *flag.FlagSet) *demoFlags {
	f := &demoFlags{}
	fs.Float64Var(&f.seconds, "seconds", 30, "length of the day in `SECONDS`, 5 to 600")
	fs.Uint64Var(&f.seed, "seed", 1, "`NUMBER` from which the day is made; the same gives the same clicks")
	fs.Float64Var(&f.rate, "rate", 400, "set rate of the outflow in `CLICKS` per second; the day has as many clicks as that drains, with some headroom")
	fs.IntVar(&f.posts, "posts", 20, "`NUMBER` of posts to click on, 1 to 100")
	fs.StringVar(&f.out, "out", "weir-demo.svg", "`FILE` for the picture; none when empty")
	fs.BoolVar(&f.asJSON, "json", false, "print one JSON document instead of drawing")
	fs.BoolVar(&f.keep, "keep", false, "keep the nodes' data and logs")
	fs.BoolVar(&f.noKill, "no-kill", false, "do not kill a node")
	return f
}

// check holds the flags to what the demo can do.
func (f *demoFlags) check(args []string) error {
	switch {
	case len(args) > 0:
		return fmt.Errorf("weir demo takes no arguments, only flags: %q", args)
	case !(f.seconds >= 5 && f.seconds <= 600):
		return fmt.Errorf("--seconds is 5 to 600, not %g", f.seconds)
	case !(f.rate >= 20 && f.rate <= 100_000):
		return fmt.Errorf("--rate is 20 to 100000, not %g", f.rate)
	case f.posts < 1 || f.posts > maxDemoPosts:
		return fmt.Errorf("--posts is 1 to %d, not %d", maxDemoPosts, f.posts)
	}
	return nil
}

// maxDemoPosts is the most items that one BatchGetItem reads.
const maxDemoPosts = 100

// demoGrace bounds what the demo may take beside the day and its draining.
const demoGrace = 2 * time.Minute

func (f *demoFlags) run(args []string) (err error) {
	if err := f.check(args); err != nil {
		return err
	}
	day := demo.NewDay(f.seed, time.Duration(f.seconds*float64(time.Second)), f.rate, f.posts)
	bound := 2*day.Length + demoGrace
	signals, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	ctx, cancel := context.WithTimeoutCause(signals, bound, fmt.Errorf("the demo was not over within %v", bound))
	defer cancel()
	d := newDemoRun(ctx, f, day)
	d.signals = signals
	defer func() { err = errors.Join(err, d.close(err)) }() // runs on a panic, too
	return d.play()
}

// demoRun is one demo.
type demoRun struct {
	flags   *demoFlags
	day     *demo.Day
	signals context.Context // ends at Ctrl-C
	ctx     context.Context // ends with the demo's first error, at Ctrl-C, or when it takes too long
	fail    context.CancelCauseFunc
	tasks   sync.WaitGroup
	screen  *demoScreen
	nodes   *demoNodes
	clients *demoClients
	started time.Time // when the day began

	mu      sync.Mutex // guards what follows
	picture demo.Picture
	sent    []demo.Tally    // acknowledged, by post
	acks    []time.Duration // when
	applied []demo.Tally    // as last read, by post
	queued  int             // messages waiting or in flight, as last read
	healed  time.Duration   // when the killed node had caught up
	killed  string          // its name

	differing []string // nodes whose replicas show something else in the end
}

func newDemoRun(ctx context.Context, f *demoFlags, day *demo.Day) *demoRun {
	ctx, fail := context.WithCancelCause(ctx)
	return &demoRun{
		flags: f, day: day, ctx: ctx, fail: fail, screen: newDemoScreen(f.asJSON),
		sent: make([]demo.Tally, day.Posts), applied: make([]demo.Tally, day.Posts),
		picture: demo.Picture{Day: day.Length, Rate: day.Rate, Made: day.Made()},
	}
}

// play is the demo from beginning to end.
func (d *demoRun) play() error {
	began := time.Now()
	for _, step := range []func() error{d.startNodes, d.makeResources, d.runDay, d.compareNodes} {
		err := step()
		if early := d.interrupted(); early != nil {
			return early
		}
		if err != nil {
			return err
		}
	}
	return d.report(time.Since(began))
}

// spawn runs a task beside the others. Its error, or its panic, ends the demo.
func (d *demoRun) spawn(task func() error) {
	d.tasks.Go(func() {
		defer func() {
			if p := recover(); p != nil {
				d.fail(fmt.Errorf("panic: %v\n%s", p, debug.Stack()))
			}
		}()
		if err := task(); err != nil && d.ctx.Err() == nil {
			d.fail(err)
		}
	})
}

// runDay lets the clicks flow in and out, and a leader die.
func (d *demoRun) runDay() error {
	d.started = time.Now()
	over := make(chan struct{}) // closed when nothing is left to measure
	d.spawn(func() error { return d.measure(over, d.readApplied) })
	d.spawn(func() error { return d.measure(over, d.readQueued) })
	d.spawn(func() error { return d.measure(over, d.show) })
	var work sync.WaitGroup
	for _, task := range []func() error{d.sendAll, d.killLeader} {
		work.Add(1)
		d.spawn(func() error { defer work.Done(); return task() })
	}
	work.Wait()
	err := d.drain()
	close(over)
	d.tasks.Wait()
	d.screen.endDrawing()
	return err
}

// interrupted is why the demo ended early, if it did.
func (d *demoRun) interrupted() error {
	if d.signals.Err() != nil {
		return errDemoInterrupted
	}
	return context.Cause(d.ctx)
}

// errDemoInterrupted is said after Ctrl-C.
var errDemoInterrupted = errors.New("interrupted before the proof")

// now is the time since the day began.
func (d *demoRun) now() time.Duration { return time.Since(d.started) }

// wait sleeps, and returns false when the demo ended meanwhile.
func (d *demoRun) wait(t time.Duration) bool {
	timer := time.NewTimer(t)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-d.ctx.Done():
		return false
	}
}

const (
	// drainMargin is how much longer than computed the backlog may take.
	drainMargin = 20 * time.Second
	// afterwards is how long the demo goes on counting when all is applied: a
	// click that counts twice would show up now.
	afterwards = 2 * time.Second
)

// drain waits until all that was acknowledged is applied. When that does not
// come to pass in time it returns all the same; the proof will say so.
func (d *demoRun) drain() error {
	d.mu.Lock()
	left := float64(demo.Sum(d.sent).Clicks - demo.Sum(d.applied).Clicks)
	d.mu.Unlock()
	deadline := time.Now().Add(time.Duration(left/d.day.Rate*1.5*float64(time.Second)) + drainMargin)
	for time.Now().Before(deadline) && !d.drained() {
		if !d.wait(demoTick) {
			return d.interrupted()
		}
	}
	if !d.wait(afterwards) {
		return d.interrupted()
	}
	return d.readApplied(d.ctx)
}

func (d *demoRun) drained() bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.queued == 0 && demo.Sum(d.applied).Clicks >= demo.Sum(d.sent).Clicks
}

// close ends the nodes and removes their data. cause is why the demo failed,
// if it did.
func (d *demoRun) close(cause error) error {
	d.fail(context.Canceled)
	d.tasks.Wait()
	d.screen.endDrawing()
	if d.nodes == nil {
		return nil
	}
	return d.nodes.close(cause, d.flags.keep || errors.Is(cause, errDemoSums))
}
