package sim

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"slices"
	"strconv"
	"sync"
	"time"

	"weir.dev/weir/internal/model"
	"weir.dev/weir/internal/region"
	"weir.dev/weir/internal/service"
)

// RegionConfig says how a run of several clusters goes.
type RegionConfig struct {
	Regions, Nodes int
	Tablets        int
	Ring           bool // each region ships to the next one only, instead of to all
	Length         time.Duration
	Calm           bool
	// Week has the regions cut off from each other for a week in the middle of
	// the run, which their clocks show and nobody waits for.
	Week bool
	// FailOver has the writes move to another region now and then, as planned or
	// by force.
	FailOver bool
	// Units has the links ship queues and a stream, too, whose writes are in one
	// region at a time. Planned leaves out failovers by force.
	Units, Planned bool
	// Lose has clients write, and with Units send and put, in the first region only,
	// which ships to the second over a link of the mode sync, and is lost for good in
	// the end, while they do: the second takes over by force, and must have what was
	// acknowledged.
	Lose bool
	// Settle waits at the end until no tombstone is left.
	Settle bool
	Log    io.Writer
}

// RegionReport is what a run of several clusters did and what it found.
type RegionReport struct {
	Crashes, Partitions, Cuts, Weeks, ClockJumps int
	Writes, Unknown, Reads                       int
	Merged                                       int // writes of tables whose parts are merged
	Messages, Records                            int // that were acknowledged
	Commits, ReadAgain                           int // of a named consumer: positions; records that it read and then read again
	Conflicts                                    uint64
	Calls, Lost                                  int // requests over the wan, and those of them that were lost
	Swept                                        int // regions that had no tombstone at the end
	Planned, Forced                              int // failovers that were carried out
	Compared                                     int // links whose sides were compared at the end
	Meanwhile                                    int // comparisons that came to their end while everything went on
	Damaged                                      int // messages and records of copies that were damaged, found and mended
	LostRegions                                  int
	Failures                                     []string
}

// regionRun is a run of several clusters.
type regionRun struct {
	cfg    RegionConfig
	rng    *rand.Rand
	worlds []*world
	wan    *wan
	load   *regionLoad
	merge  *mergeLoad
	units  *unitLoad
	report *RegionReport
}

// RunRegions runs several clusters, with links between them, from a seed. As
// Run it must be called inside a testing/synctest bubble.
func RunRegions(seed uint64, cfg RegionConfig) (r RegionReport) {
	run := &regionRun{cfg: cfg, rng: rand.New(rand.NewPCG(seed, 11)), report: &r}
	f := faults{losePercent: run.rng.IntN(10), duplicatePercent: run.rng.IntN(5), maxDelay: time.Duration(20+run.rng.IntN(200)) * time.Millisecond}
	switch {
	case cfg.Calm:
		f = faults{maxDelay: 20 * time.Millisecond}
	case cfg.Units: // most failovers shall succeed: a lost request costs seconds of their patience
		f.losePercent, f.maxDelay = f.losePercent/4, f.maxDelay/4
	}
	run.wan = newWAN(seed, f)
	for i := range cfg.Regions {
		w := newWorld(seed*8+uint64(i), Config{Nodes: cfg.Nodes, Tablets: cfg.Tablets + i, Calm: cfg.Calm, Log: cfg.Log})
		w.id, w.wan, w.began = fmt.Sprintf("%032x", 0x100+i), run.wan, time.Now()
		run.worlds = append(run.worlds, w)
	}
	run.wan.worlds = run.worlds
	if err := run.run(seed); err != nil {
		r.Failures = append(r.Failures, err.Error())
	}
	for _, w := range run.worlds {
		for _, room := range w.nodes {
			if err := w.crash(room, 100); err != nil {
				r.Failures = append(r.Failures, err.Error())
			}
		}
	}
	// What is still under way ends here, not in the next run.
	time.Sleep(time.Minute)
	r.Calls, r.Lost = run.wan.calls, run.wan.lost
	for _, w := range run.worlds {
		r.Failures = append(append(r.Failures, w.watch.failures...), w.fatal...)
	}
	return r
}

