package service

import (
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"weir.dev/weir/internal/model"
)

// TestReshardUnderLoad: while shards are split, merged and scaled without a
// break, and answers are lost, every record of every producer is in the stream
// once, in the order of its key, and no view of the stream has a hole.
func TestReshardUnderLoad(t *testing.T) {
	ctx := context.Background()
	s, c := newStreamFake(t, 2)
	const producers, perCall, changes = 3, 5, 40
	var chance atomic.Int64 // one in so many commands loses its answer
	chance.Store(12)
	dice := rand.New(rand.NewPCG(1, 2)) // under the cluster's lock
	c.Fault = func(model.TabletID) (error, bool) {
		n := chance.Load()
		if n == 0 || dice.Int64N(n) > 0 {
			return nil, false
		}
		if dice.IntN(2) == 0 {
			return model.Errorf(model.ErrUnavailable, "no leader"), false
		}
		return model.Errorf(model.ErrUnknownOutcome, "lost"), true
	}
	var tasks sync.WaitGroup
	var changed atomic.Bool
	calls := make([]int, producers)
	for p := range producers {
		tasks.Go(func() {
			for calls[p] < 5 || !changed.Load() {
				if !produce(t, s, p, calls[p], perCall) {
					return
				}
				calls[p]++
			}
		})
	}
	tasks.Go(func() {
		defer changed.Store(true)
		dice := rand.New(rand.NewPCG(3, 4))
		for range changes {
			if err := reshardAtRandom(s, dice); err != nil {
				t.Error(err)
				return
			}
			if err := mustStream(t, s).Spec.Covers(); err != nil {
				t.Error(err)
			}
		}
	})
	tasks.Wait()
	chance.Store(0)
	if err := s.FinishReshard(ctx, mustStream(t, s).ID); err != nil {
		t.Fatal(err)
	}
	read := map[string][]string{} // by key
	shards := shardsOf(t, s)
	if len(shards) < changes {
		t.Errorf("only %d shards: the stream was hardly resharded", len(shards))
	}
	for _, sh := range shards { // ascending: parents before their children
		data, _ := readAll(t, s, iteratorAt(t, s, sh.ID, ShardPosition{Type: "TRIM_HORIZON"}))
		for _, d := range data {
			key, n, _ := strings.Cut(d, "/")
			read[key] = append(read[key], n)
		}
	}
	for p := range producers {
		for k := range perCall {
			key := fmt.Sprintf("p%d-%d", p, k)
			want := make([]string, calls[p])
			for i := range want {
				want[i] = fmt.Sprintf("%04d", i)
			}
			if !slices.Equal(read[key], want) {
				t.Errorf("%s: %v", key, read[key])
			}
		}
	}
}

// produce puts a call's records, one for each of the producer's keys. It
// repeats the call while it does not know what became of it, and then puts the
// records that failed.
func produce(t *testing.T, s *Service, p, call, perCall int) bool {
	req := &PutRecordsRequest{StreamRef: testStream}
	for k := range perCall {
		key := fmt.Sprintf("p%d-%d", p, k)
		req.Records = append(req.Records, OutgoingRecord{Key: key, Data: fmt.Appendf(nil, "%s/%04d", key, call)})
	}
	for round := 0; len(req.Records) > 0; round++ {
		req.Invocation, req.Retry = model.RequestID{1, byte(p), byte(call), byte(call >> 8), byte(round), byte(round >> 8)}, false
		res, err := s.PutRecords(context.Background(), req)
		for isKind(err, model.ErrUnknownOutcome) {
			req.Retry = true
			res, err = s.PutRecords(context.Background(), req)
		}
		if err != nil {
			t.Error(err)
			return false
		}
		var left []OutgoingRecord
		for k := range res.Records {
			if res.Records[k].Err != nil {
				left = append(left, req.Records[k])
			}
		}
		req.Records = left
	}
	return true
}

// reshardAtRandom changes the shards.
func reshardAtRandom(s *Service, dice *rand.Rand) error {
	ctx := context.Background()
	st, err := s.GetStream(ctx, testStream)
	if err != nil {
		return err
	}
	for st.Status == StreamUpdating { // an answer was lost: somebody goes on
		if st, err = s.GetStream(ctx, testStream); err != nil {
			return err
		}
		_ = s.FinishReshard(ctx, st.ID) // its answers may be lost, too
	}
	switch at := dice.IntN(len(st.open)); {
	case at == 0 || len(st.open) < 8 && dice.IntN(2) == 0:
		return s.SplitHotShard(ctx, st.ID, st.open[at].Number)
	case dice.IntN(4) == 0:
		_, err = s.UpdateShardCount(ctx, &UpdateShardCountRequest{StreamRef: testStream, Target: int64(1 + dice.IntN(6))})
		if isKind(err, model.ErrInUse) {
			return nil
		}
		return err
	default:
		return s.MergeColdShards(ctx, st.ID, st.open[at-1].Number, st.open[at].Number)
	}
}

// FuzzIterator: what a client makes up is refused or is an iterator that it
// could have been given; nothing else happens.
func FuzzIterator(f *testing.F) {
	f.Add(iterator{1, 2, 3, 1_700_000_000_000}.String())
	f.Add("AQEBAgM=")
	f.Add("")
	s, _ := newStreamFake(f, 1)
	f.Fuzz(func(t *testing.T, text string) {
		if it, ok := parseIterator(text); ok && it.String() != text {
			t.Errorf("%q reads as %+v, which is written %q", text, it, it)
		}
		_, _ = s.GetRecords(context.Background(), &GetRecordsRequest{Iterator: text})
		_, _ = s.openPageToken(tokenShards, text)
	})
}
