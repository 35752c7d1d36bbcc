package service

import (
	"context"
	"strings"
	"testing"
	"time"

	"weir.dev/weir/internal/model"
)

// TestSeekConsumer: a named consumer goes to a time, to the start and to the end
// in all shards, those that it never came to and those that it had finished
// among them; members lose what they held; shards that come to be afterwards are
// read whole.
func TestSeekConsumer(t *testing.T) {
	ctx := context.Background()
	s, c := newStreamFake(t, 1)
	c.Advance(time.Second)
	if _, err := s.LeaseShards(ctx, &LeaseRequest{StreamRef: testStream, Group: "g", Member: "m", Start: ShardPosition{Type: "LATEST"}}); err != nil {
		t.Fatal(err)
	}
	putKeys(t, s, "a", "b")
	c.Advance(2 * time.Second)
	between := c.Now().UnixMilli()
	c.Advance(2 * time.Second)
	putKeys(t, s, "c")
	if err := s.SplitShard(ctx, &SplitShardRequest{StreamRef: testStream, Shard: "shardId-0", HashKey: "170141183460469231731687303715884105728"}); err != nil {
		t.Fatal(err)
	}
	putKeys(t, s, "d", "e", "f")
	// read goes on as the consumer would: what it is given until nothing is left.
	read := func() string {
		var got []string
		for range 5 {
			_, held := leases(t, s, "m")
			for _, l := range held {
				data, last := readAll(t, s, l.Iterator)
				got = append(got, data...)
				at := CommitRequest{StreamRef: testStream, Group: "g", Shard: l.Shard, Generation: l.Generation, End: last.Next == ""}
				if !at.End {
					if len(data) == 0 {
						continue
					}
					next, _ := parseIterator(last.Next)
					sh, _ := mustStream(t, s).Spec.Shard(next.shard)
					at.Sequence = sh.Sequence(next.n-1, c.Now().UnixMilli()).String()
				}
				if _, err := s.CommitPosition(ctx, &at); err != nil {
					t.Fatal(err)
				}
			}
		}
		return strings.Join(got, " ")
	}
	seek := func(to ShardPosition) error {
		return s.SeekConsumer(ctx, &SeekRequest{StreamRef: testStream, Group: "g", To: to})
	}
	if got := read(); len(strings.Fields(got)) != 6 {
		t.Fatalf("at first: %s", got)
	}
	for _, test := range []struct {
		name    string
		to      ShardPosition
		parents string
		all     int
	}{
		{"start", ShardPosition{Type: "TRIM_HORIZON"}, "a b c", 6},
		{"time", ShardPosition{Type: "AT_TIMESTAMP", TimestampMs: &between}, "c", 4},
		{"end", ShardPosition{Type: "LATEST"}, "", 0},
	} {
		_, held := leases(t, s, "m")
		if err := seek(test.to); err != nil {
			t.Fatal(err)
		}
		if len(held) > 0 {
			_, err := s.CommitPosition(ctx, &CommitRequest{StreamRef: testStream, Group: "g", Shard: held[0].Shard, Generation: held[0].Generation, LeaseMs: 1000})
			wantFault(t, err, FaultStreamInUse, "belongs to another member")
		}
		got := read()
		if len(strings.Fields(got)) != test.all || !strings.HasPrefix(got, test.parents) { // the children's come in any order
			t.Errorf("from the %s: %s", test.name, got)
		}
	}
	if err := seek(ShardPosition{Type: "LATEST"}); err != nil {
		t.Fatal(err)
	}
	if _, err := s.UpdateShardCount(ctx, &UpdateShardCountRequest{StreamRef: testStream, Target: 3}); err != nil {
		t.Fatal(err)
	}
	putKeys(t, s, "x", "y")
	if got := read(); len(strings.Fields(got)) != 2 {
		t.Errorf("behind the end, in new shards: %s", got)
	}
	future := c.Now().Add(time.Hour).UnixMilli()
	wantFault(t, seek(ShardPosition{Type: "AT_TIMESTAMP", TimestampMs: &future}), FaultStreamArgument, "has passed")
	wantFault(t, seek(ShardPosition{Type: "AT_SEQUENCE_NUMBER"}), FaultStreamArgument, "not to AT_SEQUENCE_NUMBER")
	wantFault(t, s.SeekConsumer(ctx, &SeekRequest{StreamRef: testStream, Group: "nobody", To: ShardPosition{Type: "LATEST"}}), FaultStreamNotFound, "does not exist")
}

// TestCommitment: a commitment lasts 24 hours at least, and one that was told to
// end may be told to go on until then.
func TestCommitment(t *testing.T) {
	ctx := context.Background()
	s, c := newFake(t, 1)
	begin := c.Now().UnixMilli()
	for _, step := range []struct {
		after  time.Duration
		on     bool
		held   bool
		endsIn time.Duration // from the beginning; 0: no end
	}{
		{0, true, true, 0},
		{time.Hour, false, true, 24 * time.Hour},
		{time.Hour, true, true, 0},
		{time.Hour, false, true, 24 * time.Hour},
		{time.Hour, false, true, 24 * time.Hour},
		{21 * time.Hour, false, false, 24 * time.Hour},
	} {
		c.Advance(step.after)
		got, err := s.SetCommitment(ctx, step.on)
		if err != nil {
			t.Fatal(err)
		}
		want := Commitment{model.Commitment{StartedMs: begin}, step.held}
		if step.endsIn > 0 {
			want.EndMs = begin + step.endsIn.Milliseconds()
		}
		if *got != want {
			t.Errorf("%+v: %+v, want %+v", step, *got, want)
		}
	}
	// What an operator sets beside leaves it alone.
	if err := s.NameRegion(ctx, "west"); err != nil {
		t.Fatal(err)
	}
	if got, err := s.GetCommitment(ctx); err != nil || got.StartedMs != begin {
		t.Errorf("after other settings: %+v, %v", got, err)
	}
}
