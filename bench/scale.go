package main

import (
	"flag"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"weir.dev/weir/bench/internal/load"
	"weir.dev/weir/bench/internal/proc"
)

// scale is a run that shows how one node grows with what lies in it. Its parts
// are bounded in what they write and how long; README.md has their commands.
type scale struct {
	*bench
	node      *weirNode
	nodes     []*proc.Process // all, when they are not restarted
	aws       load.AWS
	home      string
	part      string
	messages  int64
	groups    int
	queues    int
	gib       []float64
	recordKiB int
	limit     time.Duration // of each filling
	tail      bool          // of a stream, beside laggards
	keep      string        // the backlog is kept here from run to run; "" is not
	text      strings.Builder
}

// scalePart is a part and on how many nodes it runs.
type scalePart struct {
	run   func(*scale) error
	nodes int
}

// scaleParts are the parts by name.
var scaleParts = map[string]scalePart{
	"backlog": {(*scale).backlogPart, 1}, "delayed": {(*scale).delayedPart, 1}, "groups": {(*scale).groupsPart, 1},
	"queues": {(*scale).queuesPart, 1}, "stream": {(*scale).streamPart, 1}, "waiting": {(*scale).waitingPart, 3},
}

// runScale is `bench scale PART`.
func runScale(args []string) error {
	s := &scale{bench: &bench{}}
	fs := flag.NewFlagSet("bench scale backlog|delayed|groups|queues|stream|waiting", flag.ContinueOnError)
	fs.StringVar(&s.root, "root", "..", "Weir's source `DIR`")
	fs.StringVar(&s.dir, "dir", "", "`DIR` for data, on the disk to be measured (a new one below the cache)")
	fs.StringVar(&s.out, "out", "", "`DIR` for results (bench/results)")
	fs.StringVar(&s.weirBinary, "weir", "", "measure this `BINARY` of Weir instead of building one")
	seconds := fs.Float64("seconds", 3, "measured `SECONDS` of each turn")
	fs.Int64Var(&s.messages, "messages", 0, "`MESSAGES` (backlog: 10000000, delayed: 1000000, groups: ten for each)")
	fs.IntVar(&s.groups, "groups", 100_000, "message `GROUPS` of a FIFO queue")
	fs.IntVar(&s.queues, "queues", 10_000, "`QUEUES`")
	gib := fs.String("gib", "0.25,0.5,1,2", "comma-separated `GIB` of records in a stream, fractions too")
	fs.IntVar(&s.recordKiB, "record", 1, "`KIB` of each of these records")
	fs.BoolVar(&s.tail, "tail", true, "read a stream at its end, without and with laggards, after each filling")
	fs.DurationVar(&s.limit, "limit", 15*time.Minute, "longest `TIME` of each filling")
	fs.StringVar(&s.keep, "keep", "", "`DIR` in which the data of a backlog is kept from run to run, until it is full")
	if len(args) == 0 || scaleParts[args[0]].run == nil {
		fs.Usage()
		return flag.ErrHelp
	}
	s.part = args[0]
	if err := fs.Parse(args[1:]); err != nil {
		return err
	}
	if s.messages == 0 {
		s.messages = map[string]int64{"backlog": 10_000_000, "delayed": 1_000_000, "groups": 10 * int64(s.groups)}[s.part]
	}
	var err error
	if s.gib, err = sizes(*gib, 1024); err != nil {
		return fmt.Errorf("--gib: %w", err)
	}
	slices.Sort(s.gib)
	s.warmUp, s.measureTime = 500*time.Millisecond, time.Duration(*seconds*float64(time.Second))
	if err := s.paths(); err != nil {
		return err
	}
	if s.keep != "" {
		if err := os.Remove(s.dir); err != nil { // it is empty
			return err
		}
		s.dir = s.keep
		return s.run()
	}
	defer s.removeOnSignal()()
	return s.run()
}

// sizes reads comma-separated numbers above 0 and up to most.
func sizes(text string, most float64) (all []float64, err error) {
	for field := range strings.SplitSeq(text, ",") {
		n, err := strconv.ParseFloat(field, 64)
		if err != nil || !(n > 0 && n <= most) {
			return nil, fmt.Errorf("%q is not a number above 0 and up to %g", field, most)
		}
		all = append(all, n)
	}
	return all, nil
}

