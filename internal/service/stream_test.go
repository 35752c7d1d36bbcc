package service

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"weir.dev/weir/internal/fakecluster"
	"weir.dev/weir/internal/model"
)

// testStream is the stream of the tests.
var testStream = StreamRef{Name: "s", Account: "123456789012"}

func ptr[T any](v T) *T { return &v }

// newStreamFake makes a service with a stream of that many shards.
func newStreamFake(t testing.TB, shards int64) (*Service, *fakecluster.Cluster) {
	t.Helper()
	s, c := newFake(t, 3)
	if err := s.CreateStream(context.Background(), &CreateStreamRequest{StreamRef: testStream, ShardCount: &shards}); err != nil {
		t.Fatal(err)
	}
	return s, c
}

// putKeys puts one record for each key, whose data is the key.
func putKeys(t testing.TB, s *Service, keys ...string) []PutRecord {
	t.Helper()
	req := &PutRecordsRequest{StreamRef: testStream}
	for _, k := range keys {
		req.Records = append(req.Records, OutgoingRecord{Key: k, Data: []byte(k)})
	}
	res, err := s.PutRecords(context.Background(), req)
	if err != nil || res.Failed > 0 {
		t.Fatal(res, err)
	}
	return res.Records
}

func iteratorAt(t testing.TB, s *Service, shard string, p ShardPosition) string {
	t.Helper()
	it, err := s.GetShardIterator(context.Background(), &ShardIteratorRequest{StreamRef: testStream, Shard: shard, Position: p})
	if err != nil {
		t.Fatal(err)
	}
	return it
}

// readAll reads a shard to its end, or to where there is no more.
func readAll(t testing.TB, s *Service, it string) (data []string, last *GetRecordsResult) {
	t.Helper()
	for it != "" {
		res, err := s.GetRecords(context.Background(), &GetRecordsRequest{Iterator: it, Limit: 3})
		if err != nil {
			t.Fatal(err)
		}
		for _, r := range res.Records {
			data = append(data, string(r.Data))
		}
		last = res
		if len(res.Records) == 0 && res.Next != "" {
			break
		}
		it = res.Next
	}
	return data, last
}

// shards are all shards of the stream.
func shardsOf(t testing.TB, s *Service) []Shard {
	t.Helper()
	res, err := s.DescribeStream(context.Background(), &DescribeStreamRequest{StreamRef: testStream, Limit: 10000})
	if err != nil {
		t.Fatal(err)
	}
	return res.Shards
}

// wantFault checks an error's fault and a part of its words.
func wantFault(t testing.TB, err error, fault StreamFault, words string) {
	t.Helper()
	var e *StreamError
	if !errors.As(err, &e) || e.Fault != fault || !strings.Contains(e.Message, words) {
		t.Errorf("error %v, want fault %d with %q", err, fault, words)
	}
}

