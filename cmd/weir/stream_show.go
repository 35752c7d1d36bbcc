package main

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/signal"
	"strconv"
	"strings"
	"sync"
	"time"

	"weir.dev/weir/weirstream"
)

// showing prints records, one line each, from several shards at once.
type showing struct {
	mu     sync.Mutex // guards what follows
	asJSON bool
	left   int // 0: no end
	stop   func()
}

// shownRecord is a record as --json prints it.
type shownRecord struct {
	Shard    string    `json:"shard"`
	Sequence string    `json:"sequence"`
	Arrived  time.Time `json:"arrived"`
	Key      string    `json:"key"`
	Data     []byte    `json:"data"`
}

func (s *showing) show(r shownRecord) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	var err error
	if s.asJSON {
		err = json.NewEncoder(os.Stdout).Encode(r)
	} else {
		_, err = fmt.Printf("%s %s %s %s\n", r.Arrived.Format(time.RFC3339Nano), r.Shard, r.Key, printable(r.Data))
	}
	if s.left > 0 {
		if s.left--; s.left == 0 {
			s.stop()
		}
	}
	return err
}

// printable is data as text, quoted when a terminal could mistake it.
func printable(data []byte) string {
	text := string(data)
	if q := strconv.Quote(text); q != `"`+text+`"` && strings.ContainsFunc(text, func(r rune) bool { return r < ' ' || r == 0x7f || r == 0xfffd }) {
		return q
	}
	return text
}

// share shows records as a member of a named consumer.
func (f *streamFlags) share(name string) error {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	out := &showing{asJSON: f.asJSON, left: f.max, stop: stop}
	c := &weirstream.Consumer{Addr: *f.console, Stream: name, Name: f.consumer,
		Handle: func(_ context.Context, shard string, records []weirstream.Record) error {
			for _, r := range records {
				if err := out.show(shownRecord{Shard: shard, Sequence: r.Sequence, Arrived: r.Arrived, Key: r.Key, Data: r.Data}); err != nil {
					return err
				}
			}
			return nil
		}}
	if f.max > 0 {
		c.Batch = 1
	}
	var err error
	if c.Start, err = f.start(); err != nil {
		return err
	}
	return c.Run(ctx)
}

// start is where --from begins; the zero time is the oldest record.
func (f *streamFlags) start() (time.Time, error) {
	switch f.from {
	case "oldest":
		return time.Time{}, nil
	case "latest":
		return time.Now(), nil
	}
	t, err := time.Parse(time.RFC3339, f.from)
	if err != nil {
		return t, fmt.Errorf("--from is latest, oldest or a time as 2030-01-31T12:00:00Z, not %q", f.from)
	}
	return t, nil
}
