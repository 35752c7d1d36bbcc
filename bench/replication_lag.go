package main

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
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
	full, err := b.lagAt(nodes[0], procs[:1], "as fast as they can", aws.Put("bench"))
	if err != nil {
		return err
	}
	half := load.Paced(aws.Put("bench"), targetClients, full/2)
	if _, err := b.lagAt(nodes[0], procs[:1], "at half of that rate", half); err != nil {
		return err
	}
	if _, err := ask(b.weirBinary, nodes[0], "region", "link", "alter", "west", "--mode", "sync"); err != nil {
		return err
	}
	_, err = b.lagAt(nodes[0], procs[:1], "over a link of the mode sync", aws.Put("bench"))
	return err
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
func (b *bench) lagAt(n *weirNode, procs []*proc.Process, what string, dial func(int) (load.Client, error)) (perSecond float64, err error) {
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
		return 0, err
	}
	began := time.Now()
	if err := b.drained(n); err != nil {
		return 0, err
	}
	if len(lags) == 0 {
		return 0, fmt.Errorf("nobody could tell the lag")
	}
	b.told("puts with 64 clients "+what+", a region 50 ms away", "%.0f/s, p50 %s, p99 %s; lag of the link p50 %s, at most %s in %d looks; empty %v after the end; %d errors",
		row.PerSecond, micros(row.P50Micros), micros(row.P99Micros), at(lags, 0.5), at(lags, 1), len(lags), time.Since(began).Round(10*time.Millisecond), row.Errors)
	return row.PerSecond, nil
}