func TestStreamIterators(t *testing.T) {
	ctx := context.Background()
	s, c := newStreamFake(t, 1)
	first := putKeys(t, s, "a", "b")
	c.Advance(2 * time.Second)
	between := c.Now().UnixMilli()
	c.Advance(2 * time.Second)
	putKeys(t, s, "c", "d")
	shard := first[0].Shard
	latest := iteratorAt(t, s, shard, ShardPosition{Type: "LATEST"})
	for _, test := range []struct {
		at   ShardPosition
		want string
	}{
		{ShardPosition{Type: "TRIM_HORIZON"}, "a b c d"},
		{ShardPosition{Type: "LATEST"}, ""},
		{ShardPosition{Type: "AT_SEQUENCE_NUMBER", Sequence: first[1].Sequence}, "b c d"},
		{ShardPosition{Type: "AFTER_SEQUENCE_NUMBER", Sequence: first[1].Sequence}, "c d"},
		{ShardPosition{Type: "AT_SEQUENCE_NUMBER", Sequence: shardsOf(t, s)[0].First}, "a b c d"},
		{ShardPosition{Type: "AT_TIMESTAMP", TimestampMs: &between}, "c d"},
		{ShardPosition{Type: "AT_TIMESTAMP", TimestampMs: ptr(int64(0))}, "a b c d"},
	} {
		got, last := readAll(t, s, iteratorAt(t, s, shard, test.at))
		if strings.Join(got, " ") != test.want || last.Next == "" || last.MillisBehind != 0 {
			t.Errorf("%+v: %q, then %+v", test.at, got, last)
		}
	}
	putKeys(t, s, "e")
	if got, _ := readAll(t, s, latest); strings.Join(got, " ") != "e" {
		t.Errorf("from LATEST: %q", got)
	}
	c.Advance(time.Second)
	res, err := s.GetRecords(ctx, &GetRecordsRequest{Iterator: iteratorAt(t, s, shard, ShardPosition{Type: "TRIM_HORIZON"}), Limit: 1})
	if err != nil || res.MillisBehind < 4000 {
		t.Errorf("%+v, %v", res, err)
	}

	ask := func(p ShardPosition) error {
		_, err := s.GetShardIterator(ctx, &ShardIteratorRequest{StreamRef: testStream, Shard: shard, Position: p})
		return err
	}
	wantFault(t, ask(ShardPosition{Type: "AT_SEQUENCE_NUMBER"}), FaultStreamArgument, "and no StartingSequenceNumber.")
	wantFault(t, ask(ShardPosition{Type: "LATEST", Sequence: "1"}), FaultStreamArgument, "and also a StartingSequenceNumber.")
	wantFault(t, ask(ShardPosition{Type: "AT_SEQUENCE_NUMBER", Sequence: "12"}), FaultStreamArgument, "did not come from this stream")
	wantFault(t, ask(ShardPosition{Type: "AT_TIMESTAMP"}), FaultStreamArgument, "Must specify timestampInMillis")
	future := c.Now().UnixMilli() + 1000
	wantFault(t, ask(ShardPosition{Type: "AT_TIMESTAMP", TimestampMs: &future}), FaultStreamArgument, "cannot be greater than the currentTimestampInMillis")
	_, err = s.GetShardIterator(ctx, &ShardIteratorRequest{StreamRef: testStream, Shard: "shardId-000000000009", Position: ShardPosition{Type: "LATEST"}})
	wantFault(t, err, FaultStreamNotFound, "Shard shardId-000000000009 in stream s under account 123456789012 does not exist")

	c.Advance(5*time.Minute + time.Second)
	_, err = s.GetRecords(ctx, &GetRecordsRequest{Iterator: latest})
	wantFault(t, err, FaultExpiredIterator, "which is further in the future than the tolerated delay of 300000 milliseconds.")
	_, err = s.GetRecords(ctx, &GetRecordsRequest{Iterator: "AAAAAAAAAA"})
	wantFault(t, err, FaultStreamArgument, "Invalid ShardIterator.")
}

// TestReadWaits: a read with a wait takes its time, and not a moment more when
// there is a record.
func TestReadWaits(t *testing.T) {
	s, c := newStreamFake(t, 1)
	it := iteratorAt(t, s, "shardId-000000000000", ShardPosition{Type: "TRIM_HORIZON"})
	began := c.Now()
	res, err := s.GetRecords(context.Background(), &GetRecordsRequest{Iterator: it, WaitMs: 3000})
	if err != nil || len(res.Records) != 0 || c.Now().Sub(began) != 3*time.Second {
		t.Errorf("%+v, %v after %v", res, err, c.Now().Sub(began))
	}
	putKeys(t, s, "a")
	began = c.Now()
	res, err = s.GetRecords(context.Background(), &GetRecordsRequest{Iterator: res.Next, WaitMs: 3000})
	if err != nil || len(res.Records) != 1 || c.Now() != began {
		t.Errorf("%+v, %v after %v", res, err, c.Now().Sub(began))
	}
}

