package weirstream_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"weir.dev/weir/weirstream"
	"weir.dev/weir/weirtest"
)

// patience bounds what takes real time.
const patience = 30 * time.Second

// post sends a request to the admin API.
func post(t *testing.T, srv *weirtest.Server, path string, body any) {
	t.Helper()
	text, err := json.Marshal(body)
	if err != nil {
		t.Fatal(err)
	}
	resp, err := http.Post(srv.ConsoleURL()+path, "application/json", bytes.NewReader(text))
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		var says bytes.Buffer
		_, _ = says.ReadFrom(resp.Body)
		t.Fatalf("%s: %s: %s", path, resp.Status, says.String())
	}
}

// ledger notes what members handled.
type ledger struct {
	mu      sync.Mutex // guards what follows
	byKey   map[string][]string
	members map[string]bool
	last    string // what each key must have come to
	keys    int
	done    func()
}

func (l *ledger) note(member string, records []weirstream.Record) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.members[member] = true
	for _, r := range records {
		l.byKey[r.Key] = append(l.byKey[r.Key], string(r.Data))
	}
	for _, got := range l.byKey {
		if !slices.Contains(got, l.last) {
			return
		}
	}
	if len(l.byKey) == l.keys && len(l.members) == 2 {
		l.done()
	}
}

// TestMembersShare: two members share the shards, across a resharding; each
// key's records come in their order, and none is left out.
func TestMembersShare(t *testing.T) {
	srv := weirtest.Start(t)
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	post(t, srv, "/api/streams", map[string]any{"name": "clicks", "shards": 4})
	const keys, rounds = 12, 10
	l := &ledger{byKey: map[string][]string{}, members: map[string]bool{}, last: fmt.Sprintf("%03d", rounds-1), keys: keys, done: cancel}
	put := func(round int) {
		var records []map[string]any
		for k := range keys {
			records = append(records, map[string]any{"key": fmt.Sprint("k", k), "data": fmt.Appendf(nil, "%03d", round)})
		}
		post(t, srv, "/api/streams/clicks/records", map[string]any{"records": records})
	}
	for round := range rounds / 2 {
		put(round)
	}
	var members sync.WaitGroup
	for _, name := range []string{"one", "two"} {
		c := &weirstream.Consumer{
			Addr: strings.TrimPrefix(srv.ConsoleURL(), "http://"), Stream: "clicks", Name: "scores", Member: name, Lease: time.Second, Batch: 2,
			Handle: func(_ context.Context, _ string, records []weirstream.Record) error {
				l.note(name, records)
				return nil
			},
		}
		members.Go(func() {
			if err := c.Run(ctx); err != nil {
				t.Errorf("member %s: %v", name, err)
			}
		})
	}
	post(t, srv, "/api/streams/clicks/reshard", map[string]any{"shards": 3})
	for round := rounds / 2; round < rounds; round++ {
		put(round)
	}
	// Both members shall have a part: more records until they have.
	for round := rounds; ctx.Err() == nil; round++ {
		put(round)
	}
	members.Wait()
	if len(l.members) != 2 || len(l.byKey) != keys {
		t.Fatalf("members %v handled %d keys", l.members, len(l.byKey))
	}
	for key, got := range l.byKey {
		distinct := slices.Compact(slices.Clone(got))
		if !slices.IsSorted(got) || len(distinct) < rounds || distinct[0] != "000" || distinct[rounds-1] != fmt.Sprintf("%03d", rounds-1) {
			t.Errorf("%s: %v", key, got)
		}
	}
}

// TestHandleFails: an error of Handle ends Run, and the next run is given the
// records again, and only those that were not committed.
func TestHandleFails(t *testing.T) {
	srv := weirtest.Start(t)
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	post(t, srv, "/api/streams", map[string]any{"name": "s"})
	post(t, srv, "/api/streams/s/records", map[string]any{"records": []map[string]any{{"key": "k", "data": []byte("a")}, {"key": "k", "data": []byte("b")}}})
	broken := errors.New("broken")
	var got []string
	run := func(fail string) error {
		ctx, stop := context.WithCancel(ctx)
		defer stop()
		c := &weirstream.Consumer{
			Addr: strings.TrimPrefix(srv.ConsoleURL(), "http://"), Stream: "s", Name: "c", Batch: 1,
			Handle: func(_ context.Context, shard string, records []weirstream.Record) error {
				got = append(got, string(records[0].Data))
				if string(records[0].Data) == fail {
					return broken
				}
				if string(records[0].Data) == "b" {
					stop()
				}
				return nil
			},
		}
		return c.Run(ctx)
	}
	if err := run("b"); !errors.Is(err, broken) {
		t.Errorf("error %v", err)
	}
	if err := run(""); err != nil {
		t.Error(err)
	}
	if strings.Join(got, " ") != "a b b" {
		t.Errorf("handled %v", got)
	}
	if err := (&weirstream.Consumer{Addr: strings.TrimPrefix(srv.ConsoleURL(), "http://"), Stream: "no", Name: "c",
		Handle: func(context.Context, string, []weirstream.Record) error { return nil }}).Run(ctx); err == nil || !strings.Contains(err.Error(), "not found") {
		t.Errorf("a stream that is not there: %v", err)
	}
}
