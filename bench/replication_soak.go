package main

import (
	"fmt"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"weir.dev/weir/bench/internal/load"
	"weir.dev/weir/bench/internal/proc"
)

const (
	// soakWanted is what a leader's death may cost at the 99.9th percentile.
	soakWanted = 3 * time.Second
	// soakPause is between two writes of a key: many clusters share the machine, and
	// their clients shall not be what the nodes wait for.
	soakPause = 20 * time.Millisecond
	// soakPatience bounds how long a cluster may take to be whole again after a kill;
	// one that takes longer is told of and replaced by a new one.
	soakPatience = 90 * time.Second
	// soakLook is between two looks at whether a cluster is whole.
	soakLook = 250 * time.Millisecond
	// soakLines of each survivor's log explain a long pause.
	soakLines = 10
	// soakRestarts bounds the clusters that are replaced.
	soakRestarts = 10
)

// kill is one leader's death.
type kill struct {
	cluster int
	pause   time.Duration
	load    float64 // of the machine, when it began
	story   string  // of a long one: what the survivors logged
}

// soaking is a soak under way.
type soaking struct {
	bench *bench
	began time.Time

	mu       sync.Mutex // guards what follows
	left     int        // kills that nobody has begun
	kills    []kill
	troubles []string // why clusters were replaced, or a worker ended
	replaced int
}

// soak kills leaders of Weir only, of several clusters side by side: one is
// mostly idle.
func (b *bench) soak() error {
	if err := weir(b).install(); err != nil {
		return err
	}
	s := &soaking{bench: b, began: time.Now(), left: b.kills}
	var all sync.WaitGroup
	for i := range min(b.soakClusters, b.kills) {
		all.Go(func() {
			// The kernel kills children of a thread that ends: this one lives as long as
			// the nodes that it starts.
			runtime.LockOSThread()
			defer runtime.UnlockOSThread()
			s.cluster(i)
		})
	}
	all.Wait()
	return s.report()
}

// cluster kills leaders of one cluster after the other, until enough are killed.
func (s *soaking) cluster(i int) {
	for round := 0; ; round++ {
		err := s.rounds(i, filepath.Join(s.bench.dir, fmt.Sprintf("soak-%d-%d", i, round)))
		if err == nil {
			return
		}
		s.mu.Lock()
		s.troubles = append(s.troubles, fmt.Sprintf("cluster %d is replaced: %v", i, err))
		s.replaced++
		over := s.replaced > soakRestarts
		s.mu.Unlock()
		s.bench.say("soak: cluster %d is replaced: %v", i, err)
		if over {
			return
		}
	}
}

// next takes a kill; false when there is none left.
func (s *soaking) next() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.left == 0 {
		return false
	}
	s.left--
	return true
}

// rounds starts a cluster and kills its leaders; an error means that it cannot go
// on.
func (s *soaking) rounds(i int, dir string) error {
	v, err := s.bench.weirVictimAt(dir, "info")
	if v != nil {
		defer func() { stopAllOf(v.procs) }()
	}
	if err != nil {
		return err
	}
	v.pace = soakPause
	for s.next() {
		if err := v.becomesWhole(); err != nil {
			s.giveBack()
			return err
		}
		before := v.logs()
		k := kill{cluster: i, load: loadNow()}
		var killed int
		k.pause, killed, err = v.kill()
		if k.pause > soakWanted {
			k.story = v.story(before, killed)
		}
		s.note(&k, killed)
		if err != nil {
			return err
		}
	}
	return nil
}

// giveBack returns a kill that was taken and not begun.
func (s *soaking) giveBack() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.left++
}

func (s *soaking) note(k *kill, killed int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if killed < 0 {
		s.left++ // it did not come to the kill
		return
	}
	s.kills = append(s.kills, *k)
	s.bench.say("soak: kill %d, of cluster %d: %v%s", len(s.kills), k.cluster, k.pause.Round(time.Millisecond), k.story)
}

