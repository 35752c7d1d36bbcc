package model

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
)

// finish answers for all closing shards and finishes the round.
func finish(t *testing.T, s *StreamSpec, nowMs int64) {
	t.Helper()
	var ends []ShardEnd
	for _, n := range s.Reshard.Closing {
		ends = append(ends, ShardEnd{Number: n, End: uint64(n) + 1, ClosedMs: nowMs - 5})
	}
	if len(ends) > 1 {
		if err := s.FinishReshard(ends[1:], nowMs); err == nil {
			t.Fatal("a resharding was finished with a shard that was not closed")
		}
		if err := s.Covers(); err != nil {
			t.Fatal(err)
		}
	}
	if err := s.FinishReshard(ends, nowMs); err != nil {
		t.Fatal(err)
	}
}

// TestReshardRandomly splits, merges and scales at random: the open shards
// cover the ring at every step, every hash key has one shard and a line of
// ancestors with smaller sequence numbers, and scaling ends in even shards.
func TestReshardRandomly(t *testing.T) {
	for seed := range uint64(20) {
		rng := rand.New(rand.NewPCG(seed, 7))
		nowMs := int64(1_700_000_000_000)
		s := NewStreamSpec(ModeProvisioned, 1+rng.IntN(6), nowMs)
		for range 60 {
			nowMs += int64(rng.IntN(3000))
			open := s.OpenShards()
			at := rng.IntN(len(open))
			target := 0
			var err error
			switch rng.IntN(4) {
			case 0, 1:
				err = s.BeginSplit(open[at].Number, open[at].Range.Middle(), nowMs)
			case 2:
				if at == 0 {
					continue
				}
				err = s.BeginMerge(open[at].Number, open[at-1].Number, nowMs)
			default:
				target = 1 + rng.IntN(12)
				err = s.BeginScale(target, nowMs)
			}
			if err != nil {
				t.Fatal(err)
			}
			if s.Reshard.Kind != 0 && s.BeginScale(5, nowMs) == nil {
				t.Fatal("two reshardings at once")
			}
			rounds := 0
			for ; s.Reshard.Kind != 0; rounds++ {
				finish(t, &s, nowMs)
				checkSpec(t, &s, rng)
			}
			if target > 0 {
				checkEven(t, &s, target, rounds)
			}
		}
		if s.ForgetShards(nowMs) || !s.ForgetShards(nowMs+30*3600*1000) || s.Covers() != nil || len(s.OpenShards()) != len(s.Shards) {
			t.Fatal("closed shards were not forgotten in time")
		}
	}
}

func checkSpec(t *testing.T, s *StreamSpec, rng *rand.Rand) {
	t.Helper()
	if err := s.Covers(); err != nil {
		t.Fatal(err)
	}
	var back StreamSpec
	d := NewDecoder(s.Append(nil))
	back.Decode(d)
	if err := d.Done(); err != nil {
		t.Fatal(err)
	}
	h := HashOf([]byte(fmt.Sprint(rng.Uint64())))
	sh := ShardOf(s.OpenShards(), h)
	for {
		if !sh.Range.Contains(h) {
			t.Fatalf("shard %v does not contain %v", sh.Number, h)
		}
		parent, ok := parentFor(s, sh, h)
		if !ok {
			if len(sh.Parents) > 0 {
				t.Fatalf("no parent of %v has %v", sh.Number, h)
			}
			return
		}
		if parent.Last().Compare(sh.First()) >= 0 || !slices.Contains(s.ChildrenOf(parent.Number), sh) {
			t.Fatalf("shard %v does not come after %v", sh.Number, parent.Number)
		}
		sh = parent
	}
}

// parentFor is the parent of the shard that had the hash key.
func parentFor(s *StreamSpec, child *Shard, h HashKey) (*Shard, bool) {
	for _, n := range child.Parents {
		if parent, ok := s.Shard(n); ok && parent.Range.Contains(h) {
			return parent, true
		}
	}
	return nil, false
}

func checkEven(t *testing.T, s *StreamSpec, target, rounds int) {
	t.Helper()
	var got []HashRange
	for _, sh := range s.OpenShards() {
		got = append(got, sh.Range)
	}
	if !slices.Equal(got, UniformRanges(target)) || rounds > 8 {
		t.Fatalf("scaling to %d shards ended with %d after %d rounds", target, len(got), rounds)
	}
}