// TestReshard: the parents end, tell their children, and the children begin
// behind them.
func TestReshard(t *testing.T) {
	ctx := context.Background()
	s, _ := newStreamFake(t, 2)
	before := putKeys(t, s, "a", "b", "c", "d", "e", "f")
	all := shardsOf(t, s)
	split := &SplitShardRequest{StreamRef: testStream, Shard: all[0].ID, HashKey: "1000"}
	if err := s.SplitShard(ctx, split); err != nil {
		t.Fatal(err)
	}
	wantFault(t, s.SplitShard(ctx, split), FaultStreamArgument, "has already been merged or split")
	wantFault(t, s.SplitShard(ctx, &SplitShardRequest{StreamRef: testStream, Shard: all[1].ID, HashKey: "7"}), FaultStreamArgument, "is not both greater than one plus")
	wantFault(t, s.MergeShards(ctx, &MergeShardsRequest{StreamRef: testStream, Shard: "shardId-000000000002", Adjacent: all[1].ID}), FaultStreamArgument, "are not an adjacent pair")
	if err := s.MergeShards(ctx, &MergeShardsRequest{StreamRef: testStream, Shard: "shardId-000000000003", Adjacent: all[1].ID}); err != nil {
		t.Fatal(err)
	}
	after := putKeys(t, s, "a", "b", "c")
	for i := range after {
		old, _ := model.ParseSequence(before[i].Sequence)
		now, err := model.ParseSequence(after[i].Sequence)
		if err != nil || now.Compare(old) <= 0 || after[i].Shard != "shardId-000000000004" {
			t.Errorf("%v after %v", after[i], before[i])
		}
	}
	shown := shardsOf(t, s)
	if len(shown) != 5 || shown[0].Last == "" || shown[2].Parent != all[0].ID || shown[4].Parent != all[1].ID || shown[4].AdjacentParent != "shardId-000000000003" {
		t.Errorf("shards %+v", shown)
	}
	_, last := readAll(t, s, iteratorAt(t, s, all[0].ID, ShardPosition{Type: "TRIM_HORIZON"}))
	if last.Next != "" || len(last.Children) != 2 || last.Children[0].ID != "shardId-000000000002" || last.Children[1].Parents[0] != all[0].ID {
		t.Errorf("at the end of a split shard: %+v", last)
	}
	_, last = readAll(t, s, iteratorAt(t, s, all[1].ID, ShardPosition{Type: "AFTER_SEQUENCE_NUMBER", Sequence: shown[1].Last}))
	if last.Next != "" || len(last.Children) != 1 || len(last.Children[0].Parents) != 2 {
		t.Errorf("at the end of a merged shard: %+v", last)
	}

	res, err := s.UpdateShardCount(ctx, &UpdateShardCountRequest{StreamRef: testStream, Target: 7})
	if err != nil || res.Current != 2 || res.Target != 7 {
		t.Fatal(res, err)
	}
	st, err := s.GetStream(ctx, testStream)
	if err != nil || st.OpenShards != 7 || st.Status != StreamActive || st.Spec.Covers() != nil {
		t.Errorf("%+v, %v", st, err)
	}
	s.SetProfile(AWSProfile)
	_, err = s.UpdateShardCount(ctx, &UpdateShardCountRequest{StreamRef: testStream, Target: 15})
	wantFault(t, err, FaultStreamArgument, "cannot scale up over double")
	_, err = s.UpdateShardCount(ctx, &UpdateShardCountRequest{StreamRef: testStream, Target: 3})
	wantFault(t, err, FaultStreamArgument, "cannot scale down below half")
}