func (r *regionRun) run(seed uint64) error {
	for _, w := range r.worlds {
		if err := w.boot(w.nodes[0]); err != nil {
			return err
		}
		if err := w.grow(); err != nil {
			return fmt.Errorf("cannot grow a cluster: %w", err)
		}
	}
	if err := r.makeTables(); err != nil {
		return err
	}
	r.units = newUnitLoad(seed, r.worlds)
	if r.cfg.Lose {
		r.units = newUnitLoad(seed, r.worlds[:1])
		r.units.senders = 10
	}
	if r.cfg.Units {
		if err := r.units.make(); err != nil {
			return fmt.Errorf("cannot make queues and a stream: %w", err)
		}
	}
	if err := r.tie(); err != nil {
		return fmt.Errorf("cannot tie the regions: %w", err)
	}
	r.load = newRegionLoad(seed, r.worlds)
	if r.cfg.Lose {
		r.load = newRegionLoad(seed, r.worlds[:1])
		r.load.writers = 8
	}
	stop := make(chan struct{})
	var clients sync.WaitGroup
	for c := range r.load.clients() {
		clients.Go(func() { r.load.client(c, stop) })
	}
	r.merge = &mergeLoad{seed: seed, worlds: r.worlds}
	for c := range len(r.worlds) {
		clients.Go(func() { r.merge.client(c, stop) })
	}
	for c := range r.units.clients() {
		if r.cfg.Units {
			clients.Go(func() { r.units.client(c, stop) })
		}
	}
	if !r.cfg.Lose && (!r.cfg.FailOver || r.cfg.Planned) { // what is held back by force is a difference
		clients.Go(func() { r.compareMeanwhile(seed, stop) })
	}
	err := r.trouble()
	if r.cfg.Lose && err == nil {
		err = r.lose()
	}
	close(stop)
	clients.Wait()
	if err != nil {
		return err
	}
	if r.cfg.Lose {
		return r.finishLost()
	}
	return r.finish(seed)
}

// makeTables makes the tables in the first region only: links bring them to the
// others.
func (r *regionRun) makeTables() error {
	if err := r.makeTable(regionTable, nil); err != nil {
		return err
	}
	for _, p := range mergePolicies {
		if err := r.makeTable(mergeTables[p], []model.Tag{{Key: service.ResolutionTag, Value: p.String()}}); err != nil {
			return err
		}
	}
	return nil
}

func (r *regionRun) makeTable(name string, tags []model.Tag) error {
	return retry(func() error {
		ctx, cancel := contextFor(10 * time.Second)
		defer cancel()
		_, err := r.worlds[0].nodes[0].live.service.CreateTable(ctx, &service.CreateTableRequest{
			Name: name, Attributes: []model.KeyAttr{{Name: "id", Kind: model.KindS}},
			KeySchema: []service.KeyElement{{Name: "id", Type: "HASH"}}, Billing: model.BillingPerRequest, Tags: tags,
		})
		if exists(err) {
			return nil
		}
		return err
	})
}

// tie makes the links, and waits until every region has the table.
func (r *regionRun) tie() error {
	n := len(r.worlds)
	for from := range n {
		for to := range n {
			if from == to || r.cfg.Ring && to != (from+1)%n || r.cfg.Lose && from > 0 {
				continue
			}
			if err := r.link(from, to); err != nil {
				return err
			}
		}
		if err := r.waitForTables((from + 1) % n); err != nil {
			return err
		}
		if r.cfg.Lose {
			return r.waitForCopies()
		}
	}
	return nil
}

// link makes a link as an operator does, who tries again when an answer is
// lost: with a new token, since the old one may be used.
func (r *regionRun) link(from, to int) error {
	try, mode := 0, model.LinkAsync
	if r.cfg.Lose {
		mode = model.LinkSync
	}
	return retry(func() error {
		try++
		name := fmt.Sprintf("%d-%d-%d", from, to, try)
		token := sha256.Sum256([]byte(name))
		ctx, cancel := contextFor(30 * time.Second)
		defer cancel()
		if err := r.worlds[to].nodes[0].live.regions.Invite(ctx, name, token, time.Hour); err != nil {
			return err
		}
		settings := region.Settings{
			Name: fmt.Sprintf("to-%d", to), To: strconv.Itoa(to), TokenHash: token, Mode: mode, Tables: []string{"sh*"},
		}
		if r.cfg.Units {
			settings.Queues, settings.Streams = []string{unitQueue + "*"}, []string{unitStream}
		}
		err := r.worlds[from].nodes[0].live.regions.Add(ctx, &settings)
		if exists(err) {
			return nil
		}
		if err != nil {
			// An unused invitation would be a region that never says what it has.
			err = errors.Join(err, r.worlds[to].nodes[0].live.regions.Expel(ctx, name))
		}
		return err
	})
}

func (r *regionRun) waitForTables(at int) error {
	return retry(func() error {
		ctx, cancel := contextFor(5 * time.Second)
		defer cancel()
		_, err := r.worlds[at].nodes[0].live.service.DescribeTable(ctx, regionTable)
		for _, p := range mergePolicies {
			if err == nil {
				_, err = r.worlds[at].nodes[0].live.service.DescribeTable(ctx, mergeTables[p])
			}
		}
		return err
	})
}

