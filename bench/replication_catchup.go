package main

import (
	"fmt"
	"io"
	"net"
	"path/filepath"
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

// catchUp has a node of three miss much, and measures how fast it catches up
// over a line of 10 MiB a second for each connection, beside the bare bytes over
// the same line, on two connections: that many nodes send to it.
func (b *bench) catchUp() error {
	if err := weir(b).install(); err != nil {
		return err
	}
	dir := filepath.Join(b.dir, "catchup")
	procs, nodes, err := b.startBehindLine(dir)
	defer func() {
		for _, p := range procs {
			p.Stop()
		}
	}()
	if err != nil {
		return err
	}
	aws := load.AWS{Addrs: []string{nodes[0].aws, nodes[1].aws}, Credentials: credentials, Invocation: true}
	if err := aws.CreateTable("bench"); err != nil {
		return err
	}
	away := nodes[2].Process
	away.Kill()
	if err := bulk(&aws); err != nil {
		return err
	}
	raw, err := b.rawCopy(dir)
	if err != nil {
		return err
	}
	began := time.Now()
	if nodes[2].Process, err = away.Again(); err != nil {
		return err
	}
	procs = append(procs, nodes[2].Process)
	err = nodes[0].WaitFor("a node that has caught up", 2*weirWait, func() bool { return hasCaughtUp(b.weirBinary, nodes[0]) })
	took := time.Since(began)
	rate := float64(catchUpBytes) / took.Seconds() / (1 << 20)
	b.told("a node that missed 48 MiB, over a line of 10 MiB/s a connection, 50 ms there and back",
		"caught up %s after its start: %.1f MiB/s of what was written; the bare bytes on two such connections: %.1f MiB/s; ratio %.2f (wanted 0.5)", took.Round(10*time.Millisecond), rate, raw, rate/raw)
	return err
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
	started, nodes, err := startWeirAt(b.weirBinary, dir, 3, addrs[0], line.peer)
	return append(procs, started...), nodes, err
}

// bulk writes what the node misses.
func bulk(aws *load.AWS) error {
	value := strings.Repeat("weir", bulkValue/4)
	const writers = 8
	errs := make([]error, writers)
	var all sync.WaitGroup
	for w := range writers {
		all.Go(func() {
			for i := w; i < catchUpBytes/bulkValue/bulkBatch && errs[w] == nil; i += writers {
				var puts []string
				for k := range bulkBatch {
					puts = append(puts, fmt.Sprintf(`{"PutRequest":{"Item":{"id":{"S":"b%d-%d"},"v":{"S":"%s"}}}}`, i, k, value))
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