// TestReshardLeft: a plan that its starter left is finished by whoever meets it:
// a put, a read of the ended shard, or the node that looks after the stream.
func TestReshardLeft(t *testing.T) {
	ctx := context.Background()
	finishers := map[string]func(s *Service, id model.ResourceID){
		"put": func(s *Service, _ model.ResourceID) { putKeys(t, s, "a") },
		"read": func(s *Service, _ model.ResourceID) {
			readAll(t, s, iteratorAt(t, s, "shardId-000000000000", ShardPosition{Type: "TRIM_HORIZON"}))
		},
		"node": func(s *Service, id model.ResourceID) {
			if err := s.FinishReshard(ctx, id); err != nil {
				t.Error(err)
			}
		},
	}
	for name, finish := range finishers {
		s, c := newStreamFake(t, 1)
		c.Fault = func(model.TabletID) (error, bool) { return model.Errorf(model.ErrUnknownOutcome, "lost"), true }
		if err := s.SplitShard(ctx, &SplitShardRequest{StreamRef: testStream, Shard: "shardId-000000000000", HashKey: "99999999999999"}); err != nil {
			t.Fatal(err)
		}
		c.Fault = nil
		st, err := s.GetStream(ctx, testStream)
		if err != nil || st.Status != StreamUpdating || st.OpenShards != 1 {
			t.Fatalf("%s: %+v, %v", name, st, err)
		}
		wantFault(t, s.MergeShards(ctx, &MergeShardsRequest{StreamRef: testStream, Shard: "shardId-0", Adjacent: "shardId-0"}), FaultStreamInUse, "not ACTIVE, instead in state UPDATING")
		finish(s, st.ID)
		if st, err = s.GetStream(ctx, testStream); err != nil || st.Status != StreamActive || st.OpenShards != 2 {
			t.Errorf("%s: %+v, %v", name, st, err)
		}
	}
}

// TestPutTwice: a call that its client repeats puts each record once, also when
// the answer was lost, or said that records are not where they have to be, and the stream was resharded before the second try.
func TestPutTwice(t *testing.T) {
	ctx := context.Background()
	lost := map[int64]model.ErrorKind{0: model.ErrUnknownOutcome, 1: model.ErrNotAbroad, 5: model.ErrNotOnAll}
	for _, reshard := range []int64{0, 1, 5} {
		s, c := newStreamFake(t, 2)
		req := &PutRecordsRequest{StreamRef: testStream, Invocation: model.RequestID{7}}
		for i := range 20 {
			k := fmt.Sprint("k", i)
			req.Records = append(req.Records, OutgoingRecord{Key: k, Data: []byte(k)})
		}
		losing := c.TabletOf(model.ShardSlot(mustStream(t, s).ID, 0))
		c.Fault = func(tablet model.TabletID) (error, bool) {
			if tablet == losing {
				return model.Errorf(lost[reshard], "lost"), true
			}
			return nil, false
		}
		if _, err := s.PutRecords(ctx, req); !isKind(err, lost[reshard]) {
			t.Fatal(err)
		}
		c.Fault = nil
		if reshard > 0 {
			if _, err := s.UpdateShardCount(ctx, &UpdateShardCountRequest{StreamRef: testStream, Target: reshard}); err != nil {
				t.Fatal(err)
			}
		}
		req.Retry = true
		res, err := s.PutRecords(ctx, req)
		if err != nil || res.Failed > 0 {
			t.Fatal(res, err)
		}
		seen := map[string]int{}
		for _, sh := range shardsOf(t, s) {
			data, _ := readAll(t, s, iteratorAt(t, s, sh.ID, ShardPosition{Type: "TRIM_HORIZON"}))
			for _, d := range data {
				seen[d]++
			}
		}
		for i := range req.Records {
			if k := req.Records[i].Key; seen[k] != 1 {
				t.Errorf("after a resharding to %d: %s is there %d times", reshard, k, seen[k])
			}
			at := iteratorAt(t, s, res.Records[i].Shard, ShardPosition{Type: "AT_SEQUENCE_NUMBER", Sequence: res.Records[i].Sequence})
			got, err := s.GetRecords(ctx, &GetRecordsRequest{Iterator: at, Limit: 1})
			if err != nil || len(got.Records) != 1 || got.Records[0].Key != req.Records[i].Key || got.Records[0].Sequence != res.Records[i].Sequence {
				t.Errorf("record %d is not where the answer says: %+v, %v", i, got, err)
			}
		}
	}
}

func mustStream(t testing.TB, s *Service) *Stream {
	t.Helper()
	st, err := s.GetStream(context.Background(), testStream)
	if err != nil {
		t.Fatal(err)
	}
	return st
}

