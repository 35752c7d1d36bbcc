package server

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"slices"
	"sync"
	"time"

	"weir.dev/weir/internal/base"
	"weir.dev/weir/internal/cluster"
	"weir.dev/weir/internal/journal"
	"weir.dev/weir/internal/keys"
	"weir.dev/weir/internal/model"
	"weir.dev/weir/internal/storage"
)

// recoveriesFile tells of every recovery of this directory, a line of JSON for
// each step; see docs/format/recover.md.
const recoveriesFile = "RECOVERIES"

// Recovery is what is known before a lost majority is given up.
type Recovery struct {
	ClusterID string
	Node      model.NodeID
	Others    []OtherMember // those that are removed for good
	Tablets   []cluster.TabletSurvey
	// Alive are the tablets of which a majority of voters may still be alive,
	// this node included.
	Alive []model.TabletID
}

// OtherMember is a member besides the survivor.
type OtherMember struct {
	ID      model.NodeID
	Address string
	Answers bool // something listens at its address
}

// RecoverConfig says which directory to recover, and how.
type RecoverConfig struct {
	DataDir string
	Force   bool // also while a majority may be alive
	DryRun  bool // only tell
	// Confirm is asked before anything changes, with what is known; an error ends
	// it there.
	Confirm func(*Recovery) error
	Logger  *slog.Logger
}

// Recover makes the stopped node in a directory the only voter of every tablet,
// and removes all other members for good. Errors: the directory is in use or
// not a node's, a majority may still be alive (unless forced), Confirm's.
func Recover(ctx context.Context, cfg RecoverConfig) (err error) {
	d, err := openDataDir(cfg.DataDir)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, d.close()) }()
	rec, found, err := d.load()
	if err != nil {
		return err
	}
	if !found {
		return fmt.Errorf("%s holds no node", cfg.DataDir)
	}
	r := &recovering{cfg: cfg, dir: d, record: rec}
	if err := r.open(); err != nil {
		return err
	}
	defer func() { err = errors.Join(err, r.close()) }()
	return r.run(ctx)
}

// recovering is a recovery under way.
type recovering struct {
	cfg     RecoverConfig
	dir     *dataDir
	record  nodeRecord
	rand    *base.Rand
	db      *storage.DB
	journal *journal.Journal

	mu     sync.Mutex // guards failed
	failed error      // what the disk did
}

func (r *recovering) fatal(err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.failed = errors.Join(r.failed, err)
}

func (r *recovering) broken() error {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.failed
}

func (r *recovering) open() (err error) {
	r.rand = base.NewSystemRand()
	disk := storage.DiskFS()
	if r.db, err = storage.Open(storage.Options{FS: disk, Dir: r.dir.path, CacheBytes: minCacheBytes, Sequence: keys.Sequence, Logger: r.cfg.Logger, Fatal: r.fatal}); err != nil {
		return err
	}
	r.journal, err = journal.Open(journal.Options{FS: disk, Dir: r.dir.sub(storage.JournalDir), BallastBytes: journal.DefaultBallastBytes, Rand: r.rand, Fatal: r.fatal})
	if err != nil {
		return errors.Join(err, r.db.Close())
	}
	return nil
}

func (r *recovering) close() error { return errors.Join(r.journal.Close(), r.db.Close(), r.broken()) }

func (r *recovering) run(ctx context.Context) error {
	known, err := r.survey(ctx)
	if err != nil {
		return err
	}
	if err := r.cfg.Confirm(known); err != nil || r.cfg.DryRun {
		return err
	}
	if len(known.Alive) > 0 && !r.cfg.Force {
		return fmt.Errorf("%s may still have a majority: other members answer at their addresses; start them and this node instead of recovering. If they are not what they seem, --force recovers all the same", cluster.TabletRanges(known.Alive))
	}
	if err := r.audit("begun", known); err != nil {
		return err
	}
	// From here on the node starts only when all is done.
	r.record.Recovering = true
	if err := r.dir.save(r.record); err != nil {
		return err
	}
	if err := cluster.Isolate(r.db, r.journal, r.record.Node); err != nil {
		return err
	}
	if err := r.finish(ctx); err != nil {
		return err
	}
	r.record.Recovering = false
	r.record.Seeds = slices.DeleteFunc(r.record.Seeds, func(n model.Node) bool { return n.ID != r.record.Node })
	if err := r.dir.save(r.record); err != nil {
		return err
	}
	return r.audit("done", known)
}

