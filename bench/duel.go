package main

import (
	"fmt"
	"path/filepath"
	"slices"

	"weir.dev/weir/bench/internal/load"
	"weir.dev/weir/bench/internal/proc"
)

// Duel compares Weir's puts with those of one other system by turns, a short
// run of the one and then of the other, while both are up: what else happens on
// the machine then meets both alike. The figures are medians of the turns.
type Duel struct {
	Other      string     `json:"other"`
	Nodes      int        `json:"nodes"`
	Throughput float64    `json:"throughput_ratio"` // Weir's to the other's
	Worst      float64    `json:"worst_throughput_ratio"`
	Best       float64    `json:"best_throughput_ratio"`
	PerSecond  [2]float64 `json:"per_second"` // Weir's, the other's; so below
	P99Micros  [2]float64 `json:"p99_us"`
	CPUMicros  [2]float64 `json:"server_cpu_us_per_op"`
}

// duelRounds is odd, so that there is a median.
func (b *bench) duelRounds() int {
	if b.quick {
		return 3
	}
	return 5
}

// side is one of the two.
type side struct {
	procs []*proc.Process
	dial  func(client int) (load.Client, error)
}

const emptyHandler = "empty net/http"

// duels runs the duels that targets are stated for.
func (b *bench) duels() {
	for _, d := range []Duel{{Other: "etcd", Nodes: 3}, {Other: emptyHandler, Nodes: 1}} {
		if !slices.Contains(b.nodes, d.Nodes) || d.Other == "etcd" && !slices.Contains(b.only, "etcd") {
			continue
		}
		if err := b.duel(&d); err != nil {
			b.report.Skipped = append(b.report.Skipped, fmt.Sprintf("weir and %s by turns: %v", d.Other, err))
			b.say("duel: %v", err)
			continue
		}
		b.report.Duels = append(b.report.Duels, d)
	}
}

func (b *bench) duel(d *Duel) error {
	b.say("weir and %s by turns, nodes=%d", d.Other, d.Nodes)
	var sides [2]side
	for i, start := range []func() (*running, error){
		func() (*running, error) { return b.startDuellist(weir(b), d) },
		func() (*running, error) {
			if d.Other == emptyHandler {
				return b.startEmpty("net/http")
			}
			return b.startDuellist(etcd(b), d)
		},
	} {
		r, err := start()
		defer r.stop()
		if err != nil {
			return err
		}
		at := slices.IndexFunc(r.work, func(w workload) bool { return w.name == opPut })
		sides[i] = side{r.procs, r.work[at].dial}
	}
	var rows [2][]Row
	var ratios []float64
	for range b.duelRounds() {
		for i, s := range sides {
			row, err := b.measure(s.procs, targetClients, s.dial)
			if err != nil {
				return err
			}
			if row.Errors > 0 || row.PerSecond == 0 {
				return fmt.Errorf("%d errors: %s", row.Errors, row.FirstError)
			}
			rows[i] = append(rows[i], *row)
		}
		ratios = append(ratios, rows[0][len(ratios)].PerSecond/rows[1][len(ratios)].PerSecond)
	}
	slices.Sort(ratios)
	d.Throughput, d.Worst, d.Best = ratios[len(ratios)/2], ratios[0], ratios[len(ratios)-1]
	for i := range rows {
		d.PerSecond[i] = median(rows[i], func(r *Row) float64 { return r.PerSecond })
		d.P99Micros[i] = median(rows[i], func(r *Row) float64 { return r.P99Micros })
		d.CPUMicros[i] = median(rows[i], func(r *Row) float64 { return r.CPUMicros })
	}
	return nil
}

// startDuellist starts a system and gives it its data. What runs is returned
// even on error.
func (b *bench) startDuellist(s *system, d *Duel) (*running, error) {
	if err := s.install(); err != nil {
		return &running{}, err
	}
	r, err := s.start(filepath.Join(b.dir, fmt.Sprintf("duel-%s-%d", s.name, d.Nodes)), d.Nodes)
	if err == nil {
		err = r.prepare()
	}
	return r, err
}

func median(rows []Row, of func(*Row) float64) float64 {
	var values []float64
	for i := range rows {
		values = append(values, of(&rows[i]))
	}
	slices.Sort(values)
	return values[len(values)/2]
}
