package main

import (
	"encoding/json"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"weir.dev/weir/bench/internal/load"
	"weir.dev/weir/bench/internal/proc"
)

// Replicated is one row about copies of data.
type Replicated struct {
	What    string `json:"what"`
	Figures string `json:"figures"`
}

func (b *bench) told(what, format string, args ...any) {
	row := Replicated{what, fmt.Sprintf(format, args...)}
	b.report.Replication = append(b.report.Replication, row)
	b.say("%s: %s", row.What, row.Figures)
}

func (r *Report) replication(w *strings.Builder) {
	if len(r.Replication) == 0 {
		return
	}
	fmt.Fprint(w, "\n## Replication\n\n| what | measured |\n| --- | --- |\n")
	for _, x := range r.Replication {
		fmt.Fprintf(w, "| %s | %s |\n", x.What, x.Figures)
	}
	for _, story := range r.Stories {
		fmt.Fprintf(w, "\n```\n%s\n```\n", strings.TrimSpace(story))
	}
}

// replication measures the rows that were asked for; what fails is noted and the
// rest goes on.
func (b *bench) replication() {
	for _, row := range []struct {
		name string
		run  func() error
	}{{"failover", b.failovers}, {"soak", b.soak}, {"reads", b.replicaReads}, {"lag", b.regionLag}, {"catchup", b.catchUp}, {"grow", b.grow}} {
		if !slices.Contains(b.rows, row.name) {
			continue
		}
		if err := row.run(); err != nil {
			b.report.Skipped = append(b.report.Skipped, fmt.Sprintf("replication, %s: %v", row.name, err))
			b.say("%s: %v", row.name, err)
		}
	}
}

// victim is a cluster of three whose leader is killed.
type victim struct {
	name   string
	procs  []*proc.Process
	leader func() (int, error)                                    // which of procs
	put    func(key uint64) func(client int) (load.Client, error) // clients are addresses
	whole  func() bool                                            // all three are up and have caught up
	pace   time.Duration                                          // between two writes of a key
}

// probes is how many keys are written all the time: enough to meet every tablet.
const probes = 24

// betweenKills is how long a whole cluster is left alone before the next kill.
const betweenKills = time.Second

// failovers kills leaders of Weir and of etcd by turns, and measures how long
// the slowest of the keys is not written.
func (b *bench) failovers() error { return b.killLeaders(b.weirVictim, b.etcdVictim) }

func (b *bench) killLeaders(starts ...func() (*victim, error)) error {
	var victims []*victim
	for _, start := range starts {
		v, err := start()
		if v != nil {
			defer func() { stopAllOf(v.procs) }()
		}
		if err != nil {
			return err
		}
		victims = append(victims, v)
	}
	pauses := make([][]time.Duration, len(victims))
	for range b.kills {
		for i, v := range victims {
			err := v.procs[0].WaitFor("three nodes", weirWait, v.whole)
			var pause time.Duration
			if err == nil {
				pause, _, err = v.kill()
			}
			if err != nil {
				return fmt.Errorf("%s: %w", v.name, err)
			}
			b.say("%s: %v", v.name, pause.Round(time.Millisecond))
			pauses[i] = append(pauses[i], pause)
		}
	}
	for i, v := range victims {
		b.told("kill -9 of the leader of three nodes, "+v.name, "%d kills; the first write of the slowest of %d keys after p50 %s, p90 %s, p99 %s, p99.9 %s, at most %s",
			b.kills, probes, at(pauses[i], 0.5), at(pauses[i], 0.9), at(pauses[i], 0.99), at(pauses[i], 0.999), at(pauses[i], 1))
	}
	return nil
}

func at(of []time.Duration, q float64) time.Duration {
	sorted := slices.Sorted(slices.Values(of))
	return sorted[int(q*float64(len(sorted)-1)+0.5)].Round(time.Millisecond)
}

// kill kills the leader of a whole cluster under load and starts it again. It
// returns the time from the kill to the first success of the slowest key that was
// begun after it, at least probePatience when there was none, and who was killed,
// -1 for nobody.
func (v *victim) kill() (pause time.Duration, leader int, err error) {
	time.Sleep(betweenKills)
	if leader, err = v.leader(); err != nil {
		return 0, -1, err
	}
	var killed time.Time
	begin, first := make(chan struct{}), make([]time.Time, probes)
	var running sync.WaitGroup
	for k := range probes {
		running.Go(func() { first[k] = v.probe(uint64(k+1), begin) })
	}
	time.Sleep(300 * time.Millisecond) // all write
	killed = time.Now()
	v.procs[leader].Kill()
	close(begin)
	running.Wait()
	for _, f := range first {
		if f.IsZero() {
			f, err = killed.Add(probePatience), fmt.Errorf("no write in %v", probePatience)
		}
		pause = max(pause, f.Sub(killed))
	}
	if err != nil {
		return pause, leader, err
	}
	again, err := v.procs[leader].Again()
	if err == nil {
		v.procs[leader] = again
	}
	return pause, leader, err
}

