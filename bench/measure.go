package main

import (
	"fmt"
	"path/filepath"
	"slices"
	"time"

	"weir.dev/weir/bench/internal/load"
	"weir.dev/weir/bench/internal/proc"
)

// The operations, by the names that the tables have.
const (
	opPut         = "put"
	opGet         = "get, strong"
	opGetEventual = "get, eventual"
	opQueue       = "queue, batch 1"
	opQueueBatch  = "queue, batch 10"
)

// system is something that can be measured.
type system struct {
	name     string
	nodes    []int // sizes of cluster that it is measured with
	settings string
	install  func() error
	// start returns what runs even when it fails, so that it can be ended.
	start func(dir string, nodes int) (*running, error)
}

// running is a started system.
type running struct {
	procs   []*proc.Process
	addrs   []string     // that clients connect to
	prepare func() error // makes data and fills workloads
	work    []workload
}

type workload struct {
	name string
	dial func(client int) (load.Client, error)
}

func (r *running) add(name string, dial func(client int) (load.Client, error)) {
	r.work = append(r.work, workload{name, dial})
}

func (r *running) stop() {
	for _, p := range r.procs {
		p.Stop()
	}
}

// Row is one measurement.
type Row struct {
	System     string  `json:"system"`
	Nodes      int     `json:"nodes"`
	Operation  string  `json:"operation"`
	Clients    int     `json:"clients"`
	PerSecond  float64 `json:"per_second"`
	P50Micros  float64 `json:"p50_us"`
	P99Micros  float64 `json:"p99_us"`
	P999Micros float64 `json:"p999_us"`
	CPUMicros  float64 `json:"server_cpu_us_per_op"`
	Written    float64 `json:"written_bytes_per_op"` // to files, by all servers
	RSSMiB     float64 `json:"rss_mib_of_largest_node"`
	Errors     uint64  `json:"errors"`
	FirstError string  `json:"first_error,omitempty"`
}

// Idle is a system that has just started and stores nothing.
type Idle struct {
	System string  `json:"system"`
	Nodes  int     `json:"nodes"`
	RSSMiB float64 `json:"rss_mib_of_largest_node"`
	// CPUPercent is of one core, all nodes together, with no requests.
	CPUPercent float64 `json:"cpu_percent"`
}

// idleTime is how long a new cluster is left alone before it is looked at.
const idleTime = 2 * time.Second

// measureSystem measures one system in all sizes; what fails is noted in the
// report and the rest goes on.
func (b *bench) measureSystem(s *system) {
	b.say("%s: installing", s.name)
	if err := s.install(); err != nil {
		b.report.Skipped = append(b.report.Skipped, fmt.Sprintf("%s: %v", s.name, err))
		b.say("%s: skipped: %v", s.name, err)
		return
	}
	b.report.Settings = append(b.report.Settings, s.name+": "+s.settings)
	for _, nodes := range s.nodes {
		if !slices.Contains(b.nodes, nodes) {
			continue
		}
		if err := b.measureCluster(s, nodes); err != nil {
			b.report.Skipped = append(b.report.Skipped, fmt.Sprintf("%s, nodes=%d: %v", s.name, nodes, err))
			b.say("%s: %v", s.name, err)
		}
	}
}

func (b *bench) measureCluster(s *system, nodes int) error {
	b.say("%s: starting %d", s.name, nodes)
	r, err := s.start(filepath.Join(b.dir, fmt.Sprintf("%s-%d", s.name, nodes)), nodes)
	defer r.stop()
	if err != nil {
		return err
	}
	if err := b.measureIdle(s, r, nodes); err != nil {
		return err
	}
	if err := r.prepare(); err != nil {
		return err
	}
	for _, w := range r.work {
		if !b.wanted(w.name) {
			continue
		}
		for _, clients := range b.clients {
			row, err := b.measure(r.procs, clients, w.dial)
			if err != nil {
				return err
			}
			row.System, row.Nodes, row.Operation = s.name, nodes, w.name
			b.report.Rows = append(b.report.Rows, *row)
			b.say("%s", row)
		}
	}
	return nil
}

