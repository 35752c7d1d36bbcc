package cluster

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"slices"
	"time"

	pb "go.etcd.io/raft/v3/raftpb"
	"google.golang.org/protobuf/proto"

	"weir.dev/weir/internal/journal"
	"weir.dev/weir/internal/keys"
	"weir.dev/weir/internal/machine"
	"weir.dev/weir/internal/model"
	"weir.dev/weir/internal/storage"
	"weir.dev/weir/internal/tablet"
	"weir.dev/weir/internal/transport"
)

// A cluster whose majority is lost for good goes on from what one survivor has:
// Survey says what that is, Isolate makes the survivor the only voter of every
// tablet in its stored state, and FinishRecovery, on a node opened on that
// state, makes the catalog say so too. docs/operations.md has the whole
// procedure, docs/format/recover.md what is stored.

// TabletSurvey is what a stopped node holds of a tablet.
type TabletSurvey struct {
	Tablet model.TabletID
	Lo, Hi uint32
	Held   bool // false: nothing of it is here
	Voter  bool // false: a learner's copy, which may be further behind

	Applied   model.Index // the state is up to here
	Committed model.Index // known to be agreed up to here
	Last      model.Index // the last entry of the log
	LastTerm  model.Term  // of that entry
	Term      model.Term  // the newest that this node knows
	NewestMs  int64       // when the newest command here was stamped, in Unix milliseconds; 0: none
}

// Outdone reports whether the others elected a leader after the last entry that
// is here: what that one had agreed is not here.
func (s *TabletSurvey) Outdone() bool { return s.Term > s.LastTerm }

// Survey says what a stopped node holds, as its storage and journal tell. The
// catalog is as of the storage, which may be a little older than the journal.
// Errors: ErrNotFound when the node holds no catalog.
func Survey(db *storage.DB, j *journal.Journal, node model.NodeID) (*model.Catalog, []TabletSurvey, error) {
	n := &Node{db: db, journal: j, view: db.View()}
	applied, err := n.storedTablets()
	if err != nil {
		return nil, nil, err
	}
	if applied[model.CatalogTablet].Index == 0 {
		return nil, nil, model.Errorf(model.ErrNotFound, "this node never received the catalog: recover on another survivor")
	}
	m := machine.New(model.CatalogTablet, 0, 0)
	if err := m.Load(n.view); err != nil {
		return nil, nil, err
	}
	c := m.Catalog()
	var list []TabletSurvey
	for i := range c.Tablets {
		s, err := surveyTablet(j.Log(c.Tablets[i].ID), applied[c.Tablets[i].ID], node)
		if err != nil {
			return nil, nil, fmt.Errorf("cannot look at tablet %v: %w", c.Tablets[i].ID, err)
		}
		s.Tablet, s.Lo, s.Hi = c.Tablets[i].ID, c.Tablets[i].Lo, c.Tablets[i].Hi
		list = append(list, s)
	}
	return c, list, nil
}

func surveyTablet(log *journal.Log, a tablet.Applied, node model.NodeID) (s TabletSurvey, err error) {
	s.Held = a.Index > 0
	s.Voter = slices.Contains(a.Conf.Voters, node) || slices.Contains(a.Conf.Outgoing, node)
	s.Applied, s.Committed, s.Last, s.LastTerm = a.Index, a.Index, a.Index, a.Term
	if a.Stamp > 0 {
		s.NewestMs = a.Stamp.Millis()
	}
	last, err := log.LastIndex()
	if err != nil {
		return s, err
	}
	if hs := log.HardState(); hs != nil {
		s.Term = model.Term(hs.GetTerm())
		s.Committed = max(s.Committed, min(model.Index(hs.GetCommit()), model.Index(last)))
	}
	if s.Held && model.Index(last) > a.Index {
		term, err := log.Term(last)
		if err != nil {
			return s, err
		}
		s.Last, s.LastTerm = model.Index(last), model.Term(term)
		if s.NewestMs, err = newestIn(log, uint64(a.Index), last, s.NewestMs); err != nil {
			return s, err
		}
	}
	s.Term = max(s.Term, s.LastTerm)
	return s, nil
}

// newestIn is the time of the newest command among the entries above low.
func newestIn(log *journal.Log, low, last uint64, newest int64) (int64, error) {
	for i := last; i > low; i-- {
		entries, err := log.Entries(i, i+1, math.MaxUint64)
		if err != nil {
			return 0, err
		}
		if entries[0].GetType() != pb.EntryNormal || len(entries[0].GetData()) == 0 {
			continue
		}
		b, err := tablet.DecodeBatch(entries[0].GetData())
		if err != nil {
			return 0, err
		}
		for cmd := new(model.Command); b.Next(cmd); {
			newest = max(newest, cmd.Stamp.Millis())
		}
		return newest, b.Err()
	}
	return newest, nil
}

