package sim

import (
	"fmt"
	"time"
)

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
				_, err = engine.ForceOver(ctx, ins[i].Name)
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
	return nil
}