func (b *bench) measureIdle(s *system, r *running, nodes int) error {
	before, err := cpu(r.procs)
	if err != nil {
		return err
	}
	time.Sleep(idleTime)
	after, err := cpu(r.procs)
	if err != nil {
		return err
	}
	rss, err := largestRSS(r.procs)
	b.report.Idle = append(b.report.Idle, Idle{s.name, nodes, rss, 100 * (after - before).Seconds() / idleTime.Seconds()})
	return err
}

// measure runs one workload and reads what it cost the servers.
func (b *bench) measure(procs []*proc.Process, clients int, dial func(int) (load.Client, error)) (*Row, error) {
	return b.measureTailed(procs, clients, dial, nil)
}

// measureTailed is measure with subscribers, who count meanwhile.
func (b *bench) measureTailed(procs []*proc.Process, clients int, dial func(int) (load.Client, error), tails *load.Tails) (*Row, error) {
	var used []time.Duration
	var bytes []int64
	var edgeErr error
	res, err := load.Run(load.Options{Clients: clients, WarmUp: b.warmUp, Measure: b.measureTime, Edge: func() {
		switch {
		case tails == nil:
		case len(used) == 0:
			tails.Begin()
		default:
			tails.End()
		}
		c, err := cpu(procs)
		if err != nil {
			edgeErr = err
		}
		used = append(used, c)
		n, err := written(procs)
		if err != nil {
			edgeErr = err
		}
		bytes = append(bytes, n)
	}}, dial)
	if err == nil {
		err = edgeErr
	}
	if err != nil {
		return nil, err
	}
	rss, err := largestRSS(procs)
	if err != nil {
		return nil, err
	}
	us := func(q float64) float64 { return float64(res.Latency.Quantile(q)) / 1e3 }
	return &Row{
		Clients: clients, PerSecond: res.PerSecond(), P50Micros: us(0.5), P99Micros: us(0.99), P999Micros: us(0.999),
		CPUMicros: (used[1] - used[0]).Seconds() * 1e6 / float64(max(res.Ops, 1)), RSSMiB: rss,
		Written: float64(bytes[1]-bytes[0]) / float64(max(res.Ops, 1)),
		Errors:  res.Errors, FirstError: res.FirstError,
	}, nil
}

func cpu(procs []*proc.Process) (sum time.Duration, err error) {
	for _, p := range procs {
		c, err := p.CPU()
		if err != nil {
			return 0, fmt.Errorf("%s is gone: %w\n%s", p.Name, err, p.Tail())
		}
		sum += c
	}
	return sum, nil
}

func written(procs []*proc.Process) (sum int64, err error) {
	for _, p := range procs {
		n, err := p.Written()
		if err != nil {
			return 0, fmt.Errorf("cannot see what %s writes: %w", p.Name, err)
		}
		sum += n
	}
	return sum, nil
}

func largestRSS(procs []*proc.Process) (mib float64, err error) {
	for _, p := range procs {
		rss, err := p.RSS()
		if err != nil {
			return 0, fmt.Errorf("%s is gone: %w\n%s", p.Name, err, p.Tail())
		}
		mib = max(mib, float64(rss)/(1<<20))
	}
	return mib, nil
}

func (r *Row) String() string {
	text := fmt.Sprintf("%-18s nodes=%d %-16s clients=%-4d %8.0f/s  p50 %6.0f us  p99 %6.0f us  p99.9 %6.0f us  cpu %5.0f us/op  rss %4.0f MiB",
		r.System, r.Nodes, r.Operation, r.Clients, r.PerSecond, r.P50Micros, r.P99Micros, r.P999Micros, r.CPUMicros, r.RSSMiB)
	if r.Errors > 0 {
		text += fmt.Sprintf("  ERRORS %d: %s", r.Errors, r.FirstError)
	}
	return text
}
