package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"strings"
	"time"

	"weir.dev/weir/internal/demo"
)

// errDemoSums is the demo's verdict when a click was lost or counted twice.
var errDemoSums = errors.New("WHAT WAS ACKNOWLEDGED AND WHAT WAS APPLIED DIFFER: this must never happen")

// demoFacts are what the demo found out; the document that --json prints.
type demoFacts struct {
	OK            bool            `json:"ok"` // each acknowledged click counted exactly once
	Proof         demo.Proof      `json:"proof"`
	Differing     []string        `json:"nodes_that_differ"` // whose own replicas show other sums
	Seed          uint64          `json:"seed"`
	DaySeconds    float64         `json:"day_seconds"`
	Posts         int             `json:"posts"`
	Clicks        int             `json:"clicks"`     // made
	SetRate       float64         `json:"set_rate"`   // of the outflow, per second
	QuietRate     float64         `json:"quiet_rate"` // of the inflow at night
	FlashRate     float64         `json:"flash_rate"` // of the inflow in the flash crowd
	PeakBacklog   float64         `json:"peak_backlog"`
	Drained       float64         `json:"drained_at_seconds"`
	Killed        string          `json:"killed,omitempty"`
	KilledAt      float64         `json:"killed_at_seconds,omitempty"`
	RestartedAt   float64         `json:"restarted_at_seconds,omitempty"`
	CaughtUpAt    float64         `json:"caught_up_at_seconds,omitempty"`
	WritePause    float64         `json:"write_pause_seconds"` // the longest around the kill
	Retried       int64           `json:"tries_repeated"`      // tries of SDK calls that failed and were repeated
	Deviation     demo.Deviation  `json:"outflow_deviation"`   // over 10 s windows with a backlog
	DeviationKill demo.Deviation  `json:"outflow_deviation_across_kill"`
	TookSeconds   float64         `json:"took_seconds"`
	Picture       string          `json:"picture,omitempty"`
	Samples       []demo.Measured `json:"samples"`
}

// pauseAfter is how long after the kill a pause may begin that is its doing.
const pauseAfter = 10 * time.Second

// facts draws the conclusions.
func (d *demoRun) facts(took time.Duration) *demoFacts {
	d.mu.Lock()
	defer d.mu.Unlock()
	p := &d.picture
	proof := demo.Compare(d.sent, d.applied)
	p.Proof = &proof
	back := p.Restart
	if p.Kill > 0 {
		p.Pause = demo.LongestPause(d.acks, p.Kill, p.Kill+pauseAfter)
		back = max(back, p.Pause.To)
	}
	calm, across := demo.Deviations(p.Sent, p.Applied, p.Rate, p.Kill, back)
	return &demoFacts{
		OK: proof.Holds() && proof.Sent.Clicks == int64(len(d.day.Clicks)) && len(d.differing) == 0, Proof: proof,
		Differing: append([]string{}, d.differing...),
		Seed:      d.flags.seed, DaySeconds: d.flags.seconds, Posts: d.day.Posts, Clicks: len(d.day.Clicks),
		SetRate: p.Rate, QuietRate: d.day.Quiet, FlashRate: d.day.Quiet * demo.FlashFactor,
		PeakBacklog: p.Backlog.Max(), Drained: p.Applied.Reached(float64(proof.Applied.Clicks)).Seconds(),
		Killed: d.killed, KilledAt: p.Kill.Seconds(), RestartedAt: p.Restart.Seconds(), CaughtUpAt: d.healed.Seconds(),
		WritePause: p.Pause.Length().Seconds(), Retried: d.clients.failed.Load(),
		Deviation: calm, DeviationKill: across, TookSeconds: took.Seconds(),
		Picture: d.flags.out, Samples: p.Samples(demoTick),
	}
}

// report tells what was found out and writes the picture. Its error is the
// verdict.
func (d *demoRun) report(took time.Duration) error {
	f := d.facts(took)
	d.screen.draw(&d.picture)
	d.screen.endDrawing()
	var errs []error
	if !f.OK {
		errs = append(errs, errDemoSums)
	}
	if f.Picture != "" {
		if err := os.WriteFile(f.Picture, demo.SVG(&d.picture), 0o644); err != nil {
			errs = append(errs, fmt.Errorf("cannot write the picture: %w", err))
		}
	}
	if d.flags.asJSON {
		out := json.NewEncoder(os.Stdout)
		out.SetIndent("", "  ")
		errs = append(errs, out.Encode(f))
	} else {
		f.print()
	}
	return errors.Join(errs...)
}

// print writes the facts for people.
func (f *demoFacts) print() {
	line := func(what, format string, args ...any) { fmt.Printf("  %-14s %s\n", what, fmt.Sprintf(format, args...)) }
	p := f.Proof
	fmt.Println()
	line("sent", "%s clicks, acknowledged by the queue; score %s", demo.Grouped(p.Sent.Clicks), demo.Grouped(p.Sent.Score))
	line("applied", "%s clicks, read back from the table; score %s", demo.Grouped(p.Applied.Clicks), demo.Grouped(p.Applied.Score))
	line("lost", "%s", demo.Grouped(p.Lost))
	line("twice", "%s", demo.Grouped(p.Twice))
	if len(f.Differing) == 0 {
		line("replicas", "the same sums on all %d nodes", demoNodeCount)
	} else {
		line("REPLICAS", "OTHER SUMS ON %s", strings.Join(f.Differing, ", "))
	}
	line("inflow", "%.0f/s at night, %.0f/s in the flash crowd; backlog up to %s", f.QuietRate, f.FlashRate, demo.Grouped(int64(f.PeakBacklog)))
	line("outflow", "%g/s set; over 10 s with a backlog %s", f.SetRate, deviation(f.Deviation))
	if f.Killed != "" {
		line("", "over 10 s in which the leader was missing for a while %s", deviation(f.DeviationKill))
		line("killed", "%s, which led the queue, at %.1f s; back at %.1f s, caught up at %.1f s", f.Killed, f.KilledAt, f.RestartedAt, f.CaughtUpAt)
		line("writes paused", "%.2f s at most around the kill", f.WritePause)
	}
	line("repeated", "%d tries of SDK calls, each with its call's invocation id", f.Retried)
	if f.Picture != "" {
		line("picture", "%s", f.Picture)
	}
	if f.OK {
		fmt.Printf("\nEvery acknowledged click counted exactly once. (%.0f s)\n", f.TookSeconds)
	} else {
		fmt.Printf("\nIT IS WRONG: %s.\n", p)
	}
}

// deviation writes the worst deviation of some windows.
func deviation(d demo.Deviation) string {
	if d.Windows == 0 {
		return "nothing to tell: it never lasted that long"
	}
	return fmt.Sprintf("at worst %+.1f%%", 100*d.Worst)
}
