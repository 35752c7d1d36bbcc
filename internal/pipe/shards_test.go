package pipe

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"weir.dev/weir/internal/model"
	"weir.dev/weir/internal/service"
)

func events() service.StreamRef { return service.StreamRef{Name: "events"} }

// createEvents makes the stream that the tests pipe from.
func (p *plant) createEvents(shards int64) {
	p.t.Helper()
	if err := p.service.CreateStream(p.ctx, &service.CreateStreamRequest{StreamRef: events(), ShardCount: &shards}); err != nil {
		p.t.Fatal(err)
	}
}

// put puts records: each is "key data".
func (p *plant) put(records ...string) {
	p.t.Helper()
	req := &service.PutRecordsRequest{StreamRef: events()}
	for _, r := range records {
		key, data, _ := strings.Cut(r, " ")
		req.Records = append(req.Records, service.OutgoingRecord{Key: key, Data: []byte(data)})
	}
	res, err := p.service.PutRecords(p.ctx, req)
	if err != nil || res.Failed > 0 {
		p.t.Fatalf("%v, %+v", err, res)
	}
}

// numbered are n records of ten keys, numbered from first on.
func numbered(first, n int) (records []string) {
	for i := first; i < first+n; i++ {
		records = append(records, fmt.Sprintf("p%d %d", i%10, i))
	}
	return records
}

// logs is the pipe of the tests: it keeps the records of each key in a list, and
// their sum.
func logs() *Settings {
	return &Settings{
		Name: "logs", From: "stream:events", To: "table:posts", Key: map[string]string{"id": "$key"},
		Update: "SET seen = list_append(if_not_exists(seen, :none), :one) ADD score :n",
		Values: map[string]string{":none": "[]", ":one": "$.l", ":n": "$.n"},
	}
}

// listing are records for logs, of ten keys, numbered from first on.
func listing(first, n int) (records []string) {
	for i := first; i < first+n; i++ {
		records = append(records, fmt.Sprintf(`p%d {"l":[%d],"n":%d}`, i%10, i, i))
	}
	return records
}

// seen is what the pipe appended to an item, in order.
func (p *plant) seen(post string) (numbers []string) {
	p.t.Helper()
	res, err := p.service.GetItem(p.ctx, &service.GetItemRequest{Table: "posts", Key: model.Item{{Name: "id", Value: model.StringValue(post)}}, Strong: true})
	if err != nil {
		p.t.Fatal(err)
	}
	v, _ := res.Item.Get("seen")
	for _, e := range v.List {
		numbers = append(numbers, e.Str)
	}
	return numbers
}

// wantSeen checks that each of the first n records took effect once, those of a
// key in their order.
func (p *plant) wantSeen(n int) {
	p.t.Helper()
	for key := range 10 {
		var want []string
		for i := key; i < n; i += 10 {
			want = append(want, fmt.Sprint(i))
		}
		if got := p.seen(fmt.Sprintf("p%d", key)); !slices.Equal(got, want) {
			p.t.Errorf("key p%d: %v, want %v", key, got, want)
		}
	}
}

// caughtUp reports that nothing is left for the pipe to do.
func (p *plant) caughtUp(name string) func() bool {
	return func() bool {
		_, pr, err := p.engine.Describe(p.ctx, name)
		return err == nil && pr.Backlog+pr.UnderWay == 0
	}
}

func (p *plant) reshardEvents(shards int64) {
	_, _ = p.service.UpdateShardCount(p.ctx, &service.UpdateShardCountRequest{StreamRef: events(), Target: shards})
}

func TestFromStream(t *testing.T) {
	inPlant(t, func(p *plant) {
		p.createEvents(3)
		p.put(listing(0, 200)...)
		p.create(logs())
		p.eventually("the pipe has caught up", p.caughtUp("logs"))
		p.put(listing(200, 300)...)
		p.put("x no JSON", `y {"n":1}`, "z \xff\x00")
		p.eventually("the pipe has caught up", p.caughtUp("logs"))
		p.wantSeen(500)
		letters := p.letters("logs-dead")
		if len(letters) != 3 {
			t.Fatalf("dead letters: %v", letters)
		}
		for key, want := range map[string]string{"x": "no JSON the body is not JSON", "y": "the body has no $.l", "z": "/wA= the body is not JSON"} {
			if !strings.Contains(letters[key], want) {
				t.Errorf("the letter of %s: %s, want %q", key, letters[key], want)
			}
		}
	})
}

