package main

import (
	"fmt"
	"io"
	"net"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"weir.dev/weir/bench/internal/load"
	"weir.dev/weir/bench/internal/proc"
)

const (
	// catchUpLine is what each connection to the node that was away carries a
	// second, and catchUpBytes what it missed.
	catchUpLine  = 10 << 20
	catchUpBytes = 48 << 20
	// bulkValue and bulkBatch are the items that it missed.
	bulkValue = 4 << 10
	bulkBatch = 25
)

// catchUpTurn is one way back.
type catchUpTurn struct {
	took      time.Duration
	rate, raw float64 // MiB a second
}

// catchUp has a node of three miss much, and measures how fast it catches up
// over a line of 10 MiB a second for each connection, beside the bare bytes over
// the same line, on two connections: that many nodes send to it. Several times:
// it is away, the bytes, it comes back.
func (b *bench) catchUp() error {
	if err := weir(b).install(); err != nil {
		return err
	}
	dir := filepath.Join(b.dir, "catchup")
	procs, nodes, err := b.startBehindLine(dir)
	defer func() { stopAllOf(procs) }()
	if err != nil {
		return err
	}
	aws := load.AWS{Addrs: []string{nodes[0].aws, nodes[1].aws}, Credentials: credentials, Invocation: true}
	if err := aws.CreateTable("bench"); err != nil {
		return err
	}
	var turns []catchUpTurn
	for range b.turns {
		t := catchUpTurn{}
		nodes[2].Kill()
		if err := bulk(&aws, "b", catchUpBytes); err != nil {
			return err
		}
		if t.raw, err = b.rawCopy(dir); err != nil {
			return err
		}
		began := time.Now()
		again, err := nodes[2].Again()
		if err != nil {
			return err
		}
		nodes[2].Process, procs = again, append(procs, again)
		if err := nodes[0].WaitFor("a node that has caught up", 2*weirWait, func() bool { return hasCaughtUp(b.weirBinary, nodes[0]) }); err != nil {
			return err
		}
		t.took = time.Since(began)
		t.rate = float64(catchUpBytes) / t.took.Seconds() / (1 << 20)
		b.say("catchup: %v, %.1f MiB/s, raw %.1f MiB/s", t.took.Round(10*time.Millisecond), t.rate, t.raw)
		turns = append(turns, t)
	}
	of := func(f func(*catchUpTurn) float64) string {
		var all []float64
		for i := range turns {
			all = append(all, f(&turns[i]))
		}
		slices.Sort(all)
		return fmt.Sprintf("%.2f (%.2f to %.2f)", all[len(all)/2], all[0], all[len(all)-1])
	}
	b.told("a node that missed 48 MiB, over a line of 10 MiB/s a connection, 50 ms there and back",
		"%d turns, medians and ranges: caught up %s after its start: %s MiB/s of what was written; the bare bytes on two such connections: %s MiB/s; ratio of the turns %s (wanted 0.5)",
		len(turns), ranged(turns, func(t *catchUpTurn) time.Duration { return t.took }), of(func(t *catchUpTurn) float64 { return t.rate }),
		of(func(t *catchUpTurn) float64 { return t.raw }), of(func(t *catchUpTurn) float64 { return t.rate / t.raw }))
	return nil
}

// startBehindLine starts three nodes, the third of which is reached over a line.
func (b *bench) startBehindLine(dir string) (procs []*proc.Process, nodes []*weirNode, err error) {
	addrs, err := proc.FreePorts(1)
	if err != nil {
		return nil, nil, err
	}
	line, err := b.line(dir, addrs[0], "--bytes-per-second", fmt.Sprint(catchUpLine))
	if line != nil {
		procs = append(procs, line.Process)
	}
	if err != nil {
		return procs, nil, err
	}
	started, nodes, err := startWeirAt(b.weirBinary, dir, "warn", 3, addrs[0], line.peer)
	return append(procs, started...), nodes, err
}

// bulk writes so many bytes into the table, under keys that begin with a name.
func bulk(aws *load.AWS, name string, size int) error {
	value := strings.Repeat("weir", bulkValue/4)
	const writers = 8
	errs := make([]error, writers)
	var all sync.WaitGroup
	for w := range writers {
		all.Go(func() {
			for i := w; i < size/bulkValue/bulkBatch && errs[w] == nil; i += writers {
				var puts []string
				for k := range bulkBatch {
					puts = append(puts, fmt.Sprintf(`{"PutRequest":{"Item":{"id":{"S":"%s%d-%d"},"v":{"S":"%s"}}}}`, name, i, k, value))
				}
				_, errs[w] = aws.Once("dynamodb", "BatchWriteItem", `{"RequestItems":{"bench":[`+strings.Join(puts, ",")+`]}}`)
			}
		})
	}
	all.Wait()
	for _, err := range errs {
		if err != nil {
			return err
		}
	}
	return nil
}

// hasCaughtUp reports whether every voter of every tablet is up and behind by
// nothing.
func hasCaughtUp(binary string, n *weirNode) bool {
	s, ok := statusOf(binary, n)
	return ok && s.caughtUp(3)
}

// rawCopy is how many MiB a second two connections over a line carry.
func (b *bench) rawCopy(dir string) (float64, error) {
	sink, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return 0, err
	}
	defer sink.Close()
	line, err := b.line(filepath.Join(dir, "raw"), sink.Addr().String(), "--bytes-per-second", fmt.Sprint(catchUpLine))
	if line != nil {
		defer line.Stop()
	}
	if err != nil {
		return 0, err
	}
	const connections = 2
	began := time.Now()
	for range connections {
		c, err := net.Dial("tcp", line.peer)
		if err != nil {
			return 0, err
		}
		go func() {
			_, _ = c.Write(make([]byte, catchUpBytes/connections)) // what is missing is noticed at the other end
			_ = c.Close()
		}()
	}
	arrived := int64(0)
	var all sync.WaitGroup
	var mu sync.Mutex // guards arrived
	for range connections {
		c, err := sink.Accept()
		if err != nil {
			return 0, err
		}
		all.Go(func() {
			defer c.Close()
			n, _ := io.Copy(io.Discard, c) // a short copy is noticed below
			mu.Lock()
			defer mu.Unlock()
			arrived += n
		})
	}
	all.Wait()
	if arrived != catchUpBytes {
		return 0, fmt.Errorf("%d bytes arrived of %d", arrived, catchUpBytes)
	}
	return float64(arrived) / time.Since(began).Seconds() / (1 << 20), nil
}
