// Command bench measures Weir beside its peers on one machine, and the machine
// itself, and says whether Weir's targets are met. README.md says how to run
// it and how to read it; peers.go and weir.go say what is started and how.
//
// Everything runs on loopback, one system at a time, and ends with this
// process. The measuring goroutine is the main one.
package main

import (
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"weir.dev/weir/bench/internal/limits"
	"weir.dev/weir/bench/internal/load"
	"weir.dev/weir/bench/internal/proc"
)

// bench is one run.
type bench struct {
	root, cache, dir, out string
	weirBinary            string
	against               []string // binaries to compare it with
	rounds, turns         int
	only, operations      []string
	peers                 []string      // beside Weir in queues and streams
	backlog               int64         // messages in the rows with a backlog
	appendRate            float64       // records a second that binaries are compared at; 0: puts and the like, as fast as they can
	debt                  time.Duration // of appends at the full rate before each of these turns
	clients, nodes        []int
	kills                 int      // of a leader, in replication
	soakClusters          int      // that the soak's leaders are of
	growRate              float64  // of the load while members change; 0 is half of the peak
	rows                  []string // of replication
	quick                 bool
	warmUp, measureTime   time.Duration
	report                Report
}

func main() {
	// Children are killed when the thread that started them ends; the main
	// goroutine stays on the main thread.
	runtime.LockOSThread()
	if len(os.Args) == 4 && os.Args[1] == "serve-empty" {
		exitOn(serveEmpty(os.Args[2], os.Args[3]))
	}
	if len(os.Args) > 1 && os.Args[1] == "scale" {
		exitOn(runScale(os.Args[2:]))
	}
	b, err := parse(os.Args[1:])
	if err == nil {
		err = b.runAll()
	}
	exitOn(err)
}