// letters are the dead letters of records by their keys.
func (p *plant) letters(queue string) map[string]string {
	p.t.Helper()
	all := map[string]string{}
	for range 10 {
		got, err := p.service.ReceiveMessages(p.ctx, &service.ReceiveRequest{Queue: queue, Max: 10})
		if err != nil {
			p.t.Fatal(err)
		}
		for _, m := range got {
			attrs := map[string]string{}
			for _, a := range m.Attrs {
				attrs[a.Name] = string(a.Value)
			}
			all[attrs[keyAttribute]] = strings.TrimSpace(string(m.Body) + " " + attrs[reasonAttribute] + " " + attrs[encodingAttribute])
			if attrs[pipeAttribute] == "" || attrs[sequenceAttribute] == "" || !strings.HasPrefix(attrs[shardAttribute], "shardId-") {
				p.t.Errorf("attributes of a letter: %v", attrs)
			}
		}
	}
	return all
}

// TestFromStreamResharded reshards the source again and again while proposals
// are refused and answers lost, and two workers read it: each record takes
// effect once, those of a key in their order.
func TestFromStreamResharded(t *testing.T) {
	for seed := range uint64(6) {
		inPlant(t, func(p *plant) {
			p.createEvents(2)
			rng, faults := rand.New(rand.NewPCG(seed, 1)), rand.New(rand.NewPCG(seed, 2))
			p.create(logs())
			first := p.engine
			p.start(seed + 100)
			defer first.Close()
			p.set(func() {
				p.fault = func(int, *model.Command) fault { return []fault{fine, fine, fine, lost, refused}[faults.IntN(5)] }
			})
			for part := range 6 {
				p.set(func() { p.calm = true })
				p.put(listing(50*part, 50)...)
				time.Sleep(time.Duration(rng.IntN(100)) * time.Millisecond)
				p.reshardEvents(int64(1 + rng.IntN(5)))
				p.set(func() { p.calm = false })
			}
			p.set(func() { p.fault = nil })
			p.eventually("the pipe has caught up", p.caughtUp("logs"))
			p.wantSeen(300)
		})
	}
}

