package sim

import (
	"fmt"
	"time"
)

// finish heals everything, waits until the links have nothing to ship, and
// checks.
func (r *regionRun) finish(seed uint64) error {
	r.wan.calm()
	for _, w := range r.worlds {
		if err := w.healAll(); err != nil {
			return err
		}
	}
	if err := r.rejoin(); err != nil {
		return err
	}
	if err := r.drain(); err != nil {
		return err
	}
	if r.cfg.Settle {
		r.settle()
	}
	if err := r.verify(); err != nil {
		return err
	}
	if r.cfg.Units {
		if err := r.damage(seed); err != nil {
			return err
		}
	}
	var ends, merged []map[string]string
	for _, w := range r.worlds {
		end, err := content(w)
		if err != nil {
			return err
		}
		ends = append(ends, end)
		if end, err = mergedContent(w); err != nil {
			return err
		}
		merged = append(merged, end)
	}
	r.report.Failures = append(r.report.Failures, checkConvergence(merged)...)
	r.report.Failures = append(r.report.Failures, checkMerged(merged[0], r.merge.ops, r.merge.adds)...)
	r.report.Merged = len(r.merge.ops) + len(r.merge.adds)
	r.report.Failures = append(r.report.Failures, checkConvergence(ends)...)
	r.report.Failures = append(r.report.Failures, checkEnd(ends[0], r.load.ops)...)
	r.report.Failures = append(r.report.Failures, checkOrder(r.load.seen)...)
	r.report.Writes, r.report.Unknown, r.report.Reads = r.load.counts()
	if r.cfg.Units {
		if err := r.finishUnits(); err != nil {
			return err
		}
	}
	for _, w := range r.worlds {
		n, err := r.conflicts(w)
		if err != nil {
			return err
		}
		r.report.Conflicts += n
	}
	return nil
}

// drain waits until every link has shipped everything, twice in a row: what
// arrives may have to go on to the next region.
func (r *regionRun) drain() error {
	quiet := 0
	var last string
	for range 600 {
		time.Sleep(500 * time.Millisecond)
		last = ""
		for i, w := range r.worlds {
			ctx, cancel := contextFor(10 * time.Second)
			links, err := w.nodes[0].live.regions.List(ctx)
			cancel()
			if err != nil {
				last = err.Error()
				continue
			}
			for _, l := range links {
				if l.LagChanges > 0 || l.Copying > 0 {
					last = fmt.Sprintf("region %d: %s lags %d changes, copies %d: %s", i, l.Name, l.LagChanges, l.Copying, l.Problem)
				}
			}
		}
		if quiet++; last != "" {
			quiet = 0
		}
		if quiet > len(r.worlds) {
			return nil
		}
	}
	return fmt.Errorf("the links do not come to rest: %s", last)
}

// verify has every link compare its sides, which must find them equal.
func (r *regionRun) verify() error {
	for i, w := range r.worlds {
		engine := w.nodes[0].live.regions
		ctx, cancel := contextFor(10 * time.Minute)
		defer cancel()
		links, err := engine.List(ctx)
		if err != nil {
			return err
		}
		for _, l := range links {
			v, _ := verification(ctx, engine, l.Name, false)
			if v.Err != "" || v.Found > 0 || v.Unsettled > 0 || v.Tables == 0 || v.Ended.IsZero() {
				return fmt.Errorf("region %d compares %s: %+v", i, l.Name, v)
			}
			r.report.Compared++
		}
	}
	return nil
}

// rejoin has every link that holds changes back ship them, when all senders have
// heard who took over.
func (r *regionRun) rejoin() error {
	if !r.cfg.FailOver {
		return nil
	}
	time.Sleep(20 * time.Second)
	for _, w := range r.worlds {
		err := retry(func() error {
			ctx, cancel := contextFor(10 * time.Second)
			defer cancel()
			links, err := w.nodes[0].live.regions.List(ctx)
			for i := 0; err == nil && i < len(links); i++ {
				if links[i].Spec.Held {
					err = w.nodes[0].live.regions.Rejoin(ctx, links[i].Name)
				}
			}
			return err
		})
		if err != nil {
			return err
		}
	}
	return nil
}