func TestReshardRefusals(t *testing.T) {
	s := NewStreamSpec(ModeProvisioned, 3, 1000)
	for name, err := range map[string]error{
		"split at the first key": s.BeginSplit(1, s.Shards[1].Range.Lo, 2000),
		"split elsewhere":        s.BeginSplit(1, s.Shards[2].Range.Middle(), 2000),
		"split of no shard":      s.BeginSplit(9, HashKey{15: 1}, 2000),
		"merge of strangers":     s.BeginMerge(0, 2, 2000),
		"merge with itself":      s.BeginMerge(1, 1, 2000),
		"scale to none":          s.BeginScale(0, 2000),
		"finish without begin":   s.FinishReshard(nil, 2000),
	} {
		if err == nil {
			t.Errorf("%s was accepted", name)
		}
	}
	if err := s.BeginScale(3, 2000); err != nil || s.Reshard.Kind != 0 {
		t.Errorf("scaling to what is there: %+v, %v", s.Reshard, err)
	}
	for _, breaks := range []func(*StreamSpec){
		func(s *StreamSpec) { s.Shards = s.Shards[:2] },
		func(s *StreamSpec) { s.Shards[1].ClosedMs = 5 },
		func(s *StreamSpec) { s.Shards[1].Range.Lo = s.Shards[0].Range.Hi },
		func(s *StreamSpec) { s.Shards[2].Number = 1 },
		func(s *StreamSpec) { s.NextShard = 2 },
		func(s *StreamSpec) { s.Shards[1].Parents = []ShardNumber{0} },
	} {
		bad := NewStreamSpec(ModeProvisioned, 3, 1000)
		breaks(&bad)
		d := NewDecoder(bad.Append(nil))
		var back StreamSpec
		back.Decode(d)
		if bad.Covers() == nil || d.Done() == nil {
			t.Errorf("a broken spec was accepted: %+v", bad.Shards)
		}
	}
}

// TestShareShards lets members come and go, each doing what ShareShards says:
// the shards are always shared out evenly after a while, and then all is quiet.
func TestShareShards(t *testing.T) {
	for seed := range uint64(40) {
		rng := rand.New(rand.NewPCG(seed, 3))
		shards := make([]ShardHolder, 1+rng.IntN(20))
		for i := range shards {
			shards[i].Shard = ShardNumber(i)
		}
		var members []string
		for round := range 6 {
			if len(members) > 1 && rng.IntN(3) == 0 {
				gone := members[0]
				members = members[1:]
				for i := range shards {
					if shards[i].Position.Owner == gone {
						shards[i].Position.ExpiresMs = 0
					}
				}
			}
			for range 1 + rng.IntN(3) {
				members = append(members, fmt.Sprintf("m%d-%d", round, len(members)))
			}
			quiet := false
			for range 40 {
				if quiet = shareOnce(shards, members); quiet {
					break
				}
			}
			if !quiet {
				t.Fatalf("seed %d: no rest among %d members: %+v", seed, len(members), shards)
			}
			checkShares(t, shards, members)
		}
	}
}

// shareOnce lets every member act once, on what it sees then.
func shareOnce(shards []ShardHolder, members []string) (quiet bool) {
	quiet = true
	for _, me := range members {
		for i := range shards { // what was asked for is released
			if p := &shards[i].Position; p.Owner == me && p.HeldAt(1) && p.Wanted != "" {
				*p, quiet = Position{Owner: p.Wanted, ExpiresMs: 100}, false
			}
		}
		take, ask := ShareShards(me, shards, 1)
		quiet = quiet && len(take)+len(ask) == 0
		for _, n := range take {
			shards[n].Position = Position{Owner: me, ExpiresMs: 100}
		}
		for _, n := range ask {
			shards[n].Position.Wanted = me
		}
	}
	return quiet
}

func checkShares(t *testing.T, shards []ShardHolder, members []string) {
	t.Helper()
	var holds []int
	for _, m := range members {
		n := 0
		for i := range shards {
			if shards[i].Position.Owner == m && shards[i].Position.HeldAt(1) {
				n++
			}
		}
		holds = append(holds, n)
	}
	total := 0
	for _, n := range holds {
		total += n
	}
	if total != len(shards) || slices.Max(holds)-slices.Min(holds) > 1 {
		t.Fatalf("%d shards are held %v", len(shards), holds)
	}
}