// trouble does one bad thing after the other for the length of the run.
func (r *regionRun) trouble() error {
	weekAt := r.cfg.Length / 2
	for began := time.Now(); time.Since(began) < r.cfg.Length; {
		time.Sleep(time.Duration(300+r.rng.IntN(2000))*time.Millisecond + time.Duration(r.rng.IntN(1000)))
		if r.cfg.Week && r.report.Weeks == 0 && time.Since(began) > weekAt {
			if err := r.week(); err != nil {
				return err
			}
		}
		if r.cfg.Calm {
			continue
		}
		w := r.worlds[r.rng.IntN(len(r.worlds))]
		if r.cfg.FailOver && r.rng.IntN(2) == 0 {
			// With queues it is the failovers that matter: a few tries each.
			for try := 0; !r.failOver(w) && r.cfg.Units && try < 3; try++ {
				time.Sleep(time.Duration(500+r.rng.IntN(1500))*time.Millisecond + time.Duration(r.rng.IntN(1000)))
				w = r.worlds[r.rng.IntN(len(r.worlds))]
			}
			continue
		}
		var one Report
		var err error
		switch r.rng.IntN(6) {
		case 0:
			err = w.crashSome(&one, []*machineRoom{w.anyRoom()})
		case 1:
			err = w.crashSome(&one, w.nodes)
		case 2:
			if len(w.nodes) > 1 {
				w.partition(&one)
			}
		case 3:
			w.jumpClock(&one)
		default:
			r.cutSome()
		}
		r.report.Crashes += one.Crashes
		r.report.Partitions += one.Partitions
		r.report.ClockJumps += one.ClockJumps
		if err != nil {
			return err
		}
	}
	return nil
}

// cutSome cuts two regions off from each other for up to eight seconds.
func (r *regionRun) cutSome() {
	r.report.Cuts++
	a := r.rng.IntN(len(r.worlds))
	b := (a + 1 + r.rng.IntN(len(r.worlds)-1)) % len(r.worlds)
	r.wan.setCut(a, b, true)
	time.Sleep(time.Duration(1000+r.rng.IntN(7000))*time.Millisecond + time.Duration(r.rng.IntN(1000)))
	r.wan.setCut(a, b, false)
}

// week cuts all regions off from each other. Clients go on on all sides, before
// and after all nodes have been down while a week went by.
func (r *regionRun) week() error {
	r.report.Weeks++
	for a := range r.worlds {
		for b := range a {
			r.wan.setCut(a, b, true)
		}
	}
	time.Sleep(5*time.Second + time.Duration(r.rng.IntN(1000)))
	const week = 7 * 24 * time.Hour
	for _, w := range r.worlds {
		w.epoch += week
		for _, room := range w.nodes {
			room.skew += week
		}
		var one Report
		if err := w.crashSome(&one, w.nodes); err != nil {
			return err
		}
		r.report.Crashes += one.Crashes
	}
	time.Sleep(5*time.Second + time.Duration(r.rng.IntN(1000)))
	for a := range r.worlds {
		for b := range a {
			r.wan.setCut(a, b, false)
		}
	}
	return nil
}

// failOver moves the writes from a region to another, or by force to it, and
// reports whether it did. One that fails is no failure of the run: links are cut,
// and nodes are down.
func (r *regionRun) failOver(w *world) bool {
	live := w.anyNode(r.rng)
	forced := r.report.Planned > r.report.Forced
	if r.cfg.Units {
		forced = r.report.Planned >= r.report.Forced && !r.cfg.Planned
	}
	if live == nil {
		return false
	}
	ctx, cancel := contextFor(40 * time.Second)
	defer cancel()
	links, err := live.regions.List(ctx)
	if err != nil || len(links) == 0 {
		return false
	}
	link := links[r.rng.IntN(len(links))]
	switch {
	case forced && r.cfg.Units:
		return r.forceUnits(ctx, w, live.regions, link.Name)
	case forced:
		if _, err = live.regions.ForceOver(ctx, link.Name, true); err == nil {
			r.report.Forced++
		}
	default:
		r.units.moving(r.indexOf(w))
		defer r.units.moving(r.indexOf(w))
		if _, err = live.regions.FailOver(ctx, link.Name); err == nil {
			r.report.Planned++
		}
	}
	return err == nil && !link.Spec.Passive
}

func (r *regionRun) indexOf(w *world) int { return slices.Index(r.worlds, w) }