func TestPutChecks(t *testing.T) {
	ctx := context.Background()
	s, c := newStreamFake(t, 2)
	put := func(r OutgoingRecord) error {
		_, err := s.PutRecords(ctx, &PutRecordsRequest{StreamRef: testStream, Single: true, Records: []OutgoingRecord{r}})
		return err
	}
	wantFault(t, put(OutgoingRecord{Key: "k", HashKey: "340282366920938463463374607431768211456"}), FaultStreamArgument, "Invalid ExplicitHashKey.")
	wantFault(t, put(OutgoingRecord{Key: strings.Repeat("k", 257)}), FaultStreamValidation, "partitionKey")
	wantFault(t, put(OutgoingRecord{Key: "k", Data: make([]byte, 1<<20)}), FaultStreamArgument, "maximum record size")
	if err := put(OutgoingRecord{Key: "k", Data: make([]byte, 1<<20-1), HashKey: "340282366920938463463374607431768211455"}); err != nil {
		t.Error(err)
	}
	if err := s.UpdateMaxRecordSize(ctx, testStream, 2048); err != nil {
		t.Fatal(err)
	}
	if err := put(OutgoingRecord{Key: "k", Data: make([]byte, 1<<20)}); err != nil {
		t.Error(err)
	}
	_, err := s.PutRecords(ctx, &PutRecordsRequest{StreamRef: StreamRef{Name: "no", Account: "123456789012"}, Records: []OutgoingRecord{{Key: "k"}}})
	wantFault(t, err, FaultStreamNotFound, "Stream no under account 123456789012 not found.")

	// Explicit hash keys choose the shard; a tablet that is out fails its records
	// and no others.
	down := c.TabletOf(model.ShardSlot(mustStream(t, s).ID, 1))
	up := c.TabletOf(model.ShardSlot(mustStream(t, s).ID, 0))
	if down == up {
		t.Fatal("the shards are in one tablet: choose other slots for the test")
	}
	c.Fault = func(tablet model.TabletID) (error, bool) {
		if tablet == down {
			return model.Errorf(model.ErrUnavailable, "down"), false
		}
		return nil, false
	}
	res, err := s.PutRecords(ctx, &PutRecordsRequest{StreamRef: testStream, Records: []OutgoingRecord{
		{Key: "x", HashKey: "340282366920938463463374607431768211455"}, {Key: "x", HashKey: "0"},
	}})
	if err != nil || res.Failed != 1 || res.Records[0].Err == nil || res.Records[1].Shard != "shardId-000000000000" {
		t.Errorf("%+v, %v", res, err)
	}
}

// TestAWSLimits: under the aws profile a shard takes a thousand records and a
// MiB each second, and answers five reads; without it there is no such limit.
func TestAWSLimits(t *testing.T) {
	ctx := context.Background()
	s, c := newStreamFake(t, 1)
	req := &PutRecordsRequest{StreamRef: testStream}
	for range 500 {
		req.Records = append(req.Records, OutgoingRecord{Key: "k"})
	}
	failed := func() int {
		res, err := s.PutRecords(ctx, req)
		if err != nil {
			t.Fatal(err)
		}
		return res.Failed
	}
	for range 4 {
		if n := failed(); n != 0 {
			t.Errorf("%d failed without a limit", n)
		}
	}
	s.SetProfile(AWSProfile)
	for i, want := range []int{0, 0, 500} {
		if n := failed(); n != want {
			t.Errorf("records %d to %d of a second: %d failed", 500*i, 500*(i+1), n)
		}
	}
	c.Advance(time.Second)
	req.Records = req.Records[:1]
	req.Records[0].Data = make([]byte, 600<<10)
	if failed() != 0 || failed() != 1 {
		t.Error("1,200 KiB in a second")
	}
	req.Single = true
	_, err := s.PutRecords(ctx, req)
	wantFault(t, err, FaultStreamThroughput, "Rate exceeded for shard shardId-000000000000 in stream s under account 123456789012.")
	it := iteratorAt(t, s, "shardId-000000000000", ShardPosition{Type: "LATEST"})
	for i := range 6 {
		_, err = s.GetRecords(ctx, &GetRecordsRequest{Iterator: it})
		if (err != nil) != (i == 5) {
			t.Errorf("read %d: %v", i, err)
		}
	}
	wantFault(t, err, FaultStreamThroughput, "Rate exceeded")
}
