package main

import (
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"weir.dev/weir/bench/internal/load"
)

// Turns is one row of a contest: the medians of a system's turns at one
// operation, while the others are up too and have theirs in between.
type Turns struct {
	Row
	// Ratio is the median of Weir's throughput to this one's, turn by turn; of
	// Weir it is 1; zero is no ratio. Worst and Best are the smallest and the
	// largest.
	Ratio float64 `json:"weir_ratio"`
	Worst float64 `json:"worst_weir_ratio"`
	Best  float64 `json:"best_weir_ratio"`
	// Backlog is how many messages lay in the queue.
	Backlog int64 `json:"backlog,omitempty"`
	// What subscribers received, of all together, and how old it was.
	Received       float64 `json:"received_per_second,omitempty"`
	PushP50Micros  float64 `json:"push_p50_us,omitempty"`
	PushP99Micros  float64 `json:"push_p99_us,omitempty"`
	PushP999Micros float64 `json:"push_p999_us,omitempty"`
}

// contestant is a system that runs beside others.
type contestant struct {
	name string
	*running
	fill  func(q *load.Quota) error                // makes a backlog; nil when it has none
	tails map[string]func() ([]load.Reader, error) // subscribers by operation
	out   bool                                     // it failed and is measured no more
}

func (c *contestant) dial(operation string) func(int) (load.Client, error) {
	at := slices.IndexFunc(c.work, func(w workload) bool { return w.name == operation })
	if at < 0 || c.out {
		return nil
	}
	return c.work[at].dial
}

// startContestants starts those of the systems that have this size, Weir
// first. What runs is returned even on error.
func (b *bench) startContestants(what string, nodes int, systems []*system, ready func(*contestant, int) error) (all []*contestant, err error) {
	for _, s := range systems {
		if !slices.Contains(s.nodes, nodes) || s.name != "weir" && !slices.Contains(b.peers, s.name) {
			continue
		}
		b.say("%s: starting %d of %s", what, nodes, s.name)
		c := &contestant{name: s.name, running: &running{}, tails: map[string]func() ([]load.Reader, error){}}
		err := s.install()
		if err == nil {
			c.running, err = s.start(filepath.Join(b.dir, fmt.Sprintf("%s-%s-%d", what, s.name, nodes)), nodes)
		}
		if err == nil {
			err = ready(c, nodes)
		}
		all = append(all, c)
		if err != nil && s.name == "weir" {
			return all, err
		}
		if err != nil {
			c.out = true
			b.skip("%s, %s, nodes=%d: %v", what, s.name, nodes, err)
			continue
		}
		if line := s.name + ": " + s.settings; !slices.Contains(b.report.Settings, line) {
			b.report.Settings = append(b.report.Settings, line)
		}
	}
	return all, nil
}

func (b *bench) skip(format string, args ...any) {
	text := fmt.Sprintf(format, args...)
	b.report.Skipped = append(b.report.Skipped, text)
	b.say("skipped: %s", text)
}

// byTurns measures all contestants at an operation, several times in turn.
// backlog is only noted.
func (b *bench) byTurns(all []*contestant, nodes int, operation string, clients int, backlog int64) (list []Turns) {
	if !b.wanted(operation) {
		return nil
	}
	runs := make([][]Turns, len(all))
	for range b.turns {
		for i, c := range all {
			dial := c.dial(operation)
			if dial == nil {
				continue
			}
			t, err := b.turn(c, operation, clients, dial)
			if err != nil {
				c.out = true
				b.skip("%s, %s, nodes=%d: %v", operation, c.name, nodes, err)
				continue
			}
			t.System, t.Nodes, t.Operation, t.Backlog = c.name, nodes, operation, backlog
			b.say("%s %s", &t.Row, t.received())
			runs[i] = append(runs[i], *t)
		}
	}
	for i, c := range all {
		if len(runs[i]) > 0 && !c.out {
			first := runs[0] // Weir's
			if all[0].out {
				first = nil
			}
			list = append(list, medians(runs[i], first))
		}
	}
	return list
}