// survey finds out what is here and who else is there.
func (r *recovering) survey(ctx context.Context) (*Recovery, error) {
	c, tablets, err := cluster.Survey(r.db, r.journal, r.record.Node)
	if err != nil {
		return nil, err
	}
	known := &Recovery{ClusterID: r.record.ClusterID, Node: r.record.Node, Tablets: tablets}
	for _, n := range c.Nodes {
		if n.ID != r.record.Node {
			known.Others = append(known.Others, OtherMember{ID: n.ID, Address: n.PeerAddr})
		}
	}
	var dials sync.WaitGroup
	for i := range known.Others {
		dials.Go(func() { known.Others[i].Answers = answers(ctx, known.Others[i].Address) })
	}
	dials.Wait()
	for i := range c.Tablets {
		t := &c.Tablets[i]
		up := 0
		for _, id := range t.Voters {
			other := slices.IndexFunc(known.Others, func(o OtherMember) bool { return o.ID == id })
			if id == r.record.Node || other >= 0 && known.Others[other].Answers {
				up++
			}
		}
		if len(known.Others) > 0 && up > len(t.Voters)/2 {
			known.Alive = append(known.Alive, t.ID)
		}
	}
	return known, nil
}

// dialPatience is how long a member may take to accept a connection.
const dialPatience = 2 * time.Second

// answers reports whether somebody listens at the address.
func answers(ctx context.Context, address string) bool {
	d := net.Dialer{Timeout: dialPatience}
	conn, err := d.DialContext(ctx, "tcp", address)
	if err != nil {
		return false
	}
	_ = conn.Close() // that it was accepted is all that counts
	return true
}

// finish opens the node, which meets nobody, and lets it write the catalog.
func (r *recovering) finish(ctx context.Context) (err error) {
	node, err := cluster.Open(cluster.Options{
		Node: r.record.Node, ClusterID: r.record.ClusterID, Seeds: r.record.Seeds, Storage: r.db, Journal: r.journal,
		Transport: cluster.NoTransport, Clock: base.SystemClock{}, Rand: r.rand, Logger: r.cfg.Logger, Lanes: defaultLanes(),
		LogBudgetBytes: logBudgetBytes, CutBytes: cutBytes, HousekeepingEvery: housekeepingEvery, Fatal: r.fatal,
	})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, node.Close(), r.broken()) }()
	return node.FinishRecovery(ctx)
}

// auditLine is one line of recoveriesFile.
type auditLine struct {
	Time      time.Time
	Step      string // begun or done
	ClusterID string
	Node      model.NodeID
	Forced    bool
	Removed   []OtherMember
	Tablets   []cluster.TabletSurvey
}

// audit appends a line to the directory's record of recoveries, and logs it.
func (r *recovering) audit(step string, known *Recovery) error {
	line := auditLine{Time: time.Now().UTC(), Step: step, ClusterID: known.ClusterID, Node: known.Node, Forced: r.cfg.Force, Removed: known.Others, Tablets: known.Tablets}
	b, err := json.Marshal(line)
	if err != nil {
		return err
	}
	f, err := os.OpenFile(r.dir.sub(recoveriesFile), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return fmt.Errorf("cannot write in the data directory: %w", err)
	}
	_, err = f.Write(append(b, '\n'))
	if err = errors.Join(err, f.Sync(), f.Close()); err != nil {
		return fmt.Errorf("cannot write %s: %w", recoveriesFile, err)
	}
	removed := make([]string, len(known.Others))
	for i, o := range known.Others {
		removed[i] = o.ID.String()
	}
	r.cfg.Logger.Warn("recovery of a lost majority", "step", step, "cluster", known.ClusterID, "node", known.Node, "forced", r.cfg.Force, "removed", removed, "tablets", len(known.Tablets))
	return nil
}
