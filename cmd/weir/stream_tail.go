package main

import (
	"context"
	"fmt"
	"math/big"
	"os"
	"os/signal"
	"sync"
	"time"

	"weir.dev/weir/internal/console"
)

const (
	// tailWaitMs is how long one read waits for records.
	tailWaitMs = 10_000
	// tailPause follows a read that failed.
	tailPause = time.Second
)

// tail shows the records of all shards, and goes on with their children where
// shards end.
func (f *streamFlags) tail(path string) error {
	start, err := f.start()
	if err != nil {
		return err
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	t := &tailer{console: *f.console, path: path, out: &showing{asJSON: f.asJSON, left: f.max, stop: stop}, begun: map[string]bool{}, ended: map[string]bool{}}
	if err := t.begin(ctx, console.Position{Type: "AT_TIMESTAMP", Time: &start}, f.from); err != nil {
		return err
	}
	done := make(chan struct{})
	go func() {
		t.tasks.Wait()
		close(done)
	}()
	select {
	case <-done:
	case <-ctx.Done(): // reads that wait for records end with the process
	}
	return nil
}

// tailer follows the shards of a stream.
type tailer struct {
	console, path string
	out           *showing
	tasks         sync.WaitGroup

	mu           sync.Mutex // guards what follows
	begun, ended map[string]bool
}

// begin follows the shards there are: the open ones from latest, else all.
func (t *tailer) begin(ctx context.Context, from console.Position, word string) error {
	var s console.Stream
	if err := admin(t.console, "GET", t.path, nil, &s); err != nil {
		return err
	}
	switch word {
	case "latest":
		from = console.Position{Type: "LATEST"}
		for _, sh := range s.Shards {
			if sh.Last != "" {
				t.begun[sh.ID], t.ended[sh.ID] = true, true
			}
		}
	case "oldest":
		from = console.Position{Type: "TRIM_HORIZON"}
	}
	t.follow(ctx, &s, from)
	return nil
}

// follow begins to read the shards whose parents are read to their ends.
func (t *tailer) follow(ctx context.Context, s *console.Stream, from console.Position) {
	t.mu.Lock()
	defer t.mu.Unlock()
	known := map[string]bool{}
	for _, sh := range s.Shards {
		known[sh.ID] = true
		ready := !t.begun[sh.ID]
		for _, p := range sh.Parents {
			ready = ready && (t.ended[p] || !known[p])
		}
		if ready {
			t.begun[sh.ID] = true
			from.Shard = sh.ID
			at := from
			t.tasks.Go(func() { t.read(ctx, at) })
		}
	}
}

// read shows a shard's records to its end, and then its children's.
func (t *tailer) read(ctx context.Context, from console.Position) {
	at, last := "", from
	for ctx.Err() == nil {
		if at == "" {
			var it console.Read
			if err := admin(t.console, "POST", t.path+"/iterators", last, &it); err != nil {
				t.complain(ctx, err)
				continue
			}
			at = it.Iterator
		}
		var page console.Records
		if err := admin(t.console, "POST", t.path+"/read", console.Read{Iterator: at, WaitMs: tailWaitMs}, &page); err != nil {
			at = "" // it may have expired
			t.complain(ctx, err)
			continue
		}
		for _, r := range page.Records {
			if ctx.Err() != nil || t.out.show(shownRecord{Shard: from.Shard, Sequence: r.Sequence, Arrived: r.Arrived, Key: r.Key, Data: r.Data}) != nil {
				return
			}
			last = console.Position{Shard: from.Shard, Type: "AFTER_SEQUENCE_NUMBER", Sequence: r.Sequence}
		}
		if at = page.Next; at == "" {
			t.end(ctx, from.Shard)
			return
		}
	}
}

// end goes on with a shard's children.
func (t *tailer) end(ctx context.Context, shard string) {
	t.mu.Lock()
	t.ended[shard] = true
	t.mu.Unlock()
	for ctx.Err() == nil {
		var s console.Stream
		if err := admin(t.console, "GET", t.path, nil, &s); err != nil {
			t.complain(ctx, err)
			continue
		}
		t.follow(ctx, &s, console.Position{Type: "TRIM_HORIZON"})
		return
	}
}

// complain says what failed, and waits a moment.
func (t *tailer) complain(ctx context.Context, err error) {
	if ctx.Err() != nil {
		return
	}
	fmt.Fprintln(os.Stderr, "weir:", err)
	timer := time.NewTimer(tailPause)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-ctx.Done():
	}
}

// middleOf is the hash key in the middle of a shard.
func (f *streamFlags) middleOf(path, shard string) (string, error) {
	var s console.Stream
	if err := admin(*f.console, "GET", path, nil, &s); err != nil {
		return "", err
	}
	for _, sh := range s.Shards {
		first, okFirst := new(big.Int).SetString(sh.HashFirst, 10)
		last, okLast := new(big.Int).SetString(sh.HashLast, 10)
		if sh.ID == shard && okFirst && okLast {
			sum := last.Add(last, first)
			return sum.Add(sum, big.NewInt(1)).Rsh(sum, 1).String(), nil
		}
	}
	return "", fmt.Errorf("there is no shard %s", shard)
}
