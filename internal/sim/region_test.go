package sim

import (
	"fmt"
	"os"
	"testing"
	"testing/cryptotest"
	"testing/synctest"
	"time"
)

func runRegions(t *testing.T, seed uint64, cfg RegionConfig) RegionReport {
	r := playRegions(t, seed, cfg)
	for _, f := range r.Failures {
		t.Errorf("seed %d: %s", seed, f)
	}
	return r
}

func playRegions(t *testing.T, seed uint64, cfg RegionConfig) (r RegionReport) {
	if *logs {
		cfg.Log = os.Stderr
	}
	cryptotest.SetGlobalRandom(t, seed)
	synctest.Test(t, func(*testing.T) { r = RunRegions(seed, cfg) })
	fmt.Printf("seed %d, %+v\n", seed, r)
	return r
}

// seedRegions runs n seeds and calls each for their reports; with a planted bug
// it stops at the first seed that catches it.
func seedRegions(t *testing.T, n int, cfg RegionConfig, each func(seed uint64, r *RegionReport)) {
	for seed := *seedFrom; seed < *seedFrom+uint64(n); seed++ {
		if *wantBug {
			fmt.Println("trying seed", seed)
		}
		r := playRegions(t, seed, cfg)
		for _, f := range r.Failures {
			if *wantBug {
				fmt.Printf("caught at seed %d (the %d. tried): %s\n", seed, seed-*seedFrom+1, f)
				return
			}
			t.Errorf("seed %d: %s", seed, f)
		}
		each(seed, &r)
	}
	if *wantBug {
		t.Fatalf("%d seeds did not catch the planted bug", n)
	}
}

// TestTwoRegions runs two clusters that both write, with faults and a week in
// which they do not hear from each other.
func TestTwoRegions(t *testing.T) {
	seedRegions(t, max(1, *seeds/3), RegionConfig{Regions: 2, Nodes: 2, Tablets: 2, Length: *length, Week: true}, func(_ uint64, r *RegionReport) {
		if r.Writes == 0 || r.Reads == 0 || r.Merged == 0 || r.Conflicts == 0 || r.Weeks == 0 || r.Crashes == 0 || r.Compared != 2 || r.Meanwhile == 0 {
			t.Error("the run did nothing: the simulator is broken")
		}
	})
}

// TestRegionsFailOver moves the writes between two clusters, as planned and by
// force, while nodes crash and links are cut.
func TestRegionsFailOver(t *testing.T) {
	done, n := 0, 2
	if *wantBug {
		n = *seeds
	}
	seedRegions(t, n, RegionConfig{Regions: 2, Nodes: 2, Tablets: 2, Length: *length, FailOver: true}, func(_ uint64, r *RegionReport) {
		done += r.Planned + r.Forced
	})
	if !*wantBug && done == 0 {
		t.Error("no failover was carried out: the simulator is broken")
	}
}

// TestRegionLost loses a region for good whose link is synchronous: no write,
// message or record that was acknowledged is lost with it.
func TestRegionLost(t *testing.T) {
	writes, sent, put := 0, 0, 0
	seedRegions(t, *seeds, RegionConfig{Regions: 2, Nodes: 3, Tablets: 2, Length: 2 * *length, Lose: true, Units: true}, func(seed uint64, r *RegionReport) {
		writes, sent, put = writes+r.Writes-r.Unknown, sent+r.Messages, put+r.Records
		if r.LostRegions != 1 {
			t.Errorf("seed %d: the region was not lost: the simulator is broken", seed)
		}
	})
	if !*wantBug && (writes < 20**seeds || sent < 10**seeds || put < 5**seeds) {
		t.Errorf("%d writes, %d messages and %d records were acknowledged in %d runs: the simulator is broken", writes, sent, put, *seeds)
	}
}

// TestUnitsFailOver moves the writes of queues and a stream between two clusters,
// as planned, while nodes crash and links are cut: nothing that was acknowledged
// is lost, nothing comes again after its delete, groups and shards keep their
// order and records their numbers. Comparisons find nothing meanwhile, and in the
// end the damage that was done to the copies, and mend it.
func TestUnitsFailOver(t *testing.T) {
	moved, sent, put, compared, damaged := 0, 0, 0, 0, 0
	seedRegions(t, max(2, *seeds/5), RegionConfig{Regions: 2, Nodes: 2, Tablets: 2, Length: *length, FailOver: true, Units: true, Planned: true}, func(_ uint64, r *RegionReport) {
		moved, sent, put = moved+r.Planned, sent+r.Messages, put+r.Records
		compared, damaged = compared+r.Meanwhile, damaged+r.Damaged
	})
	if *seedFrom == 1 && !*wantBug && (moved == 0 || sent == 0 || put == 0 || compared == 0 || damaged == 0) {
		t.Error("the runs did nothing: the simulator is broken")
	}
}

// TestUnitsForcedOver is the same with failovers by force, after which what the
// old region held is shipped: nothing that was acknowledged is lost, in whatever
// order it comes.
func TestUnitsForcedOver(t *testing.T) {
	moved := 0
	seedRegions(t, 2, RegionConfig{Regions: 2, Nodes: 2, Tablets: 2, Length: 2 * *length, FailOver: true, Units: true}, func(_ uint64, r *RegionReport) {
		moved += r.Forced + r.Planned
	})
	if *seedFrom == 1 && !*wantBug && moved == 0 {
		t.Error("no failover was carried out: the simulator is broken")
	}
}