func (s *soaking) report() error {
	b := s.bench
	if len(s.kills) == 0 {
		return fmt.Errorf("no leader was killed: %s", strings.Join(s.troubles, "; "))
	}
	var pauses []time.Duration
	over, busiest, busy := 0, 0.0, 0.0
	for i := range s.kills {
		k := &s.kills[i]
		pauses = append(pauses, k.pause)
		busy += k.load
		busiest = max(busiest, k.load)
		if k.pause > soakWanted {
			over++
			b.report.Stories = append(b.report.Stories, fmt.Sprintf("Kill %d, of cluster %d, took %v, at load average %.1f:%s", i+1, k.cluster, k.pause.Round(time.Millisecond), k.load, k.story))
		}
	}
	b.told(fmt.Sprintf("kill -9 of the leader of three nodes, %d clusters side by side", b.soakClusters),
		"%d kills in %v; the first write of the slowest of %d keys after p50 %s, p90 %s, p99 %s, p99.9 %s, at most %s; %d above %v; load average %.1f on average, %.1f at most; %d clusters replaced",
		len(pauses), time.Since(s.began).Round(time.Second), probes, at(pauses, 0.5), at(pauses, 0.9), at(pauses, 0.99), at(pauses, 0.999), at(pauses, 1), over, soakWanted,
		busy/float64(len(s.kills)), busiest, s.replaced)
	b.report.Skipped = append(b.report.Skipped, s.troubles...)
	if len(s.kills) < b.kills {
		return fmt.Errorf("only %d of %d leaders were killed", len(s.kills), b.kills)
	}
	return nil
}

// becomesWhole waits until all three nodes are up and have caught up.
func (v *victim) becomesWhole() error {
	for end := time.Now().Add(soakPatience); time.Now().Before(end); time.Sleep(soakLook) {
		if v.whole() {
			return nil
		}
	}
	var tails []string
	for _, p := range v.procs {
		tails = append(tails, p.Name+": "+p.Tail())
	}
	return fmt.Errorf("not whole after %v; the ends of the logs: %s", soakPatience, strings.Join(tails, "\n"))
}

// logs is how long each node's log is.
func (v *victim) logs() (bytes []int) {
	for _, p := range v.procs {
		bytes = append(bytes, len(p.Log()))
	}
	return bytes
}

// story is what the survivors have logged since, ten lines of each.
func (v *victim) story(before []int, killed int) string {
	var text strings.Builder
	for i, p := range v.procs {
		log := p.Log()
		if i == killed || before[i] > len(log) {
			continue
		}
		lines := slices.Collect(strings.Lines(log[before[i]:]))
		fmt.Fprintf(&text, "\n%s, the last %d of %d lines since then:\n%s", p.Name, min(soakLines, len(lines)), len(lines), strings.Join(lines[max(0, len(lines)-soakLines):], ""))
	}
	return text.String()
}

// loadNow is the machine's load average of a minute; 0 when it cannot be read.
func loadNow() float64 {
	now, _ := strconv.ParseFloat(loadAverage(), 64)
	return now
}

// weirVictimAt is a cluster of Weir whose leader is killed.
func (b *bench) weirVictimAt(dir, level string) (*victim, error) {
	procs, nodes, err := startWeirAt(b.weirBinary, dir, level, 3, "", "")
	v := &victim{name: "weir", procs: procs}
	if err != nil {
		return v, err
	}
	aws := load.AWS{Credentials: credentials, Invocation: true}
	for _, n := range nodes {
		aws.Addrs = append(aws.Addrs, n.aws)
	}
	v.put = func(key uint64) func(int) (load.Client, error) { return aws.PutOne("bench", key) }
	v.leader = func() (int, error) { return mostLeading(b.weirBinary, nodes) }
	v.whole = func() bool {
		return slices.ContainsFunc(nodes[:2], func(n *weirNode) bool { return hasVoters(b.weirBinary, n, 3) })
	}
	return v, aws.CreateTable("bench")
}

// stopAllOf ends processes.
func stopAllOf(procs []*proc.Process) {
	for _, p := range procs {
		p.Stop()
	}
}