func (b *bench) turn(c *contestant, operation string, clients int, dial func(int) (load.Client, error)) (*Turns, error) {
	var tails *load.Tails
	if subscribe := c.tails[operation]; subscribe != nil {
		readers, err := subscribe()
		if err != nil {
			return nil, err
		}
		tails = load.Tail(readers)
	}
	row, err := b.measureTailed(c.procs, clients, dial, tails)
	t := &Turns{}
	if tails != nil {
		seen, tailErr := tails.Close()
		if err == nil {
			err = tailErr
		}
		us := func(q float64) float64 { return float64(seen.Latency.Quantile(q)) / 1e3 }
		t.Received, t.PushP50Micros, t.PushP99Micros, t.PushP999Micros = seen.PerSecond, us(0.5), us(0.99), us(0.999)
	}
	if err == nil && row.PerSecond == 0 {
		err = fmt.Errorf("nothing was done in %v; %d errors: %s", b.measureTime, row.Errors, row.FirstError)
	}
	if err != nil {
		return nil, err
	}
	t.Row = *row
	time.Sleep(100 * time.Millisecond) // what it left to do shall not meet the next one
	return t, nil
}

// medians joins the turns of one system; first are Weir's.
func medians(mine, first []Turns) Turns {
	of := func(f func(*Turns) *float64) float64 {
		var values []float64
		for i := range mine {
			values = append(values, *f(&mine[i]))
		}
		slices.Sort(values)
		return values[len(values)/2]
	}
	out := mine[0]
	for _, f := range []func(*Turns) *float64{
		func(t *Turns) *float64 { return &t.PerSecond }, func(t *Turns) *float64 { return &t.P50Micros },
		func(t *Turns) *float64 { return &t.P99Micros }, func(t *Turns) *float64 { return &t.P999Micros },
		func(t *Turns) *float64 { return &t.CPUMicros }, func(t *Turns) *float64 { return &t.RSSMiB },
		func(t *Turns) *float64 { return &t.Received }, func(t *Turns) *float64 { return &t.PushP50Micros },
		func(t *Turns) *float64 { return &t.PushP99Micros }, func(t *Turns) *float64 { return &t.PushP999Micros },
	} {
		*f(&out) = of(f)
	}
	var ratios []float64
	for i := range min(len(mine), len(first)) {
		ratios = append(ratios, first[i].PerSecond/mine[i].PerSecond)
	}
	for _, t := range mine[1:] {
		if out.Errors += t.Errors; out.FirstError == "" {
			out.FirstError = t.FirstError
		}
	}
	if len(ratios) > 0 {
		slices.Sort(ratios)
		out.Ratio, out.Worst, out.Best = ratios[len(ratios)/2], ratios[0], ratios[len(ratios)-1]
	}
	return out
}

func (t *Turns) received() string {
	if t.Received == 0 {
		return ""
	}
	return fmt.Sprintf(" received %.0f/s p50 %s p99 %s", t.Received, micros(t.PushP50Micros), micros(t.PushP99Micros))
}

// find finds a contestant that is still in.
func find(all []*contestant, name string) *contestant {
	for _, c := range all {
		if c.name == name && !c.out {
			return c
		}
	}
	return nil
}

func stopAll(all []*contestant) {
	for _, c := range all {
		c.stop()
	}
}

// beside finds the row of a system in a contest.
func beside(list []Turns, system string, nodes int, operation string) *Turns {
	for i := range list {
		if t := &list[i]; t.System == system && t.Nodes == nodes && t.Operation == operation {
			return t
		}
	}
	return nil
}

// writeTurns writes a table of a contest. With received there are columns of
// what subscribers saw.
func writeTurns(w *strings.Builder, list []Turns, received bool) {
	head := []string{"operation", "nodes", "system", "per s", "Weir's throughput to it", "p50", "p99", "server CPU each", "RSS", "errors"}
	if received {
		head = append(head, "received per s", "age p50", "age p99")
	}
	fmt.Fprintf(w, "| %s |\n|%s\n", strings.Join(head, " | "), strings.Repeat(" --- |", len(head)))
	for i := range list {
		t := &list[i]
		ratio := "1"
		if t.Ratio == 0 {
			ratio = "-"
		} else if t.System != "weir" {
			ratio = fmt.Sprintf("%.2fx (%.2f to %.2f)", t.Ratio, t.Worst, t.Best)
		}
		fmt.Fprintf(w, "| %s | %d | %s | %.0f | %s | %s | %s | %.1f us | %.0f MiB | %d |", t.Operation, t.Nodes, t.System, t.PerSecond, ratio,
			micros(t.P50Micros), micros(t.P99Micros), t.CPUMicros, t.RSSMiB, t.Errors)
		if received && t.Received > 0 {
			fmt.Fprintf(w, " %.0f | %s | %s |", t.Received, micros(t.PushP50Micros), micros(t.PushP99Micros))
		} else if received {
			fmt.Fprint(w, " | | |")
		}
		fmt.Fprintln(w)
	}
}
