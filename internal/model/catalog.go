package model

import "sort"

// ResourceKind is a resource's kind.
type ResourceKind uint8

// The kinds of resource. The numbers are part of the stored format.
const (
	KindTable  ResourceKind = 1
	KindQueue  ResourceKind = 2
	KindStream ResourceKind = 3
	KindPipe   ResourceKind = 4
)

// Resource is one table, queue, stream or pipe as the catalog holds it.
// Names are unique within a kind.
type Resource struct {
	ID        ResourceID
	Kind      ResourceKind
	Name      string
	CreatedMs int64  // Unix milliseconds
	Version   uint64 // grows with every change of Spec
	Deleting  bool   // no longer usable; its data is being removed
	Level     Level  // the least durability of its writes
	Spec      []byte // by Kind: TableSpec, QueueSpec, PipeSpec, encoded
}

// Node is a member of the cluster.
type Node struct {
	ID       NodeID
	PeerAddr string // HOST:PORT that other nodes dial
	JoinedMs int64
	Zone     string // what fails together with it: a rack, a data centre; "" is a zone of its own
	Start    Start  // of its last run that said so
	Draining bool   // holds no replicas but those that cannot go elsewhere
	Leaving  bool   // draining, and no member any more once it holds none
	ReadOnly bool   // holds a learner of everything and never a voter: it answers eventual reads
}

// Start names one run of a node: the upper 40 bits count its starts, as its data
// directory knows them, the lower 24 are random. So an older copy of the
// directory is known by a lower count, or by the same one with other bits.
type Start uint64

// Count is how often the node had started, this time included.
func (s Start) Count() uint64 { return uint64(s >> 24) }

// MayFollow reports whether a run of that name may be, or come after, the run
// that is known.
func (s Start) MayFollow(known Start) bool { return s == known || s.Count() > known.Count() }

// RemovedNode is a node that was a member. Its id is never used again.
type RemovedNode struct {
	ID        NodeID
	RemovedMs int64
}

// ClusterSettings are what an operator decides for the whole cluster.
type ClusterSettings struct {
	// ReplaceAfterMs is how long a node may be away before the replicas that it
	// holds are made anew on others, if there are any; zero is never.
	ReplaceAfterMs int64
	// RegionName is what the cluster is called among regions; "" is no name. What
	// tells regions apart is Catalog.Region.
	RegionName string
	// Commitment is changed by OpSetCommitment only.
	Commitment Commitment
	// AsyncWindowMs and AsyncWrites bound what writes at LevelAsync may lose; zero
	// is the default. AsyncBound reads them.
	AsyncWindowMs, AsyncWrites int64
}

// Commitment is the minimum throughput billing commitment of the account, which
// Kinesis' clients may set and see. Weir bills nothing.
type Commitment struct {
	StartedMs int64 // Unix milliseconds; 0: never
	EndMs     int64 // when it ends or has ended, Unix milliseconds; 0: it goes on
}

// CommitmentMs is for how long a commitment lasts at least, as Kinesis' model
// says: 24 hours.
const CommitmentMs = 24 * 3600 * 1000

// OnAt reports whether the commitment holds at nowMs.
func (c Commitment) OnAt(nowMs int64) bool {
	return c.StartedMs != 0 && (c.EndMs == 0 || nowMs < c.EndMs)
}

// Set is the commitment after it was asked to be on or off at nowMs. One that
// is to be off too early ends at the earliest time that is allowed; until then it
// may be asked to go on.
func (c Commitment) Set(on bool, nowMs int64) Commitment {
	switch held := c.OnAt(nowMs); {
	case on && held:
		c.EndMs = 0
	case on:
		c = Commitment{StartedMs: nowMs}
	case held && c.EndMs == 0:
		c.EndMs = max(nowMs, c.StartedMs+CommitmentMs)
	}
	return c
}

// DefaultReplaceAfterMs is long enough for a machine to be restarted.
const DefaultReplaceAfterMs = 15 * 60 * 1000

// Tablet is a range of slots and where its replicas are.
type Tablet struct {
	ID       TabletID
	Lo       uint32   // first slot
	Hi       uint32   // one past the last slot; 0 for the catalog, which has none
	Voters   []NodeID // wanted voters, ascending
	Learners []NodeID // wanted learners, ascending
	Lead     NodeID   // the voter that an operator wants to lead it; 0: any
}

// Catalog is one version of what every node knows about the cluster. It is
// immutable: a change makes a new one.
type Catalog struct {
	ClusterID string // 32 hex digits, random, fixed at creation
	Version   uint64 // grows with every change
	NextID    ResourceID
	Nodes     []Node        // by id
	Tablets   []Tablet      // by id
	Resources Resources     // those in use
	Deleted   []*Resource   // by id: deleted, but some tablet may still hold data
	Tokens    []JoinToken   // by hash
	Removed   []RemovedNode // by id
	Settings  ClusterSettings
}

// JoinToken lets one node join, once, before it expires.
type JoinToken struct {
	Hash      [32]byte // SHA-256 of the token's secret
	ExpiresMs int64
}

// Resource returns the resource of that kind and name.
func (c *Catalog) Resource(kind ResourceKind, name string) (*Resource, bool) {
	return c.Resources.Named(kind, name)
}

// TabletOf returns the tablet that owns the slot.
func (c *Catalog) TabletOf(slot Slot) (*Tablet, bool) {
	for i := range c.Tablets {
		if t := &c.Tablets[i]; uint32(slot) >= t.Lo && uint32(slot) < t.Hi {
			return t, true
		}
	}
	return nil, false
}

// TabletByID returns the tablet of that id.
func (c *Catalog) TabletByID(id TabletID) (*Tablet, bool) {
	i := sort.Search(len(c.Tablets), func(i int) bool { return c.Tablets[i].ID >= id })
	if i < len(c.Tablets) && c.Tablets[i].ID == id {
		return &c.Tablets[i], true
	}
	return nil, false
}

// ResourceByID returns the resource of that id, if it is in use.
func (c *Catalog) ResourceByID(id ResourceID) (*Resource, bool) {
	return c.Resources.Get(id)
}

// WasRemoved reports whether a node of that id was a member and is none any
// more.
func (c *Catalog) WasRemoved(id NodeID) bool {
	i := sort.Search(len(c.Removed), func(i int) bool { return c.Removed[i].ID >= id })
	return i < len(c.Removed) && c.Removed[i].ID == id
}

// Node returns the member of that id.
func (c *Catalog) Node(id NodeID) (*Node, bool) {
	i := sort.Search(len(c.Nodes), func(i int) bool { return c.Nodes[i].ID >= id })
	if i < len(c.Nodes) && c.Nodes[i].ID == id {
		return &c.Nodes[i], true
	}
	return nil, false
}
