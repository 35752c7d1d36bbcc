package sim

import (
	"fmt"
	"slices"
	"time"
)

// waitForCopies waits until the link of the first region has copied everything:
// before that, what is sent to queues and put into streams is refused.
func (r *regionRun) waitForCopies() error {
	return retry(func() error {
		ctx, cancel := contextFor(10 * time.Second)
		defer cancel()
		links, err := r.worlds[0].nodes[0].live.regions.List(ctx)
		if err == nil && (len(links) != 1 || links[0].Copying > 0) {
			err = fmt.Errorf("the first copy is under way")
		}
		return err
	})
}

// lose takes the first region away for good, while its clients write.
func (r *regionRun) lose() error {
	time.Sleep(time.Duration(r.rng.IntN(3000)) * time.Millisecond)
	w := r.worlds[0]
	for _, room := range w.nodes {
		if err := w.crash(room, 100); err != nil {
			return err
		}
	}
	r.report.LostRegions++
	return nil
}

// finishLost has the second region take over by force, and holds what it has to
// what was acknowledged in the first.
func (r *regionRun) finishLost() error {
	r.wan.calm()
	w := r.worlds[1]
	if err := w.healAll(); err != nil {
		return err
	}
	err := retry(func() error {
		ctx, cancel := contextFor(20 * time.Second)
		defer cancel()
		engine := w.nodes[0].live.regions
		ins, err := engine.Inbounds(ctx)
		if err != nil {
			return err
		}
		for i := range ins {
			if ins[i].Spec.Region != 0 {
				_, err = engine.ForceOver(ctx, ins[i].Name, false)
				return err
			}
		}
		return fmt.Errorf("nothing is shipped to the second region")
	})
	if err != nil {
		return err
	}
	r.report.Forced++
	end, err := content(w)
	if err != nil {
		return err
	}
	r.report.Failures = append(r.report.Failures, checkEnd(end, r.load.ops)...)
	r.report.Writes, r.report.Unknown, r.report.Reads = r.load.counts()
	if !r.cfg.Units {
		return nil
	}
	r.report.Messages, r.report.Records = len(r.units.messages.sent), len(r.units.put)
	failures, err := r.units.finishLost(w)
	r.report.Failures = append(r.report.Failures, failures...)
	return err
}

// finishLost receives all that the region has which took over, and reads its
// records: they must be under their numbers.
func (l *unitLoad) finishLost(w *world) (failures []string, err error) {
	l.worlds, l.messages = []*world{w}, l.messages.elsewhere()
	l.receiveAll()
	records, err := readRecords(w)
	if err != nil {
		return nil, err
	}
	return slices.Concat(l.messages.check(), checkRecords(records, l.put)), nil
}
