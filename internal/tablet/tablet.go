// Package tablet is one Raft group: the log of a range of slots, who leads
// it, and what has been agreed.
//
// A Tablet is a function of events: it takes ticks, messages, proposals, reads
// and the completion of its own effects, and collects effects: messages to
// send, writes for the journal, entries to apply, answers to give. It starts
// no goroutine, reads no clock but the one it is given, and touches no file.
// One goroutine (a lane) owns it.
//
// Invariants:
//
//	T1. A response that depends on a write is released only by AppendDone.
//	T2. A leader stamps and proposes commands only after it has applied the
//	    first entry of its own term, so stamps grow along the log.
//	T3. A read is answered only at or above an index that a majority confirmed
//	    after the read arrived.
//	T4. A proposal is answered once: with its result, as surely not applied, or
//	    as unknown.
//	T5. A replica that holds no state does not vote.
//
// Start with Effects, then proposals.go and reads.go.
package tablet

import (
	"errors"
	"fmt"
	"log/slog"
	"time"

	"go.etcd.io/raft/v3"
	pb "go.etcd.io/raft/v3/raftpb"

	"weir.dev/weir/internal/model"
)

// Errors that a Tablet answers with.
var (
	// ErrNotLeader: this replica does not lead; surely not applied.
	ErrNotLeader = errors.New("not the leader")
	// ErrBusy: too much is waiting; surely not applied.
	ErrBusy = errors.New("too many proposals are waiting")
	// ErrUnknown: leadership was lost with the proposal under way; it may yet be
	// applied.
	ErrUnknown = errors.New("leadership was lost before the outcome was known")
	// ErrNotOnAll: applied, and a majority has it on disk, but not every voter
	// within model.AllPatience.
	ErrNotOnAll = errors.New("a majority has it, but not every voter")
)

// Timing, in ticks of TickInterval.
const (
	TickInterval   = 100 * time.Millisecond
	electionTicks  = 10 // a follower waits 1 to 2 s for a leader before it campaigns
	heartbeatTicks = 1
	// A change of membership must be applied everywhere before another leader
	// can be made: a node that has not applied it does not stand for election.
	settleTicks = 3
	allTicks    = uint64(model.AllPatience / TickInterval)
	// handOverTicks is how long an attempt to hand over may hold up proposals.
	handOverTicks = 2
	// handOverPause is the least time between two attempts. Each begins the
	// leader's wait for its followers' answers anew: without a pause a leader
	// that nobody follows any more would try on and never find out.
	handOverPause = electionTicks + 1
)

// Limits of one tablet. All keep a slow or lost follower from using up memory.
const (
	maxMessageBytes     = 1 << 20  // entries in one append message
	maxApplyingBytes    = 16 << 20 // committed entries handed out and not yet applied
	maxUncommittedBytes = 64 << 20 // proposals not yet agreed: beyond, ErrBusy
	maxInflightMessages = 256      // appends to one follower not yet answered
	maxInflightBytes    = 16 << 20 // the same in bytes
	maxBatchBytes       = 512 << 10
	maxWaitingProposals = 16384 // proposals not yet in an entry: beyond, ErrBusy
)

// Log is what a tablet reads of its log; *journal.Log implements it. Its
// methods have the meaning of raft.Storage.
type Log interface {
	FirstIndex() (uint64, error)
	LastIndex() (uint64, error)
	Term(index uint64) (uint64, error)
	Entries(lo, hi, maxBytes uint64) ([]*pb.Entry, error)
	HardState() *pb.HardState
	// SizeAbove is about how many bytes the entries above an index take.
	SizeAbove(index uint64) uint64
}

// Config says what a Tablet is.
type Config struct {
	ID      model.TabletID
	Node    model.NodeID // this replica
	Log     Log
	Applied Applied          // how far the stored state is
	Now     func() time.Time // wall time for stamps
	Nonce   uint64           // random: tells this run's entries and reads from all others
	Logger  *slog.Logger
	Async   Async // the zero value: nothing is answered before a majority has it
}

// Tablet is one replica of a tablet.
type Tablet struct {
	id      model.TabletID
	node    model.NodeID
	log     Log
	rn      *raft.RawNode
	now     func() time.Time
	nonce   uint64
	counter uint64 // of batches and read requests of this run

	applied Applied // as reported by ApplyDone
	conf    *pb.ConfState
	stamp   model.Stamp // of the newest command proposed or applied here

	leads     bool // raft says so
	ready     bool // T2 holds
	lead      model.NodeID
	proposals proposals
	reads     reads
	async     Async
	early     early
	effects   Effects
	ticks     uint64                  // of this run
	steered   uint64                  // the tick of the last change of membership
	handOver  uint64                  // the first tick at which it may hand over, again
	gather    bool                    // commands go on waiting
	heard     uint64                  // the tick at which the known leader last spoke
	missed    uint64                  // for how many ticks the leader before had not spoken when it was given up
	last      uint64                  // index of the newest entry handed out, or in the log
	agreed    model.Index             // of the newest entry handed out to be applied
	told      map[model.NodeID]uint64 // the highest commit index in an append message, by receiver
}