func (s *scale) run() error {
	mine := weir(s.bench)
	if err := mine.install(); err != nil {
		return err
	}
	part := scaleParts[s.part]
	r, err := startWeir(s.weirBinary, s.dir, part.nodes)
	defer r.stop()
	if err != nil {
		return err
	}
	s.nodes = r.procs
	s.home = filepath.Join(s.dir, "weir-1")
	s.node = &weirNode{Process: r.procs[0], aws: r.addrs[0]}
	s.aws = load.AWS{Addrs: r.addrs, Credentials: credentials, Invocation: true}
	s.printf("# Scale: %s\n\n%s; nodes: %d, %s; load average %s.\n", s.part, time.Now().UTC().Format(time.DateTime), part.nodes, cpuModel(), loadAverage())
	err = part.run(s)
	s.node.Stop() // it may be another process than the first
	if err != nil {
		return err
	}
	s.printf("\nLoad average at the end %s.\n", loadAverage())
	return os.WriteFile(filepath.Join(s.out, "scale-"+s.part+".md"), []byte(s.text.String()), 0o644)
}

// printf prints and keeps for the result.
func (s *scale) printf(format string, args ...any) {
	text := fmt.Sprintf(format, args...)
	fmt.Print(text)
	s.text.WriteString(text)
}

// table begins a table.
func (s *scale) table(columns ...string) {
	s.printf("\n| %s |\n|%s\n", strings.Join(columns, " | "), strings.Repeat(" --- |", len(columns)))
}

// restart starts the node again on its data, and returns how long that took
// until ready answers without error.
func (s *scale) restart(kill bool, ready func() error) (time.Duration, error) {
	if kill {
		s.node.Kill()
	} else {
		s.node.Stop()
	}
	start := time.Now()
	node, err := startNode(s.weirBinary, filepath.Join(s.dir, "keys"), s.dir, 0, nil)
	if err != nil {
		return 0, err
	}
	s.node, s.aws.Addrs = node, []string{node.aws}
	for err = ready(); err != nil; err = ready() {
		if time.Since(start) > weirWait {
			return 0, err
		}
		time.Sleep(10 * time.Millisecond)
	}
	return time.Since(start), nil
}

// memory is the node's resident memory in MiB.
func (s *scale) memory() float64 {
	rss, err := s.node.RSS()
	if err != nil {
		s.say("the node's memory is unknown: %v", err)
	}
	return float64(rss) / (1 << 20)
}

// stored is how much the node's files take on the disk, in MiB. Files come and
// go while it looks.
func (s *scale) stored() float64 {
	var blocks int64
	_ = filepath.WalkDir(s.home, func(_ string, d fs.DirEntry, err error) error {
		if err != nil {
			return nil
		}
		if info, err := d.Info(); err == nil {
			if st, ok := info.Sys().(*syscall.Stat_t); ok && !d.IsDir() {
				blocks += st.Blocks
			}
		}
		return nil
	})
	return float64(blocks) * 512 / (1 << 20)
}

// tables is the number of tables that the node's state is in.
func (s *scale) tables() int {
	names, _ := filepath.Glob(filepath.Join(s.home, "data", "state", "*.sst")) // the pattern is good
	return len(names)
}

// room refuses what would not leave half of the free disk.
func (s *scale) room(bytes float64) error {
	var st syscall.Statfs_t
	if err := syscall.Statfs(s.dir, &st); err != nil {
		return err
	}
	if free := float64(st.Bavail) * float64(st.Bsize); bytes > free/2 {
		return fmt.Errorf("this may take %.0f GiB of disk, and only half of %.0f GiB may be used", bytes/(1<<30), free/(1<<30))
	}
	return nil
}

// perMessage is a generous guess of the bytes of disk that a message takes
// while the storage compacts.
const perMessage = 2 << 10

// fillTo sends messages and says how fast.
func (s *scale) fillTo(url string, groups int, extra string, n int64) (sent int64, perSecond float64, err error) {
	q := load.NewQuota(n, s.limit)
	start := time.Now()
	err = load.Fill(fillClients, s.aws.FillQueue(url, groups, extra, q))
	return q.Done(), float64(q.Done()) / time.Since(start).Seconds(), err
}

// pair measures two workloads by turns, several times, and returns the medians.
func (s *scale) pair(a, b func(int) (load.Client, error)) (rows [2]Row, err error) {
	var all [2][]Row
	for range 3 {
		for i, dial := range []func(int) (load.Client, error){a, b} {
			row, err := s.measure(s.procs(), targetClients, dial)
			if err == nil && row.PerSecond == 0 {
				err = fmt.Errorf("nothing was done: %s", row.FirstError)
			}
			if err != nil {
				return rows, err
			}
			all[i] = append(all[i], *row)
		}
	}
	for i := range rows {
		rows[i] = all[i][0]
		rows[i].PerSecond = median(all[i], func(r *Row) float64 { return r.PerSecond })
		rows[i].P50Micros = median(all[i], func(r *Row) float64 { return r.P50Micros })
		rows[i].P99Micros = median(all[i], func(r *Row) float64 { return r.P99Micros })
		rows[i].CPUMicros = median(all[i], func(r *Row) float64 { return r.CPUMicros })
	}
	return rows, nil
}
