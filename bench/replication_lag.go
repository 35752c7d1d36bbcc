package main

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"weir.dev/weir/bench/internal/load"
	"weir.dev/weir/bench/internal/proc"
)

// wanDelay is how long bytes take between the regions, each way.
const wanDelay = 25 * time.Millisecond

func keyFile(dir string) (string, error) {
	keys := filepath.Join(dir, "keys")
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return "", err
	}
	return keys, os.WriteFile(keys, []byte(credentials.AccessKey+":"+credentials.Secret+"\n"), 0o600)
}

// regionLag writes in one region at full and at half rate, and looks how far a
// second one is behind over a line of 50 ms there and back; then it makes the
// link synchronous.
func (b *bench) regionLag() error {
	if err := weir(b).install(); err != nil {
		return err
	}
	dir := filepath.Join(b.dir, "lag")
	keys, err := keyFile(dir)
	if err != nil {
		return err
	}
	var nodes [2]*weirNode
	var procs []*proc.Process
	defer func() {
		for _, p := range procs {
			p.Stop()
		}
	}()
	for i := range nodes {
		n, err := startNode(b.weirBinary, keys, filepath.Join(dir, fmt.Sprint(i)), 0, nil)
		if n != nil && n.Process != nil {
			procs = append(procs, n.Process)
		}
		if err != nil {
			return err
		}
		nodes[i] = n
	}
	line, err := b.line(dir, nodes[1].peer)
	if line != nil {
		procs = append(procs, line.Process)
	}
	if err != nil {
		return err
	}
	aws := load.AWS{Addrs: []string{nodes[0].aws}, Credentials: credentials, Invocation: true}
	if err := aws.CreateTable("bench"); err != nil {
		return err
	}
	token, err := ask(b.weirBinary, nodes[1], "region", "token", "east")
	if err != nil {
		return err
	}
	if _, err := ask(b.weirBinary, nodes[0], "region", "link", "add", "west", "--to", line.peer, "--token", strings.TrimSpace(string(token)), "--tables", "bench"); err != nil {
		return err
	}
	if err := b.drained(nodes[0]); err != nil {
		return err
	}
	return b.lagTurns(nodes[0], procs[:1], aws.Put("bench"))
}

// lagTurn is one measurement of a lag.
type lagTurn struct {
	row           *Row
	p50, most     time.Duration // of the lag
	looks         int
	emptyAfterEnd time.Duration
}

// lagTurns measures by turns: as fast as clients can, at half of that rate, and
// over a synchronous link.
func (b *bench) lagTurns(n *weirNode, procs []*proc.Process, put func(int) (load.Client, error)) error {
	kinds := []string{"as fast as they can", "at half of that rate", "over a link of the mode sync"}
	turns := make([][]lagTurn, len(kinds))
	for range b.turns {
		for i, mode := range []string{"async", "async", "sync"} {
			if _, err := ask(b.weirBinary, n, "region", "link", "alter", "west", "--mode", mode); err != nil {
				return err
			}
			dial := put
			if i == 1 {
				dial = load.Paced(put, targetClients, turns[0][len(turns[0])-1].row.PerSecond/2)
			}
			t, err := b.lagAt(n, procs, dial)
			if err != nil {
				return err
			}
			b.say("lag, puts %s: %.0f/s, lag p50 %v, at most %v", kinds[i], t.row.PerSecond, t.p50, t.most)
			turns[i] = append(turns[i], *t)
		}
	}
	for i, kind := range kinds {
		of := func(f func(*lagTurn) time.Duration) string { return ranged(turns[i], f) }
		us := func(f func(*Row) float64) string {
			return of(func(t *lagTurn) time.Duration { return time.Duration(f(t.row) * 1e3) })
		}
		rates, looks, errors := make([]float64, 0, b.turns), 0, uint64(0)
		for _, t := range turns[i] {
			rates, looks, errors = append(rates, t.row.PerSecond), looks+t.looks, errors+t.row.Errors
		}
		slices.Sort(rates)
		b.told("puts with 64 clients "+kind+", a region 50 ms away", "%d turns, medians and ranges: %.0f/s (%.0f to %.0f), p50 %s, p99 %s; lag of the link p50 %s, at most %s in %d looks; empty %s after the end; %d errors",
			len(turns[i]), rates[len(rates)/2], rates[0], rates[len(rates)-1], us(func(r *Row) float64 { return r.P50Micros }), us(func(r *Row) float64 { return r.P99Micros }),
			of(func(t *lagTurn) time.Duration { return t.p50 }), of(func(t *lagTurn) time.Duration { return t.most }), looks, of(func(t *lagTurn) time.Duration { return t.emptyAfterEnd }), errors)
	}
	return nil
}

