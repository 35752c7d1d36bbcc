package main

import (
	"fmt"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"time"

	"weir.dev/weir/bench/internal/load"
	"weir.dev/weir/bench/internal/proc"
)

const (
	// growBytes lie in the table, so that moving it is work.
	growBytes = 96 << 20
	// growWait bounds each change of the members.
	growWait = 3 * time.Minute
	// growLook is between two looks at the cluster: a look costs processor time.
	growLook = 300 * time.Millisecond
	// growStill is how long nothing must have moved for a cluster to be balanced.
	growStill = 3 * time.Second
	// growLag is how many entries replicas may be behind while clients write.
	growLag = 5000
	// growReplaceAfter is how long a node is dead before it is replaced.
	growReplaceAfter = "10s"
	// growTransfers is how many leaders are moved, growApart how far apart.
	growTransfers = 12
	growApart     = time.Second
)

// growing is a cluster whose members change under a steady load.
type growing struct {
	*bench
	dir   string
	nodes []*weirNode // members, in the order in which they came
	made  int         // nodes so far
	load  *steady
	procs []*proc.Process // all that were started
}

// grow changes the members of a cluster under a steady load of half of what it
// can do, and measures what clients see of each change.
func (b *bench) grow() error {
	if err := weir(b).install(); err != nil {
		return err
	}
	g := &growing{bench: b, dir: filepath.Join(b.dir, "grow")}
	defer func() { stopAllOf(g.procs) }()
	if err := g.begin(); err != nil {
		return err
	}
	defer func() {
		if g.load != nil {
			g.load.end()
		}
	}()
	for _, step := range []struct {
		what string
		do   func() (note string, err error)
	}{
		{"three nodes at rest", g.rest},
		{"a fourth node joins, until it has its share and nothing moves", g.join},
		{"four nodes at rest", g.rest},
		{"a leader is moved, twelve times", g.transfers},
		{"a node is drained and removed", g.remove},
		{"three nodes at rest again", g.rest},
		{"another node joins", g.join},
		{"kill -9 of a node, which is replaced after " + growReplaceAfter, g.replace},
		{"three nodes at rest, in the end", g.rest},
	} {
		g.load.cut("")
		note, err := step.do()
		w := g.load.cut(step.what)
		w.Note = note
		b.report.Grow = append(b.report.Grow, w)
		b.say("%s", &w)
		if err != nil {
			return fmt.Errorf("%s: %w", step.what, err)
		}
	}
	return nil
}

// begin starts three nodes with data and the load.
func (g *growing) begin() (err error) {
	g.procs, g.nodes, err = startWeirAt(g.weirBinary, g.dir, "info", 3, "", "")
	if err != nil {
		return err
	}
	g.made = len(g.nodes)
	aws := load.AWS{Credentials: credentials, Invocation: true}
	for _, n := range g.nodes {
		aws.Addrs = append(aws.Addrs, n.aws)
	}
	if err := aws.CreateTable("bench"); err != nil {
		return err
	}
	if err := load.Fill(8, aws.Fill("bench")); err != nil {
		return err
	}
	if err := bulk(&aws, "grow", growBytes); err != nil {
		return err
	}
	rate := g.growRate
	if rate == 0 {
		if rate, err = g.halfOfPeak(&aws); err != nil {
			return err
		}
	}
	g.told("members change under load", "%.0f operations a second, half of the random ones puts; %d MiB in the table; load average %s", rate, growBytes>>20, loadAverage())
	g.load = startSteady(aws, rate)
	time.Sleep(g.warmUp)
	return nil
}

// halfOfPeak is half of the rate that 64 clients reach, who put and get.
func (g *growing) halfOfPeak(aws *load.AWS) (float64, error) {
	put, get := aws.Put("bench"), aws.Get("bench", true)
	peak, err := g.measure(g.procs, targetClients, func(client int) (load.Client, error) {
		if client/len(aws.Addrs)%2 == 0 {
			return put(client)
		}
		return get(client)
	})
	if err != nil {
		return 0, err
	}
	g.told("puts and gets with 64 clients on three nodes", "%.0f/s, p50 %s, p99 %s", peak.PerSecond, micros(peak.P50Micros), micros(peak.P99Micros))
	return peak.PerSecond / 2, nil
}

func (w *Window) String() string {
	text := fmt.Sprintf("%-62s %5.1f s  %6.0f/s  p50 %s  p99 %s  longest gap %.0f ms  %d errors  load %.1f", w.What, w.Seconds, w.PerSecond, micros(w.P50Micros), micros(w.P99Micros), w.GapMillis, w.Errors, w.Load)
	if w.Note != "" {
		text += "  " + w.Note
	}
	return text
}