// TestRingOfRegions runs three clusters of which each ships to the next.
func TestRingOfRegions(t *testing.T) {
	runRegions(t, *seedFrom, RegionConfig{Regions: 3, Nodes: 1, Tablets: 1, Ring: true, Length: *length / 2})
}

// TestThreeRegionsCalm runs three clusters without faults, all tied to all, and
// waits until the last tombstone is gone.
func TestThreeRegionsCalm(t *testing.T) {
	r := runRegions(t, *seedFrom, RegionConfig{Regions: 3, Nodes: 1, Tablets: 1, Length: 5 * time.Second, Calm: true, Settle: true})
	if r.Swept != 3 || r.Unknown != 0 || r.Compared != 6 {
		t.Errorf("%+v", r)
	}
}

// TestSameSeedSameRegions runs one seed twice and compares what happened.
func TestSameSeedSameRegions(t *testing.T) {
	cfg := RegionConfig{Regions: 2, Nodes: 2, Tablets: 1, Length: 8 * time.Second}
	first := fmt.Sprintf("%+v", runRegions(t, *seedFrom, cfg))
	second := fmt.Sprintf("%+v", runRegions(t, *seedFrom, cfg))
	if first != second {
		t.Errorf("one seed gave two runs:\n%s\n%s", first, second)
	}
}

// TestUnitChecksCanFail is TestRegionChecksCanFail of the checks of queues and
// streams.
func TestUnitChecksCanFail(t *testing.T) {
	a, b := unitFifo+" 1/1", unitFifo+" 1/2"
	if len(checkGroupOrder([]string{b, a})) != 1 || len(checkGroupOrder([]string{a, unitFifo + " 2/1", b, unitQueue + " 1/1"})) != 0 {
		t.Error("a group out of order passes, or one in order fails")
	}
	there := map[string]string{"s 1": "1/1", "s 2": "1/2"}
	if len(checkRecords(there, map[string]string{"s 1": "1/2", "s 2": "1/2", "s 3": "1/3"})) != 2 || len(checkRecords(there, there)) != 0 {
		t.Error("a record under another number passes, or the right one fails")
	}
	if len(checkData(there, map[string]string{"x": "1/2", "y": "1/3"})) != 1 {
		t.Error("a lost record passes, or one under another number fails")
	}
}

// TestRegionChecksCanFail gives each check a history that it must not let pass,
// and one that it must.
func TestRegionChecksCanFail(t *testing.T) {
	put := func(client, n int, value string) regionOp {
		return regionOp{client: client, number: n, key: "k", value: value}
	}
	lost := put(1, 3, "1/3")
	lost.unknown = true
	ends := []struct {
		what string
		end  map[string]string
		ops  []regionOp
		bad  bool
	}{
		{"the last word", map[string]string{"k": "1/2"}, []regionOp{put(1, 1, "1/1"), put(1, 2, "1/2")}, false},
		{"a lost write", map[string]string{"k": "1/1"}, []regionOp{put(1, 1, "1/1"), put(1, 2, "1/2")}, true},
		{"a lost item", map[string]string{}, []regionOp{put(1, 1, "1/1")}, true},
		{"a resurrection", map[string]string{"k": "1/1"}, []regionOp{put(1, 1, "1/1"), put(1, 2, "")}, true},
		{"a delete", map[string]string{}, []regionOp{put(1, 1, "1/1"), put(1, 2, "")}, false},
		{"another client's word", map[string]string{"k": "2/1"}, []regionOp{put(2, 1, "2/1"), put(1, 2, "")}, false},
		{"an unknown write", map[string]string{"k": "1/1"}, []regionOp{put(1, 1, "1/1"), lost}, false},
		{"an unknown write that came", map[string]string{"k": "1/3"}, []regionOp{put(1, 1, "1/1"), lost}, false},
		{"an item from nowhere", map[string]string{"k": "1/9"}, []regionOp{put(1, 1, "1/1")}, true},
		{"a key from nowhere", map[string]string{"x": "1/9"}, nil, true},
	}
	for _, e := range ends {
		if got := checkEnd(e.end, e.ops); (len(got) > 0) != e.bad {
			t.Errorf("%s: %q", e.what, got)
		}
	}
	adds := []mergeAdd{{"k", false}, {"k", false}, {"k", true}}
	for value, bad := range map[string]bool{"1": true, "2": false, "3": false, "4": true, "": true, "x": true} {
		if got := checkMerged(map[string]string{"counter/k/n": value}, nil, adds); (len(got) > 0) != bad {
			t.Errorf("a counter of 2 and perhaps 3 that is %q: %q", value, got)
		}
	}
	member := put(1, 1, "in")
	member.key = "union/k/m"
	if len(checkMerged(nil, []regionOp{member}, nil)) == 0 || len(checkMerged(map[string]string{"union/k/m": "in"}, []regionOp{member}, nil)) != 0 {
		t.Error("a lost member passes, or one that is there does not")
	}
	if len(checkConvergence([]map[string]string{{"k": "a"}, {"k": "b"}})) == 0 || len(checkConvergence([]map[string]string{{"k": "a"}, {}})) == 0 {
		t.Error("regions that differ pass")
	}
	if len(checkConvergence([]map[string]string{{"k": "a"}, {"k": "a"}})) != 0 {
		t.Error("equal regions fail")
	}
	if len(checkOrder([]regionSight{{0, "k", 2}, {0, "k", 0}, {0, "k", 1}})) == 0 {
		t.Error("a key that goes back passes")
	}
	if len(checkOrder([]regionSight{{0, "k", 2}, {1, "k", 1}, {0, "k", 2}, {0, "k", 3}})) != 0 {
		t.Error("two regions that are not equally far fail")
	}
}
