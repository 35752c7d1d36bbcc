package pipe

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"weir.dev/weir/internal/model"
	"weir.dev/weir/internal/service"
)

func feed() service.StreamRef { return service.StreamRef{Name: "feed"} }

// createStream makes the stream that the tests pipe into.
func (p *plant) createStream(shards int64) {
	p.t.Helper()
	if err := p.service.CreateStream(p.ctx, &service.CreateStreamRequest{StreamRef: feed(), ShardCount: &shards}); err != nil {
		p.t.Fatal(err)
	}
}

// records are those of all shards of the stream: the data, with the key.
func (p *plant) records() (all []string) {
	p.t.Helper()
	st, err := p.service.GetStream(p.ctx, feed())
	if err != nil {
		p.t.Fatal(err)
	}
	for _, sh := range st.Spec.Shards {
		it, err := p.service.GetShardIterator(p.ctx, &service.ShardIteratorRequest{StreamRef: feed(), Shard: sh.Number.String(), Position: service.ShardPosition{Type: "TRIM_HORIZON"}})
		for it != "" {
			var res *service.GetRecordsResult
			if err == nil {
				res, err = p.service.GetRecords(p.ctx, &service.GetRecordsRequest{Iterator: it})
			}
			if err != nil {
				p.t.Fatal(err)
			}
			for _, r := range res.Records {
				if !sh.Range.Contains(model.HashOf([]byte(r.Key))) {
					p.t.Errorf("a record of key %s is in shard %v", r.Key, sh.Number)
				}
				all = append(all, r.Key+" "+string(r.Data))
			}
			if it = res.Next; len(res.Records) == 0 {
				break
			}
		}
	}
	slices.Sort(all)
	return all
}

// feeds is the pipe of the tests: each click becomes a record under its post.
func feeds() *Settings {
	return &Settings{Name: "feeds", From: "queue:clicks", To: "stream:feed", PartitionKey: "$.post"}
}

// wantRecords checks that each click is one record.
func (p *plant) wantRecords(bodies []string) {
	p.t.Helper()
	var want []string
	for i, b := range bodies {
		want = append(want, fmt.Sprintf("p%d %s", i%10, b))
	}
	slices.Sort(want)
	if got := p.records(); !slices.Equal(got, want) {
		p.t.Errorf("%d records of %d clicks: %v", len(got), len(want), got)
	}
}

func (p *plant) reshard(shards int64) {
	_, _ = p.service.UpdateShardCount(p.ctx, &service.UpdateShardCountRequest{StreamRef: feed(), Target: shards})
}

func TestIntoStream(t *testing.T) {
	inPlant(t, func(p *plant) {
		p.createStream(3)
		bodies, _ := clicks(200)
		p.send(append(bodies, "no JSON", `{"post":""}`, `{"post":["x"]}`, fmt.Sprintf(`{"post":%q}`, strings.Repeat("k", 257)))...)
		p.create(feeds())
		p.eventually("the queue is drained", p.drained)
		p.wantRecords(bodies)
		if n := p.left("feeds-dead"); n != 4 {
			t.Errorf("%d dead letters, want 4", n)
		}
		if err := p.engine.Delete(p.ctx, "feeds"); err != nil {
			t.Fatal(err)
		}
		time.Sleep(10 * time.Second) // until its end is done
		data := feeds()
		data.Name, data.Data, data.PartitionKey = "numbers", "$.n", "$id"
		p.send(click("p", 7))
		p.create(data)
		p.eventually("the queue is drained", p.drained)
		if all := p.records(); len(all) != 201 || !slices.ContainsFunc(all, func(r string) bool { return strings.HasSuffix(r, " 7") }) {
			t.Errorf("%d records, none with the data 7", len(all))
		}
		if err := p.service.DeleteStream(p.ctx, &service.DeleteStreamRequest{StreamRef: feed()}); err != nil {
			t.Fatal(err)
		}
		p.send(click("p", 8))
		p.eventually("what has no stream any more is a dead letter", func() bool { return p.left("numbers-dead") == 1 })
	})
}

// TestIntoStreamResharded reshards the stream again and again while proposals
// are refused and answers lost, and while two workers roll the same claims
// forward: every click is one record, in a shard that has its key.
func TestIntoStreamResharded(t *testing.T) {
	for seed := range uint64(6) {
		inPlant(t, func(p *plant) {
			p.createStream(2)
			rng, faults := rand.New(rand.NewPCG(seed, 1)), rand.New(rand.NewPCG(seed, 2)) // the engine calls one at a time
			bodies, _ := clicks(300)
			p.create(feeds())
			first := p.engine
			p.start(seed + 100)
			defer first.Close()
			p.set(func() {
				p.fault = func(int, *model.Command) fault { return []fault{fine, fine, fine, lost, refused}[faults.IntN(5)] }
			})
			for part := range slices.Chunk(bodies, 50) {
				p.set(func() { p.calm = true })
				p.send(part...)
				p.set(func() { p.calm = false })
				time.Sleep(time.Duration(rng.IntN(100)) * time.Millisecond)
				p.reshard(int64(1 + rng.IntN(5)))
			}
			p.set(func() { p.fault = nil })
			p.eventually("the queue is drained", p.drained)
			p.wantRecords(bodies)
		})
	}
}

// TestIntoStreamInterrupted stops the worker at each of its proposals, before
// and after it took effect, reshards the stream, and lets another worker go on.
func TestIntoStreamInterrupted(t *testing.T) {
	for _, where := range []fault{hangBefore, hangAfter} {
		for at := 1; at < 100; at++ {
			reached := false
			inPlant(t, func(p *plant) {
				p.createStream(2)
				bodies, _ := clicks(30)
				p.send(bodies...)
				p.create(feeds())
				p.set(func() {
					from := p.calls
					p.fault = func(call int, _ *model.Command) fault {
						if call != from+at {
							return fine
						}
						reached = true
						return where
					}
				})
				time.Sleep(4 * time.Second)
				p.engine.Close()
				p.set(func() { p.fault = nil })
				p.reshard(3)
				p.start(uint64(at) + 100)
				p.eventually("the queue is drained", p.drained)
				p.wantRecords(bodies)
			})
			if !reached {
				if at < 4 {
					t.Errorf("there are only %d proposals to stop at", at-1)
				}
				break
			}
		}
	}
}

// TestStreamSettings: what a pipe into a stream needs, and what it cannot have.
func TestStreamSettings(t *testing.T) {
	inPlant(t, func(p *plant) {
		p.createStream(1)
		for says, change := range map[string]func(s *Settings){
			"needs a partition key":       func(s *Settings) { s.PartitionKey = "" },
			"are for pipes into tables":   func(s *Settings) { s.Update = "ADD n :n" },
			"there is no stream named no": func(s *Settings) { s.To = "stream:no" },
			"are for pipes into streams":  func(s *Settings) { *s = *likes(); s.Data = "$body" },
			"is malformed":                func(s *Settings) { s.Data = "$.a[" },
		} {
			s := feeds()
			change(s)
			if err := p.engine.Create(p.ctx, s); err == nil || !strings.Contains(err.Error(), says) {
				t.Errorf("error %v, want %q", err, says)
			}
		}
	})
}
