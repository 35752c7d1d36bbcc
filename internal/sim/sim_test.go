package sim

import (
	"flag"
	"fmt"
	"os"
	"runtime"
	"testing"
	"testing/cryptotest"
	"testing/synctest"
	"time"
)

var (
	seeds    = flag.Int("seeds", 3, "seeds to run")
	seedFrom = flag.Uint64("seed", 1, "the first seed")
	length   = flag.Duration("length", 40*time.Second, "virtual time with faults in each run")
	logs     = flag.Bool("logs", false, "print the nodes' logs")
	wantBug  = flag.Bool("bug", false, "a planted bug is built in: stop at the first seed that catches it, and fail if none does")
)

// TestSeeds runs clusters of three with faults, one for each seed.
func TestSeeds(t *testing.T) {
	var total Report
	for seed := *seedFrom; seed < *seedFrom+uint64(*seeds); seed++ {
		if *wantBug {
			fmt.Println("trying seed", seed) // scripts/bugs reads it when a node panics
		}
		r := runSeed(t, seed, Config{Nodes: 3, Tablets: 3, Length: *length})
		total.add(&r)
		for _, f := range r.Failures {
			if *wantBug {
				fmt.Printf("caught at seed %d (the %d. tried): %s\n", seed, seed-*seedFrom+1, f)
				return
			}
			t.Errorf("seed %d: %s\n\treplay with: make sim SEED=%d", seed, f, seed)
		}
	}
	fmt.Printf("%d seeds, %.2f simulated cluster-hours, %d crashes, %d membership changes: %+v\n", *seeds, total.Simulated.Hours(), total.Crashes, total.Joined+total.Removed, total)
	if *wantBug {
		t.Fatalf("%d seeds did not catch the planted bug", *seeds)
	}
	if total.KV == 0 || total.Sent == 0 || total.Likes == 0 || total.Flowed == 0 || total.Ordered == 0 || total.Moves == 0 || total.Rescued == 0 || total.Records == 0 || total.Reshardings == 0 ||
		total.Crashes == 0 || total.SessionReads == 0 || total.LagReads == 0 || total.OnAllDisks == 0 || total.Async == 0 {
		t.Error("the runs did nothing: the simulator is broken")
	}
}

// TestCalm runs a cluster without faults: nothing may go wrong in good
// weather either.
func TestCalm(t *testing.T) {
	if *wantBug {
		t.Skip("only the faulty runs look for planted bugs")
	}
	r := runSeed(t, *seedFrom, Config{Nodes: 3, Tablets: 3, Length: 20 * time.Second, Calm: true})
	for _, f := range r.Failures {
		t.Error(f)
	}
	if r.KVUnknown != 0 {
		t.Errorf("%d operations had an unknown outcome without any fault", r.KVUnknown)
	}
}

// TestSameSeedSameRun runs one seed twice and compares what happened.
func TestSameSeedSameRun(t *testing.T) {
	if *wantBug {
		t.Skip("only the faulty runs look for planted bugs")
	}
	cfg := Config{Nodes: 3, Tablets: 2, Length: 10 * time.Second}
	first := fmt.Sprintf("%+v", runSeed(t, *seedFrom, cfg))
	second := fmt.Sprintf("%+v", runSeed(t, *seedFrom, cfg))
	if first != second {
		t.Errorf("one seed gave two runs:\n%s\n%s", first, second)
	}
}

func runSeed(t *testing.T, seed uint64, cfg Config) (r Report) {
	if *logs {
		cfg.Log = os.Stderr
	}
	// Collections come only between runs, where their moment is always the same.
	// What lies in a sync.Pool survives one of them, and a run that finds what
	// the one before it left there is not the same run.
	runtime.GC()
	runtime.GC()
	cryptotest.SetGlobalRandom(t, seed)
	synctest.Test(t, func(*testing.T) { r = Run(seed, cfg) })
	return r
}

func (r *Report) add(o *Report) {
	r.Crashes += o.Crashes
	r.Partitions += o.Partitions
	r.SlowDisks += o.SlowDisks
	r.ClockJumps += o.ClockJumps
	r.Joined += o.Joined
	r.Removed += o.Removed
	r.KV += o.KV
	r.KVUnknown += o.KVUnknown
	r.Sent += o.Sent
	r.Received += o.Received
	r.Deleted += o.Deleted
	r.Likes += o.Likes
	r.Flowed += o.Flowed
	r.Ordered += o.Ordered
	r.Rescued += o.Rescued
	r.Moves += o.Moves
	r.Records += o.Records
	r.RecordsRead += o.RecordsRead
	r.Reshardings += o.Reshardings
	r.Applied += o.Applied
	r.Repeated += o.Repeated
	r.SessionReads += o.SessionReads
	r.LagReads += o.LagReads
	r.OnAllDisks += o.OnAllDisks
	r.Async += o.Async
	r.AsyncLost += o.AsyncLost
	r.Traffic += o.Traffic
	r.Simulated += o.Simulated
	r.Trace ^= o.Trace
}