// Isolate makes a stopped node the only voter of every tablet. The whole log
// stays, also what is not known to be agreed: everything here that was
// acknowledged is in it, and the rest is of requests whose outcome is unknown,
// which may still take effect. Changes of membership in it become empty entries,
// so that they do not bring the others back. Tablets that are not here begin
// empty. To call it again after it was interrupted is harmless.
func Isolate(db *storage.DB, j *journal.Journal, node model.NodeID) error {
	_, surveys, err := Survey(db, j, node)
	if err != nil {
		return err
	}
	applied, err := (&Node{db: db, view: db.View()}).storedTablets()
	if err != nil {
		return err
	}
	alone := tablet.Members{Voters: []model.NodeID{node}}
	batch := db.NewBatch()
	defer batch.Close()
	var writes []journal.Write
	for i := range surveys {
		s := &surveys[i]
		a := applied[s.Tablet]
		if s.Held {
			w, err := withoutMembers(j.Log(s.Tablet), s)
			if err != nil {
				return err
			}
			writes = append(writes, w...)
		} else {
			a = tablet.Applied{Index: 1, Term: 1, Lo: s.Lo, Hi: s.Hi}
			writes = append(writes, journal.Write{
				Tablet: s.Tablet, Reset: &journal.LogStart{Index: 1, Term: 1},
				Hard: &pb.HardState{Term: proto.Uint64(max(1, uint64(s.Term))), Commit: proto.Uint64(1)},
			})
		}
		a.Conf = alone
		batch.Set(keys.Applied(s.Tablet), a.Append(nil))
	}
	if len(writes) > 0 {
		done := make(chan struct{})
		writes[len(writes)-1].Done = func() { close(done) }
		j.Submit(writes)
		<-done
	}
	if err := batch.Commit(); err != nil {
		return fmt.Errorf("cannot write the new membership: %w", err)
	}
	return db.Flush()
}

// withoutMembers empties the changes of membership among the entries that are
// not applied yet: one write, for a log that is cut in the middle would lose
// what follows.
func withoutMembers(log *journal.Log, s *TabletSurvey) ([]journal.Write, error) {
	if s.Last <= s.Applied {
		return nil, nil
	}
	entries, err := log.Entries(uint64(s.Applied)+1, uint64(s.Last)+1, math.MaxUint64)
	if err != nil {
		return nil, fmt.Errorf("cannot read the log of tablet %v: %w", s.Tablet, err)
	}
	first := slices.IndexFunc(entries, func(e *pb.Entry) bool { return e.GetType() != pb.EntryNormal })
	if first < 0 {
		return nil, nil
	}
	var anew []*pb.Entry
	for _, e := range entries[first:] {
		e = proto.Clone(e).(*pb.Entry)
		if e.GetType() != pb.EntryNormal {
			e.Type, e.Data = pb.EntryNormal.Enum(), nil
		}
		anew = append(anew, e)
	}
	return []journal.Write{{Tablet: s.Tablet, Entries: anew}}, nil
}

// recoverPatience bounds the wait for what a node that is alone does at once.
const recoverPatience = time.Minute

// FinishRecovery makes the catalog say what Isolate did: this node is the only
// member, and the others are removed for good. The node must have been opened
// with NoTransport. Errors: ErrUnavailable when it does not lead all tablets.
func (n *Node) FinishRecovery(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, recoverPatience)
	defer cancel()
	for {
		c := n.Counts()
		if c.Led == c.Held {
			break
		}
		if ctx.Err() != nil || !n.sleep(tablet.TickInterval) {
			return model.Errorf(model.ErrUnavailable, "this node leads %d of %d tablets after %v", c.Led, c.Held, recoverPatience)
		}
	}
	if err := n.SyncCatalog(ctx); err != nil {
		return err
	}
	status, err := n.changeMembers(ctx, &model.CatalogOp{Kind: model.OpRecover, Node: model.Node{ID: n.opts.Node}})
	if err == nil && status != model.StatusOK {
		err = model.Errorf(model.ErrInternal, "the catalog answered with status %d", status)
	}
	return err
}

// NoTransport is the transport of a node that shall meet nobody.
func NoTransport(transport.Handler) (transport.Transport, error) { return nowhere{}, nil }

type nowhere struct{}

var errNowhere = errors.New("this node meets nobody")

// Send implements transport.Transport.
func (nowhere) Send(model.NodeID, model.TabletID, []*pb.Message) {}

// Flush implements transport.Transport.
func (nowhere) Flush() {}

// Call implements transport.Transport.
func (nowhere) Call(_ model.NodeID, _ []byte, _ time.Duration, done func([]byte, error)) {
	done(nil, transport.ErrNotSent)
}

// SendSnapshot implements transport.Transport.
func (nowhere) SendSnapshot(context.Context, model.NodeID, []byte, func(io.Writer) error) error {
	return errNowhere
}

// Close implements transport.Transport.
func (nowhere) Close() error { return nil }
