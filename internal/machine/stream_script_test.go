package machine

import (
	"fmt"
	"strings"
	"testing"

	"github.com/cockroachdb/datadriven"

	"weir.dev/weir/internal/keys"
	"weir.dev/weir/internal/model"
)

// TestStreamScripts runs scripts on stream 5. Times are in milliseconds from
// when the script began.
func TestStreamScripts(t *testing.T) {
	datadriven.Walk(t, "testdata/stream", func(t *testing.T, path string) {
		r := newStreamRig(t)
		datadriven.RunTest(t, path, func(t *testing.T, td *datadriven.TestData) string {
			r.t = t
			return r.script(td)
		})
	})
}

const scriptStart = 1_000_000

// shown is a time as scripts show it.
func shown(ms int64) int64 {
	if ms == 0 {
		return 0
	}
	return ms - scriptStart
}

func (r *streamRig) script(td *datadriven.TestData) string {
	shard := model.ShardNumber(number(td, "shard", 0))
	switch td.Cmd {
	case "now":
		r.nowMs = scriptStart + number(td, "ms", 0)
		return ""
	case "put":
		r.retry = td.HasArg("retry")
		res, status := r.put(shard, strings.Fields(td.Input)...)
		if status != model.StatusOK {
			return fmt.Sprintf("status %d\n", status)
		}
		return fmt.Sprintf("first=%d count=%d arrival=%d woke=%v\n", res.First, res.Count, shown(res.ArrivalMs), r.woke)
	case "close":
		return stateShown(r.close(shard))
	case "trim":
		return stateShown(r.trim(shard, scriptStart+number(td, "before", 0)))
	case "state":
		return stateShown(r.state(shard))
	case "at":
		at := r.at(shard, scriptStart+number(td, "ms", 0))
		return fmt.Sprintf("n=%d arrival=%d\n", at.N, shown(at.ArrivalMs))
	case "ready":
		return fmt.Sprintln(r.readable(shard, uint64(number(td, "n", 0))))
	case "read":
		return r.readShown(td, shard)
	case "position":
		return r.positionScript(td, shard)
	case "positions":
		return positionsShown(r.positions(shard, ""))
	case "dump":
		var out strings.Builder
		for _, k := range r.view.keys {
			fmt.Fprintln(&out, keys.String([]byte(k)))
		}
		return out.String()
	default:
		return "unknown command\n"
	}
}

func stateShown(s model.ShardState) string {
	return fmt.Sprintf("low=%d at %d, next=%d, last at %d, bytes=%d of %d, closed=%d, retried=%d\n",
		s.Low, shown(s.LowMs), s.Next, shown(s.LastMs), s.Bytes, s.TotalBytes, shown(s.ClosedMs), shown(s.RetriedMs))
}

func (r *streamRig) readShown(td *datadriven.TestData, shard model.ShardNumber) string {
	q := model.RecordsQuery{
		Shard: shard, N: uint64(number(td, "n", 0)), MaxRecords: uint32(number(td, "max", 100)), MaxBytes: uint32(number(td, "bytes", 10000)),
		HorizonMs: scriptStart + number(td, "horizon", -scriptStart),
	}
	res := r.read(q)
	var out strings.Builder
	for i := range res.Runs {
		u := &res.Runs[i]
		for j := range u.Batch.Len() {
			rec := u.Batch.Record(j)
			fmt.Fprintf(&out, "%d %s at %d\n", u.First+uint64(j), rec.Data, shown(u.ArrivalMs))
		}
	}
	fmt.Fprintf(&out, "next=%d at %d, tip=%d, ended=%v\n", res.Next, shown(res.NextMs), res.Tip, res.Ended())
	return out.String()
}

var scriptOps = map[string]model.PositionOp{
	"acquire": model.PositionAcquire, "renew": model.PositionRenew, "commit": model.PositionCommit,
	"release": model.PositionRelease, "seek": model.PositionSeek, "forget": model.PositionForget,
}

func (r *streamRig) positionScript(td *datadriven.TestData, shard model.ShardNumber) string {
	c := model.SetPosition{
		Shard: shard, Group: "g", Generation: uint64(number(td, "generation", 0)), N: uint64(number(td, "n", 0)),
		LeaseMs: number(td, "lease", 0), StartMs: scriptStart + number(td, "start", -scriptStart),
	}
	for _, a := range td.CmdArgs {
		switch {
		case a.Key == "want":
			c.Want = true
		case a.Key == "owner":
			c.Owner = a.Vals[0]
		case scriptOps[a.Key] != 0:
			c.Op = scriptOps[a.Key]
		}
	}
	p, status := r.set(c)
	return fmt.Sprintf("status %d: %s", status, positionShown(&p))
}

func positionShown(p *model.Position) string {
	return fmt.Sprintf("n=%d generation=%d owner=%q until %d, wanted by %q, committed at %d\n",
		p.N, p.Generation, p.Owner, shown(p.ExpiresMs), p.Wanted, shown(p.CommitMs))
}

func positionsShown(res model.PositionsResult) string {
	var out strings.Builder
	for i := range res.Groups {
		g := &res.Groups[i]
		fmt.Fprintf(&out, "%s: %slag=%d bytes=%d next at %d, finished=%v\n", g.Group, positionShown(&g.Position), g.Records, g.Bytes, shown(g.NextMs), res.Finished(g))
	}
	return out.String()
}