func (r *Report) grow(w *strings.Builder) {
	if len(r.Grow) == 0 {
		return
	}
	fmt.Fprintf(w, "\n### Members change\n\nOn %d processors for all nodes and clients.\n\n| what happens | s | per s | p50 | p99 | longest time without an answered write of one key | tries that failed | load average | |\n| --- | --- | --- | --- | --- | --- | --- | --- | --- |\n", runtime.NumCPU())
	for i := range r.Grow {
		x := &r.Grow[i]
		fmt.Fprintf(w, "| %s | %.1f | %.0f | %s | %s | %.0f ms | %d | %.1f | %s |\n", x.What, x.Seconds, x.PerSecond, micros(x.P50Micros), micros(x.P99Micros), x.GapMillis, x.Errors, x.Load, x.Note)
	}
}

// rest leaves the cluster alone for as long as three measurements.
func (g *growing) rest() (string, error) {
	time.Sleep(3 * g.measureTime)
	return "", nil
}

// join adds a node and waits until everything has found its place.
func (g *growing) join() (string, error) {
	n, err := startWeirNode(g.weirBinary, g.dir, "info", g.made, g.nodes, "", "")
	g.made++
	if n != nil && n.Process != nil {
		g.procs = append(g.procs, n.Process)
		g.nodes = append(g.nodes, n)
	}
	if err != nil {
		return "", err
	}
	return g.balanced(func(s *memberStatus) bool {
		at := slices.IndexFunc(s.Nodes, func(m memberNode) bool { return m.Address == n.peer })
		return at >= 0 && s.Nodes[at].Leads > 0 && s.Nodes[at].Holds*len(s.Nodes) >= (len(s.Tablets)-2)*3
	})
}

// remove drains the newest node and ends its membership.
func (g *growing) remove() (string, error) {
	n := g.nodes[len(g.nodes)-1]
	id, err := g.idOf(n)
	if err != nil {
		return "", err
	}
	began := time.Now()
	if _, err := ask(g.weirBinary, g.nodes[0], "node", "remove", "--wait", id); err != nil {
		return "", err
	}
	g.nodes = g.nodes[:len(g.nodes)-1]
	took := time.Since(began)
	_, err = g.balanced(func(*memberStatus) bool { return true })
	return fmt.Sprintf("removed after %v", took.Round(100*time.Millisecond)), err
}

// replace kills the second node and waits until others have made its replicas
// anew.
func (g *growing) replace() (string, error) {
	if _, err := ask(g.weirBinary, g.nodes[0], "node", "replace-after", growReplaceAfter); err != nil {
		return "", err
	}
	dead := g.nodes[1]
	g.nodes = slices.Delete(slices.Clone(g.nodes), 1, 2)
	dead.Kill()
	return g.balanced(func(s *memberStatus) bool {
		return !slices.ContainsFunc(s.Nodes, func(m memberNode) bool { return m.Address == dead.peer && m.Holds+m.Leads > 0 })
	})
}

// transfers moves leaders, one after the other, and tells the longest gap of each.
func (g *growing) transfers() (string, error) {
	var gaps []time.Duration
	for i := range growTransfers {
		s, err := g.status()
		if err != nil {
			return "", err
		}
		t := s.Tablets[i%len(s.Tablets)]
		to := slices.IndexFunc(t.Replicas, func(r memberReplica) bool { return r.Voter && r.Node != t.Leader })
		if to < 0 {
			return "", fmt.Errorf("tablet %d has no other voter", t.ID)
		}
		g.load.takeGap()
		if _, err := ask(g.weirBinary, g.nodes[0], "tablet", "transfer", fmt.Sprint("t", t.ID), t.Replicas[to].Node); err != nil {
			return "", err
		}
		time.Sleep(growApart)
		gaps = append(gaps, g.load.takeGap())
	}
	for i := range growTransfers { // the balance decides again
		s, err := g.status()
		if err != nil {
			return "", err
		}
		if i < len(s.Tablets) {
			if _, err := ask(g.weirBinary, g.nodes[0], "tablet", "transfer", fmt.Sprint("t", s.Tablets[i].ID), "auto"); err != nil {
				return "", err
			}
		}
	}
	return fmt.Sprintf("longest gap of a key during each of the moves: p50 %v, at most %v, of which up to %v is the time between two writes", at(gaps, 0.5), at(gaps, 1), probeEvery), nil
}
