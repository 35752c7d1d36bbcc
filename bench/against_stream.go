package main

import (
	"fmt"
	"math"
	"path/filepath"
	"slices"
	"time"

	"weir.dev/weir/bench/internal/load"
	"weir.dev/weir/bench/internal/proc"
)

// compareStreams compares binaries at a fixed rate of appends, batches of
// halfBatch with one subscriber that is pushed: how long an append takes and how
// old a record is when it arrives, where the processors are not what is measured.
func (b *bench) compareStreams(binaries []string, nodes int) error {
	var all []*contestant
	defer func() { stopAll(all) }()
	for i, binary := range binaries {
		r, err := startWeir(binary, filepath.Join(b.dir, fmt.Sprintf("side-%d-%d", i, nodes)), nodes)
		c := &contestant{name: filepath.Base(binary), running: r, tails: map[string]func() ([]load.Reader, error){}}
		all = append(all, c)
		if err == nil {
			err = readyWeirStream(c)
		}
		if err != nil {
			return fmt.Errorf("%s: %w", binary, err)
		}
	}
	peak := opAppend(halfBatch, 1, pushed)
	runs := make([][]Turns, len(all))
	for range b.rounds {
		for i, c := range all {
			t, err := b.quietTurn(all, func() (*Turns, error) {
				if err := b.indebt(c); err != nil {
					return nil, err
				}
				return b.turn(c, peak, streamClients, load.Paced(c.dial(peak), streamClients, b.appendRate/halfBatch))
			})
			if err != nil {
				return err
			}
			t.System, t.Nodes, t.Operation = c.name, nodes, fmt.Sprintf("%s, %.0f/s", peak, b.appendRate)
			b.say("%s %s", &t.Row, t.received())
			runs[i] = append(runs[i], *t)
		}
	}
	for i := range all {
		b.sayStreams(runs[i], runs[0])
	}
	return nil
}

// indebt appends at the full rate.
func (b *bench) indebt(c *contestant) error {
	if b.debt == 0 {
		return nil
	}
	_, err := load.Run(load.Options{Clients: streamClients, Measure: b.debt}, c.dial(opAppend(halfBatch, 0, "")))
	return err
}

// settle waits until the sides have nothing left to do, or for settleLimit.
func settle(all []*contestant) error {
	for start := time.Now(); time.Since(start) < settleLimit; {
		var used [2]time.Duration
		for i := range used {
			for _, c := range all {
				n, err := cpu(c.procs)
				if err != nil {
					return err
				}
				used[i] += n
			}
			if i == 0 {
				time.Sleep(quietLook)
			}
		}
		if (used[1] - used[0]).Seconds() < quietOthers*quietLook.Seconds() {
			return nil
		}
	}
	return nil
}

const (
	// settleLimit bounds the waiting for what turns before left to do.
	settleLimit = 20 * time.Second
	// quietLook is how long one looks whether the machine is quiet.
	quietLook = 200 * time.Millisecond
	// quietTries is how often a turn is tried again that others disturbed, and
	// quietLooks how often one looks before each.
	quietTries, quietLooks = 6, 100
	// quietOthers is what of a processor others may use meanwhile.
	quietOthers = 0.15
)

// quietTurn waits until others leave the machine alone and takes a turn, again
// when they came back meanwhile: how long things take says nothing of a server
// that waits for a processor. When they never leave, the least disturbed turn
// counts.
func (b *bench) quietTurn(all []*contestant, turn func() (*Turns, error)) (best *Turns, err error) {
	least := math.Inf(1)
	for range quietTries {
		if err := settle(all); err != nil {
			return nil, err
		}
		for range quietLooks {
			others, err := b.others(all, func() error { time.Sleep(quietLook); return nil })
			if err != nil {
				return nil, err
			}
			if others < quietOthers {
				break
			}
		}
		var t *Turns
		others, err := b.others(all, func() (err error) { t, err = turn(); return err })
		if err != nil {
			return nil, err
		}
		b.say("others kept %.2f processors busy", others)
		if others < least {
			best, least = t, others
		}
		if others < quietOthers {
			break
		}
	}
	return best, nil
}

// others is the processors that others keep busy while something is done.
func (b *bench) others(all []*contestant, do func() error) (float64, error) {
	var procs []*proc.Process
	for _, c := range all {
		procs = append(procs, c.procs...)
	}
	var at [2]proc.Machine
	var used [2]time.Duration
	for i := range at {
		if i == 1 {
			if err := do(); err != nil {
				return 0, err
			}
		}
		var err error
		if used[i], err = cpu(procs); err != nil {
			return 0, err
		}
		if at[i], err = proc.Now(); err != nil {
			return 0, err
		}
	}
	return proc.Others(at[0], at[1], used[1]-used[0]), nil
}

// sayStreams prints the medians of one side's turns with their ranges, and of
// the ratios to the first side's turns.
func (b *bench) sayStreams(mine, first []Turns) {
	show := func(name, unit string, scale float64, of func(*Turns) float64) string {
		values, ratios := spread(mine, nil, of), spread(mine, first, of)
		return fmt.Sprintf("  %-16s %8.2f (%.2f to %.2f) %s, %.2fx (%.2f to %.2f)\n", name, values[1]/scale, values[0]/scale, values[2]/scale, unit, ratios[1], ratios[0], ratios[2])
	}
	t := &mine[0]
	fmt.Printf("%s nodes=%d %s, %d turns\n%s%s%s%s%s%s%s", t.System, t.Nodes, t.Operation, len(mine),
		show("records", "a second", 1, func(t *Turns) float64 { return t.PerSecond }),
		show("append p50", "ms", 1e3, func(t *Turns) float64 { return t.P50Micros }),
		show("append p99", "ms", 1e3, func(t *Turns) float64 { return t.P99Micros }),
		show("age p50", "ms", 1e3, func(t *Turns) float64 { return t.PushP50Micros }),
		show("age p99", "ms", 1e3, func(t *Turns) float64 { return t.PushP99Micros }),
		show("server CPU", "us a record", 1, func(t *Turns) float64 { return t.CPUMicros }),
		show("written", "bytes a record", 1, func(t *Turns) float64 { return t.Written }))
}

// spread is the least, the middle and the largest of a figure, or of its ratio
// to that of the other side's turn.
func spread(mine, first []Turns, of func(*Turns) float64) [3]float64 {
	var values []float64
	for i := range mine {
		v := of(&mine[i])
		if first != nil {
			v /= of(&first[i])
		}
		values = append(values, v)
	}
	slices.Sort(values)
	return [3]float64{values[0], values[len(values)/2], values[len(values)-1]}
}