func exitOn(err error) {
	if errors.Is(err, flag.ErrHelp) {
		os.Exit(2)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
	os.Exit(0)
}

func parse(args []string) (*bench, error) {
	b := &bench{}
	fs := flag.NewFlagSet("bench", flag.ContinueOnError)
	fs.BoolVar(&b.quick, "quick", false, "short runs with 1 and 64 clients")
	only := fs.String("only", "limits,weir,etcd,nats,dynalite,duels,queues,streams", "comma-separated `SYSTEMS` and parts")
	peers := fs.String("peers", "nats,rabbitmq,redis,fauxqs,elasticmq,sqslite,local-aws-sqs", "comma-separated `SYSTEMS` beside Weir in queues and streams")
	operations := fs.String("ops", "put,get,standard,fifo,append", "comma-separated beginnings of `OPERATIONS`")
	nodes := fs.String("nodes", "1,3", "comma-separated `SIZES` of clusters")
	seconds := fs.Float64("seconds", 0, "measured `SECONDS` of each run (3; quick: 1)")
	clients := fs.String("clients", "", "comma-separated `NUMBERS` of clients (1,16,64,256; quick: 1,64)")
	backlog := fs.Int64("backlog", 0, "`MESSAGES` in the queues of rows with a backlog (1000000; quick: 20000)")
	fs.StringVar(&b.root, "root", "..", "Weir's source `DIR`")
	fs.StringVar(&b.dir, "dir", "", "`DIR` for data, on the disk to be measured (a new one below the cache)")
	fs.StringVar(&b.out, "out", "", "`DIR` for results (bench/results)")
	fs.StringVar(&b.weirBinary, "weir", "", "measure this `BINARY` of Weir instead of building one")
	against := fs.String("against", "", "only compare Weir with these other `BINARIES` of it, by turns")
	fs.Float64Var(&b.appendRate, "append-rate", 0, "with --against: compare pushed appends at this `RATE`, records a second")
	fs.DurationVar(&b.debt, "debt", 0, "with --append-rate: append at the full rate for this `TIME` before each turn")
	fs.IntVar(&b.turns, "turns", 0, "`TURNS` of each in queues, streams, and the rows lag and catchup of replication (3; quick: 1); odd numbers have a median")
	fs.IntVar(&b.rounds, "rounds", 5, "`TURNS` of each with --against; odd numbers have a median")
	fs.IntVar(&b.kills, "kills", 10, "`NUMBER` of leaders that replication kills, of Weir and of etcd each")
	fs.IntVar(&b.soakClusters, "soak-clusters", 4, "`NUMBER` of clusters side by side whose leaders the soak kills")
	fs.Float64Var(&b.growRate, "grow-rate", 0, "`RATE` of the load while members change, operations a second, at least 1200 (half of what 64 clients reach)")
	rows := fs.String("rows", "failover,reads,lag,catchup", "comma-separated `ROWS` of replication")
	if err := fs.Parse(args); err != nil {
		return nil, err
	}
	list, length, warmUp := "1,16,64,256", 3.0, time.Second
	b.backlog = 1_000_000
	if b.quick {
		list, length, warmUp = "1,64", 1.0, 500*time.Millisecond
		b.backlog = 20_000
	}
	if b.turns == 0 {
		b.turns = 3
		if b.quick {
			b.turns = 1
		}
	}
	if *backlog > 0 {
		b.backlog = *backlog
	}
	if *clients != "" {
		list = *clients
	}
	if *seconds > 0 {
		length = *seconds
	}
	b.only, b.operations, b.peers = strings.Split(*only, ","), splitOperations(*operations), strings.Split(*peers, ",")
	b.rows = strings.Split(*rows, ",")
	if b.soakClusters < 1 || b.kills < 1 {
		return nil, fmt.Errorf("--soak-clusters and --kills: at least 1")
	}
	if *against != "" {
		b.against = strings.Split(*against, ",")
	}
	b.warmUp, b.measureTime = warmUp, time.Duration(length*float64(time.Second))
	var err error
	if b.clients, err = numbers(list, 4096); err != nil {
		return nil, fmt.Errorf("--clients: %w", err)
	}
	if b.nodes, err = numbers(*nodes, 3); err != nil {
		return nil, fmt.Errorf("--nodes: %w", err)
	}
	return b, b.paths()
}

// splitOperations splits a list of operations, in whose names a comma is followed
// by a space.
func splitOperations(list string) []string {
	parts := strings.Split(strings.ReplaceAll(list, ", ", "\x00"), ",")
	for i := range parts {
		parts[i] = strings.ReplaceAll(parts[i], "\x00", ", ")
	}
	return parts
}

func numbers(list string, limit int) (out []int, err error) {
	for text := range strings.SplitSeq(list, ",") {
		n, err := strconv.Atoi(text)
		if err != nil || n < 1 || n > limit {
			return nil, fmt.Errorf("%q is not a number from 1 to %d", text, limit)
		}
		out = append(out, n)
	}
	return out, nil
}

// paths makes the directories of the run.
func (b *bench) paths() (err error) {
	if b.root, err = filepath.Abs(b.root); err != nil {
		return err
	}
	b.cache = filepath.Join(b.root, ".cache", "bench")
	if b.out == "" {
		b.out = filepath.Join(b.root, "bench", "results")
	}
	parent := b.dir
	if parent == "" {
		parent = b.cache
	}
	for _, d := range []string{b.cache, b.out, parent} {
		if err := os.MkdirAll(d, 0o755); err != nil {
			return err
		}
	}
	b.dir, err = os.MkdirTemp(parent, "data-")
	return err
}

func (b *bench) runAll() error {
	defer b.removeOnSignal()()
	if len(b.against) > 0 {
		return b.compare()
	}
	b.report.begin(b)
	if slices.Contains(b.only, "limits") {
		if err := b.limits(); err != nil {
			return err
		}
	}
	for _, s := range []*system{weir(b), etcd(b), nats(b), dynalite(b)} {
		if slices.Contains(b.only, s.name) {
			b.measureSystem(s)
		}
	}
	if slices.Contains(b.only, "weir") && slices.Contains(b.only, "duels") {
		b.duels()
	}
	if slices.Contains(b.only, "replication") {
		b.replication()
	}
	if slices.Contains(b.only, "queues") {
		b.queues()
	}
	if slices.Contains(b.only, "streams") {
		b.streams()
	}
	return b.report.write(b.out)
}

// removeOnSignal removes the data when the run is interrupted, and returns what
// removes it at the end.
func (b *bench) removeOnSignal() (remove func()) {
	stop := make(chan os.Signal, 1)
	signal.Notify(stop, os.Interrupt, syscall.SIGTERM)
	go func() {
		<-stop
		// The servers are killed by the kernel as this process ends.
		_ = os.RemoveAll(b.dir)
		os.Exit(130)
	}()
	return func() { _ = os.RemoveAll(b.dir) } // what is left is in a directory for that
}

func (b *bench) limits() error {
	b.say("limits of the machine")
	for _, callers := range []int{1, 16, 64, 256} {
		d, err := limits.Append(b.dir, callers, b.measureTime)
		if err != nil {
			return err
		}
		b.report.Disk = append(b.report.Disk, d)
	}
	for _, kind := range []string{"net/http", "fasthttp"} {
		if err := b.measureEmpty(kind); err != nil {
			return err
		}
	}
	return nil
}

// measureEmpty measures a handler that stores nothing.
func (b *bench) measureEmpty(kind string) error {
	r, err := b.startEmpty(kind)
	defer r.stop()
	if err != nil {
		return err
	}
	for _, clients := range b.clients {
		row, err := b.measure(r.procs, clients, r.work[0].dial)
		if err != nil {
			return err
		}
		row.System, row.Nodes, row.Operation = "empty "+kind, 1, opPut
		b.report.Rows = append(b.report.Rows, *row)
		b.say("%s", row)
	}
	return nil
}

// startEmpty starts an empty handler, in a process of its own as the servers
// are. What runs is returned even on error.
func (b *bench) startEmpty(kind string) (*running, error) {
	r := &running{}
	addrs, err := proc.FreePorts(1)
	if err != nil {
		return r, err
	}
	self, err := os.Executable()
	if err != nil {
		return r, err
	}
	p, err := proc.Start(kind, filepath.Join(b.dir, "empty"), nil, self, "serve-empty", kind, addrs[0])
	if err != nil {
		return r, err
	}
	r.procs = append(r.procs, p)
	aws := load.AWS{Addrs: addrs, Credentials: credentials, Invocation: true}
	r.add(opPut, aws.Put("bench"))
	return r, p.WaitPort(addrs[0])
}

func serveEmpty(kind, addr string) error {
	if kind == "net/http" {
		return limits.ServeNetHTTP(addr, credentials)
	}
	return limits.ServeFastHTTP(addr, credentials)
}

func (b *bench) wanted(operation string) bool {
	return slices.ContainsFunc(b.operations, func(begin string) bool { return strings.HasPrefix(operation, begin) })
}

// build builds a Go program.
func (b *bench) build(dir, out, pkg string) error {
	return b.run(dir, nil, "go", "build", "-o", out, pkg)
}

func (b *bench) run(dir string, environment []string, program string, args ...string) error {
	cmd := exec.Command(program, args...)
	cmd.Dir, cmd.Env = dir, append(os.Environ(), environment...)
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("%s %s: %w: %s", program, strings.Join(args, " "), err, out[max(0, len(out)-400):])
	}
	return nil
}

func (b *bench) say(format string, args ...any) { fmt.Fprintf(os.Stderr, format+"\n", args...) }