// Open returns the replica as its log and stored state left it.
func Open(cfg Config) (*Tablet, error) {
	t := &Tablet{id: cfg.ID, node: cfg.Node, log: cfg.Log, now: cfg.Now, nonce: cfg.Nonce, applied: cfg.Applied, conf: cfg.Applied.confState(), stamp: cfg.Applied.Stamp}
	t.proposals.batches, t.async = map[uint64]*batch{}, cfg.Async
	t.told = map[model.NodeID]uint64{}
	t.reads.asked = map[uint64][]Read{}
	rn, err := raft.NewRawNode(&raft.Config{
		ID:                        uint64(cfg.Node),
		ElectionTick:              electionTicks,
		HeartbeatTick:             heartbeatTicks,
		Storage:                   (*storage)(t),
		Applied:                   uint64(cfg.Applied.Index),
		AsyncStorageWrites:        true,
		MaxSizePerMsg:             maxMessageBytes,
		MaxCommittedSizePerReady:  maxApplyingBytes,
		MaxUncommittedEntriesSize: maxUncommittedBytes,
		MaxInflightMsgs:           maxInflightMessages,
		MaxInflightBytes:          maxInflightBytes,
		CheckQuorum:               true,
		PreVote:                   true,
		ReadOnlyOption:            raft.ReadOnlySafe,
		DisableProposalForwarding: true,
		StepDownOnRemoval:         true,
		Logger:                    raftLogger{cfg.Logger.With("tablet", cfg.ID.String())},
	})
	if err != nil {
		return nil, fmt.Errorf("cannot open tablet %v: %w", cfg.ID, err)
	}
	t.rn = rn
	if t.last, err = cfg.Log.LastIndex(); err != nil {
		return nil, fmt.Errorf("cannot open tablet %v: %w", cfg.ID, err)
	}
	return t, nil
}

// ID is the tablet's id.
func (t *Tablet) ID() model.TabletID { return t.id }

// Nonce tells the entries that this run proposed: see Batch.
func (t *Tablet) Nonce() uint64 { return t.nonce }

// Leads reports whether this replica leads and takes proposals.
func (t *Tablet) Leads() bool { return t.leads && t.ready }

// Leader is the leader that this replica knows of, or zero.
func (t *Tablet) Leader() model.NodeID { return t.lead }

// Voters is the number of voters.
func (t *Tablet) Voters() int { return len(t.conf.GetVoters()) }

// Slots are the slots of the tablet, [lo, hi), as far as its state says.
func (t *Tablet) Slots() (lo, hi uint32) { return t.applied.Lo, t.applied.Hi }

// Stamp is the newest stamp proposed or applied here.
func (t *Tablet) Stamp() model.Stamp { return t.stamp }

// Tick tells that TickInterval has passed.
func (t *Tablet) Tick() {
	t.rn.Tick()
	t.ticks++
	if t.rn.BasicStatus().LeadTransferee != 0 && t.ticks+handOverPause >= t.handOver+handOverTicks {
		t.rn.TransferLeader(uint64(t.node)) // ends the attempt: proposals wait for it
	}
}

// Campaign makes the replica stand for election at once.
func (t *Tablet) Campaign() { _ = t.rn.Campaign() } // refused only when it could not win anyway

// Step takes a message from another replica. Messages that make no sense in
// the current state are dropped, as the network might have done.
//
// So are requests for a vote while the replica is empty (T5). It becomes a voter
// only after its first snapshot; who counts on its vote is a replica of the past
// that has not heard of its own removal, and asks where another one has been
// removed since. With that vote it would lead without the entries of the others.
func (t *Tablet) Step(m *pb.Message) {
	if t.applied.Index == 0 && AsksForVote(m) {
		return
	}
	if t.lead != 0 && m.GetFrom() == uint64(t.lead) {
		t.heard = t.ticks
	}
	_ = t.rn.Step(m)
}

// Missed is for how many ticks the leader before the present one, or before
// there was none, had not spoken when this replica gave it up.
func (t *Tablet) Missed() uint64 { return t.missed }

// AsksForVote reports whether a message is for replicas that can vote.
func AsksForVote(m *pb.Message) bool {
	return m.GetType() == pb.MsgVote || m.GetType() == pb.MsgPreVote
}

// SnapshotSent tells how sending a snapshot (Effects.Snapshots) ended. It must
// be called once for each.
func (t *Tablet) SnapshotSent(to model.NodeID, ok bool) {
	status := raft.SnapshotFinish
	if !ok {
		status = raft.SnapshotFailure
	}
	t.rn.ReportSnapshot(uint64(to), status)
}

// noteRole follows raft's role and fails what a lost leadership leaves open.
func (t *Tablet) noteRole(s *raft.SoftState) {
	if lead := model.NodeID(s.Lead); lead != t.lead {
		if t.lead != 0 {
			t.missed = t.ticks - t.heard
		}
		if t.leads {
			t.missed = 0
		}
		t.lead, t.heard = lead, t.ticks
	}
	leads := s.RaftState == raft.StateLeader
	if leads == t.leads {
		return
	}
	t.leads, t.ready = leads, false
	if leads {
		t.noteReady()
		return
	}
	t.failAll()
	t.reads.failAll()
}

// noteReady makes a leader take proposals once T2 holds.
func (t *Tablet) noteReady() {
	if t.leads && !t.ready && uint64(t.applied.Term) == t.rn.BasicStatus().GetTerm() {
		t.ready = true
	}
}