// TestFromStreamInterrupted stops the worker at each of its proposals, before
// and after it took effect, and lets another worker go on.
func TestFromStreamInterrupted(t *testing.T) {
	for _, where := range []fault{hangBefore, hangAfter} {
		for at := 1; at < 100; at++ {
			reached := false
			inPlant(t, func(p *plant) {
				p.createEvents(2)
				p.put(listing(0, 30)...)
				p.put("x no JSON")
				p.create(logs())
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
				p.start(uint64(at) + 100)
				p.eventually("the pipe has caught up", p.caughtUp("logs"))
				p.wantSeen(30)
				if n := p.left("logs-dead"); n != 1 {
					t.Errorf("stopped at proposal %d: %d dead letters, want 1", at, n)
				}
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

// TestFromStreamOn: into a stream, whatever the data are, and into queues.
func TestFromStreamOn(t *testing.T) {
	inPlant(t, func(p *plant) {
		p.createEvents(2)
		p.createStream(3)
		if _, err := p.service.CreateQueue(p.ctx, &service.CreateQueueRequest{Name: "orders.fifo", Attributes: []service.QueueAttribute{{Name: "FifoQueue", Value: "true"}}}); err != nil {
			t.Fatal(err)
		}
		p.put(append(numbered(0, 100), "bin \xff\x00", "empty ")...)
		p.create(&Settings{Name: "copy", From: "stream:events", To: "stream:feed"})
		p.create(&Settings{Name: "out", From: "stream:events", To: "queue:clicks"})
		p.create(&Settings{Name: "ordered", From: "stream:events", To: "queue:orders.fifo"})
		for _, name := range []string{"copy", "out", "ordered"} {
			p.eventually(name+" has caught up", p.caughtUp(name))
		}
		want := append(numbered(0, 100), "bin \xff\x00", "empty ")
		slices.Sort(want)
		if got := p.records(); !slices.Equal(got, want) {
			t.Errorf("copied: %q", got)
		}
		if n, m := p.left("clicks"), p.left("orders.fifo"); n != 100 || m != 100 {
			t.Errorf("%d and %d messages, want 100", n, m)
		}
		if n, m := p.left("out-dead"), p.left("ordered-dead"); n != 2 || m != 2 {
			t.Errorf("%d and %d dead letters, want 2", n, m)
		}
		var next [10]int // by partition key, which is the group
		for range 30 {
			got, err := p.service.ReceiveMessages(p.ctx, &service.ReceiveRequest{Queue: "orders.fifo", Max: 10})
			if err != nil {
				t.Fatal(err)
			}
			for _, m := range got {
				n, err := strconv.Atoi(string(m.Body))
				if err != nil || n/10 != next[n%10] {
					t.Errorf("group p%d: %s came as number %d", n%10, m.Body, next[n%10])
				}
				next[n%10]++
				if _, err := p.service.DeleteMessages(p.ctx, &service.DeleteMessagesRequest{Queue: "orders.fifo", Handles: []string{m.Receipt}}); err != nil {
					t.Fatal(err)
				}
			}
		}
		if next != [10]int{10, 10, 10, 10, 10, 10, 10, 10, 10, 10} {
			t.Errorf("of each group came %v, want 10", next)
		}
	})
}

// TestFromStreamSteered: the start, the rate, pausing, describing and deleting.
func TestFromStreamSteered(t *testing.T) {
	inPlant(t, func(p *plant) {
		p.createEvents(2)
		p.put("p0 7")
		time.Sleep(time.Second)
		s := &Settings{Name: "sums", From: "stream:events", To: "table:posts", Key: map[string]string{"id": "$key"},
			Update: "ADD score :n", Values: map[string]string{":n": "$"}, Start: "latest", Rate: 10}
		p.create(s)
		time.Sleep(2 * time.Second)
		p.put(numbered(0, 100)...)
		time.Sleep(5 * time.Second)
		_, pr, err := p.engine.Describe(p.ctx, "sums")
		if err != nil || pr.Backlog < 40 || pr.Backlog > 60 || pr.LagSeconds < 4 || pr.DrainSeconds < 4 {
			t.Errorf("after five of ten seconds: %+v, %v", pr, err)
		}
		paused := true
		if err := p.engine.Change(p.ctx, "sums", nil, &paused); err != nil {
			t.Fatal(err)
		}
		time.Sleep(2 * time.Second)
		_, before, _ := p.engine.Describe(p.ctx, "sums")
		time.Sleep(5 * time.Second)
		if _, after, _ := p.engine.Describe(p.ctx, "sums"); after.Backlog != before.Backlog || before.Backlog == 0 {
			t.Errorf("it went on while paused: %+v, then %+v", before, after)
		}
		paused, s.Rate = false, 0
		if err := p.engine.Change(p.ctx, "sums", &s.Rate, &paused); err != nil {
			t.Fatal(err)
		}
		p.eventually("it has caught up", p.caughtUp("sums"))
		for key := range 10 {
			sum := 0
			for i := key; i < 100; i += 10 {
				sum += i
			}
			if got := p.score(fmt.Sprintf("p%d", key)); got != fmt.Sprint(sum) { // without what was there before
				t.Errorf("p%d: %s, want %d", key, got, sum)
			}
		}
		if err := p.engine.Delete(p.ctx, "sums"); err != nil {
			t.Fatal(err)
		}
		p.eventually("its positions are forgotten", func() bool { return p.positions() == 0 && len(p.Catalog().Deleted) == 0 })
	})
}

// positions is how many positions the stream's shards hold.
func (p *plant) positions() (n int) {
	p.t.Helper()
	st, err := p.service.GetStream(p.ctx, events())
	if err != nil {
		p.t.Fatal(err)
	}
	for _, sh := range st.Spec.Shards {
		q := model.PositionsQuery{Shard: sh.Number}
		res, err := p.Read(p.ctx, &model.Query{Kind: model.QueryPositions, Resource: st.ID, Slot: model.ShardSlot(st.ID, sh.Number), Body: q.Append(nil)}, true)
		if err != nil {
			p.t.Fatal(err)
		}
		var found model.PositionsResult
		found.Decode(model.NewDecoder(res.Body))
		n += len(found.Groups)
	}
	return n
}

// TestFromStreamSettings: what a pipe from a stream cannot have.
func TestFromStreamSettings(t *testing.T) {
	inPlant(t, func(p *plant) {
		p.createEvents(1)
		for says, change := range map[string]func(s *Settings){
			"there is no stream named no":      func(s *Settings) { s.From = "stream:no" },
			"into itself":                      func(s *Settings) { *s = Settings{Name: "x", From: "stream:events", To: "stream:events"} },
			"starts at oldest":                 func(s *Settings) { s.Start = "yesterday" },
			"only a pipe from a stream has":    func(s *Settings) { *s = *likes(); s.Start = "latest" },
			"those into queues":                func(s *Settings) { s.Group = "$key" },
			"values are for pipes into tables": func(s *Settings) { s.To = "queue:clicks" },
			"a partition key is for": func(s *Settings) {
				*s = Settings{Name: "x", From: "stream:events", To: "queue:clicks", PartitionKey: "$key"}
			},
		} {
			s := logs()
			change(s)
			if err := p.engine.Create(p.ctx, s); err == nil || !strings.Contains(err.Error(), says) {
				t.Errorf("error %v, want %q", err, says)
			}
		}
	})
}