// ranged is the median of turns with the least and the most.
func ranged[T any](turns []T, of func(*T) time.Duration) string {
	var all []time.Duration
	for i := range turns {
		all = append(all, of(&turns[i]))
	}
	slices.Sort(all)
	round := func(d time.Duration) time.Duration {
		if d < 10*time.Millisecond {
			return d.Round(100 * time.Microsecond)
		}
		return d.Round(time.Millisecond)
	}
	return fmt.Sprintf("%v (%v to %v)", round(all[len(all)/2]), round(all[0]), round(all[len(all)-1]))
}

// line stands a proxy that delays before an address.
func (b *bench) line(dir, to string, more ...string) (*weirNode, error) {
	binary := filepath.Join(b.cache, "wan")
	if err := b.build(b.root, binary, "./internal/faultnet/wan"); err != nil {
		return nil, err
	}
	p, err := proc.Start("wan", filepath.Join(dir, "wan"), nil, binary, append([]string{"--to", to, "--delay", wanDelay.String()}, more...)...)
	if err != nil {
		return nil, err
	}
	n := &weirNode{Process: p}
	return n, p.WaitFor("address", 10*time.Second, func() bool {
		n.peer = strings.TrimSpace(p.Log())
		return n.peer != ""
	})
}

// linkLag is what a link says of itself.
type linkLag struct {
	Status struct {
		LagSeconds float64 `json:"lag_seconds"`
		LagChanges int     `json:"lag_changes"`
		Copying    int     `json:"copying"`
	} `json:"status"`
}

func (b *bench) lagOf(n *weirNode) (l linkLag, err error) {
	out, err := ask(b.weirBinary, n, "region", "status", "--json")
	if err != nil {
		return l, err
	}
	var all struct{ Links []linkLag }
	if err := json.Unmarshal(out, &all); err != nil || len(all.Links) != 1 {
		return l, fmt.Errorf("no link: %v: %s", err, out)
	}
	return all.Links[0], nil
}

// drained waits until the link has nothing to ship.
func (b *bench) drained(n *weirNode) error {
	return n.WaitFor("a link without lag", weirWait, func() bool {
		l, err := b.lagOf(n)
		return err == nil && l.Status.LagChanges == 0 && l.Status.Copying == 0
	})
}

// lagAt runs puts and looks at the link meanwhile.
func (b *bench) lagAt(n *weirNode, procs []*proc.Process, dial func(int) (load.Client, error)) (*lagTurn, error) {
	stop, done := make(chan struct{}), make(chan struct{})
	var lags []time.Duration
	go func() {
		defer close(done)
		for {
			select {
			case <-stop:
				return
			case <-time.After(100 * time.Millisecond):
			}
			if l, err := b.lagOf(n); err == nil {
				lags = append(lags, time.Duration(l.Status.LagSeconds*float64(time.Second)))
			}
		}
	}()
	row, err := b.measure(procs, targetClients, dial)
	close(stop)
	<-done
	if err != nil {
		return nil, err
	}
	began := time.Now()
	if err := b.drained(n); err != nil {
		return nil, err
	}
	if len(lags) == 0 {
		return nil, fmt.Errorf("nobody could tell the lag")
	}
	return &lagTurn{row: row, p50: at(lags, 0.5), most: at(lags, 1), looks: len(lags), emptyAfterEnd: time.Since(began)}, nil
}