// probePatience bounds a probe.
const probePatience = 20 * time.Second

// probe writes one key over and over, at one address after the other as they
// fail, and returns when a write was done that began after begin was closed.
func (v *victim) probe(key uint64, begin <-chan struct{}) time.Time {
	end := time.Now().Add(probePatience)
	for addr := int(key); time.Now().Before(end); addr++ {
		c, err := v.put(key)(addr)
		if err != nil {
			time.Sleep(10 * time.Millisecond)
			continue
		}
		for err == nil && time.Now().Before(end) {
			after := false
			select {
			case <-begin:
				after = true
			default:
			}
			if _, err = c.Do(); err == nil && after {
				_ = c.Close() // it has done what it was for
				return time.Now()
			}
			time.Sleep(v.pace)
		}
		_ = c.Close() // it has failed
	}
	return time.Time{}
}

func (b *bench) weirVictim() (*victim, error) {
	if err := weir(b).install(); err != nil {
		return nil, err
	}
	return b.weirVictimAt(filepath.Join(b.dir, "failover-weir"), "warn")
}

// mostLeading is which node leads most tablets.
func mostLeading(binary string, nodes []*weirNode) (int, error) {
	out, err := ask(binary, nodes[0], "status", "--json")
	if err != nil {
		return 0, err
	}
	var s struct {
		Nodes []struct {
			Address string
			Leads   int
		}
	}
	if err := json.Unmarshal(out, &s); err != nil {
		return 0, err
	}
	best, most := -1, 0
	for _, n := range s.Nodes {
		at := slices.IndexFunc(nodes, func(w *weirNode) bool { return w.peer == n.Address })
		if at >= 0 && n.Leads > most {
			best, most = at, n.Leads
		}
	}
	if best < 0 {
		return 0, fmt.Errorf("no node leads: %s", out)
	}
	return best, nil
}

func (b *bench) etcdVictim() (*victim, error) {
	s := etcd(b)
	if err := s.install(); err != nil {
		return nil, err
	}
	r, err := s.start(filepath.Join(b.dir, "failover-etcd"), 3)
	v := &victim{name: "etcd", procs: r.procs}
	if err != nil {
		return v, err
	}
	e := &load.Etcd{Addrs: r.addrs}
	v.put = e.PutOne
	v.leader = func() (int, error) {
		if at := e.Leader(); at >= 0 {
			return at, nil
		}
		return 0, fmt.Errorf("no member leads")
	}
	v.whole = func() bool {
		for _, addr := range e.Addrs {
			c, err := (&load.Etcd{Addrs: []string{addr}}).PutOne(1)(0)
			if err != nil {
				return false
			}
			_, err = c.Do()
			_ = c.Close() // it was only asked
			if err != nil {
				return false
			}
		}
		return e.Leader() >= 0
	}
	return v, nil
}

// replicaReads measures eventual reads spread over three nodes beside strong
// ones that all go to one of them.
func (b *bench) replicaReads() error {
	s := weir(b)
	if err := s.install(); err != nil {
		return err
	}
	r, err := s.start(filepath.Join(b.dir, "reads"), 3)
	defer r.stop()
	if err != nil {
		return err
	}
	if err := r.prepare(); err != nil {
		return err
	}
	all := load.AWS{Addrs: r.addrs, Credentials: credentials, Invocation: true}
	one := all
	one.Addrs = r.addrs[:1]
	turns := [3][]Row{}
	for range 5 {
		for i, dial := range []func(int) (load.Client, error){one.Get("bench", true), all.Get("bench", true), all.Get("bench", false)} {
			row, err := b.measure(r.procs, targetClients, dial)
			if err != nil {
				return err
			}
			turns[i] = append(turns[i], *row)
		}
	}
	rate := func(i int) float64 { return median(turns[i], func(r *Row) float64 { return r.PerSecond }) }
	used := func(i int) float64 { return median(turns[i], func(r *Row) float64 { return r.CPUMicros }) }
	for i, what := range []string{"strong reads through one of three nodes", "strong reads through all three", "eventual reads spread over all three"} {
		b.told(what, "%.0f/s, server CPU %.0f us a read, all nodes on this machine (%.2fx the rate and %.2fx the CPU of the first row; five turns each)", rate(i), used(i), rate(i)/rate(0), used(i)/used(0))
	}
	return nil
}
