package main

import (
	"fmt"
	"path/filepath"
	"slices"

	"weir.dev/weir/bench/internal/load"
)

// compare measures Weir and other binaries by turns, all up at once, and prints
// medians, and of the ratios the least and greatest: what else happens on the machine meets all of them. It is for
// finding out what a change is worth; nothing is stored.
func (b *bench) compare() error {
	mine := weir(b)
	if err := mine.install(); err != nil {
		return err
	}
	binaries := append([]string{b.weirBinary}, b.against...)
	for _, nodes := range b.nodes {
		compare := b.compareClusters
		if b.appendRate > 0 {
			compare = b.compareStreams
		}
		if err := compare(binaries, nodes); err != nil {
			return err
		}
	}
	return nil
}

func (b *bench) compareClusters(binaries []string, nodes int) error {
	var sides []*running
	for i, binary := range binaries {
		r, err := startWeir(binary, filepath.Join(b.dir, fmt.Sprintf("side-%d-%d", i, nodes)), nodes)
		defer r.stop()
		if err == nil {
			err = r.prepare()
		}
		if err == nil && (b.wanted(opFIFO(1)) || b.wanted(opFIFO(load.MaxBatch))) {
			err = addFIFO(&contestant{running: r}, &load.AWS{Addrs: r.addrs, Credentials: credentials, Invocation: true})
		}
		if err != nil {
			return fmt.Errorf("%s: %w", binary, err)
		}
		sides = append(sides, r)
	}
	for i, w := range sides[0].work {
		if !b.wanted(w.name) {
			continue
		}
		for _, clients := range b.clients {
			rows := make([][]Row, len(sides))
			for range b.rounds {
				for s, side := range sides {
					row, err := b.measure(side.procs, clients, side.work[i].dial)
					if err != nil {
						return err
					}
					rows[s] = append(rows[s], *row)
				}
			}
			for s := range sides {
				b.sayCompared(binaries[s], nodes, w.name, clients, rows[s], rows[0])
			}
		}
	}
	return nil
}

// sayCompared prints the medians of one side, and of its ratios to the first
// side's turns.
func (b *bench) sayCompared(binary string, nodes int, operation string, clients int, mine, first []Row) {
	ratios := func(of func(*Row) float64) (rs []float64) {
		for i := range mine {
			rs = append(rs, of(&mine[i])/of(&first[i]))
		}
		slices.Sort(rs)
		return rs
	}
	ratio := func(of func(*Row) float64) float64 { return ratios(of)[len(mine)/2] }
	span := func(of func(*Row) float64) string {
		rs := ratios(of)
		return fmt.Sprintf("%.2fx, %.2f to %.2f", rs[len(rs)/2], rs[0], rs[len(rs)-1])
	}
	rate := func(r *Row) float64 { return r.PerSecond }
	p50 := func(r *Row) float64 { return r.P50Micros }
	p99 := func(r *Row) float64 { return r.P99Micros }
	cost := func(r *Row) float64 { return r.CPUMicros }
	errors, example := uint64(0), ""
	for i := range mine {
		if errors += mine[i].Errors; example == "" {
			example = mine[i].FirstError
		}
	}
	fmt.Printf("%-16s nodes=%d %-15s clients=%-3d %7.0f/s (%s)  p50 %s (%.2fx)  p99 %s (%.2fx)  cpu %.1f us (%s)  errors %d %s\n",
		filepath.Base(binary), nodes, operation, clients, median(mine, rate), span(rate), micros(median(mine, p50)), ratio(p50),
		micros(median(mine, p99)), ratio(p99), median(mine, cost), span(cost), errors, example)
}
