package model

import (
	"strings"
	"time"
)

// Kinds of resource that tie regions together; see docs/replication.md.
const (
	KindLink    ResourceKind = 5 // what this cluster ships to another; Spec is a LinkSpec
	KindInbound ResourceKind = 6 // what another cluster ships to this one; Spec is an InboundSpec
)

// LinkMode says when a link ships. The numbers are part of the stored format.
type LinkMode uint8

// The modes.
const (
	LinkAsync  LinkMode = 1 // at once
	LinkManual LinkMode = 2 // when somebody asks for it
	// LinkSync: at once, and the answer to a write waits until the region has it on
	// disk. When it does not say so within RegionPatience the request fails, though
	// this region has the write and ships it; while the link is behind, writes are
	// refused.
	LinkSync LinkMode = 3
	// LinkSyncIfUp: the same, but what would fail is answered, and the answer says
	// how many regions have it; while the link is behind nothing waits for it.
	LinkSyncIfUp LinkMode = 4
)

// Waits reports whether the answers to writes wait for links of this mode.
func (m LinkMode) Waits() bool { return m == LinkSync || m == LinkSyncIfUp }

// RegionPatience is how long an answer waits for other regions.
const RegionPatience = 2 * time.Second

// MatchesName reports whether a list of names, and of beginnings of names that
// end in *, takes in a name.
func MatchesName(patterns []string, name string) bool {
	for _, p := range patterns {
		if begin, all := strings.CutSuffix(p, "*"); p == name || all && strings.HasPrefix(name, begin) {
			return true
		}
	}
	return false
}

// Shipped is how far a link has come in a tablet, as the worker of the node that
// leads it knows: what other regions have said that they have on disk.
type Shipped struct {
	Worker uint64 // grows with every worker of a node; what an earlier one says is old
	UpTo   ChangeNumber
	// Tables are those whose changes behind UpTo will be shipped, and the queues and
	// streams that are copied: before that a change of one is no use there. By id.
	Tables  []ShippedTable
	Stopped bool // it ships no more: the link is paused, held or gone, or another node leads
}

// ShippedTable is a table, queue or stream that a link ships.
type ShippedTable struct {
	ID     ResourceID
	Copied bool // what it held before it was watched has arrived, too
}

// LinkTarget is how far a manual link shall ship in one tablet.
type LinkTarget struct {
	Tablet TabletID
	UpTo   ChangeNumber
}

// LinkSpec is the Spec of a link in the catalog.
type LinkSpec struct {
	To             string   // HOST:PORT of a peer listener there
	Authority      [16]byte // names the certificates that are expected there
	Key            [32]byte // proves there who is shipping; secret
	Inbound        ResourceID
	Region         RegionID // of the other cluster
	RegionName     string
	Mode           LinkMode
	Tables         []string // names, or beginnings of names that end in *
	Where          string   // condition on items; "" ships all
	Values         string   // of the condition, as JSON
	Paused         bool
	BytesPerSecond uint64       // on the wire; 0 is no bound
	Targets        []LinkTarget // of the last request to sync, by tablet
	CreatedMs      int64
	Passive        bool   // its tables take no writes here: the other region does
	VerifySeconds  uint64 // how often both sides are compared; 0 is never
	VerifiedMs     int64  // when that was done last; 0 is never
	Differences    uint64 // that it found then
	Epoch          uint64 // grows when the other region takes the writes over by force
	Held           bool   // nothing is shipped since it did
	// RegionsRequired is how many of the regions that a table's links of the mode ship
	// to must have a write, of the modes that Waits; 0 is all of them. Of several
	// links that name a number the highest holds.
	RegionsRequired uint64
	// Queues and Streams are as Tables. Unlike tables they have their writes in one
	// region at a time; model/unit.go says how they are shipped.
	Queues, Streams []string
}

// linkSpecVersion begins every encoded LinkSpec and InboundSpec.
const linkSpecVersion = 1

// Ships reports whether the link ships what happens to a table, queue or stream.
func (s *LinkSpec) Ships(r *Resource) bool {
	return r.Kind == KindTable && MatchesName(s.Tables, r.Name) || shipsUnit(r, s.Queues, s.Streams)
}

// ShipsUnits reports whether the link ships queues or streams.
func (s *LinkSpec) ShipsUnits() bool { return len(s.Queues)+len(s.Streams) > 0 }

func shipsUnit(r *Resource, queues, streams []string) bool {
	return r.Kind == KindQueue && MatchesName(queues, r.Name) || r.Kind == KindStream && MatchesName(streams, r.Name)
}

// Append appends the stored form. See docs/format/region.md.
func (s *LinkSpec) Append(dst []byte) []byte {
	dst = AppendString(append(dst, linkSpecVersion), s.To)
	dst = append(append(dst, s.Authority[:]...), s.Key[:]...)
	dst = AppendUvarint(AppendUvarint(dst, uint64(s.Inbound)), uint64(s.Region))
	dst = append(AppendString(dst, s.RegionName), byte(s.Mode))
	dst = AppendUvarint(dst, uint64(len(s.Tables)))
	for _, t := range s.Tables {
		dst = AppendString(dst, t)
	}
	dst = AppendString(AppendString(dst, s.Where), s.Values)
	dst = AppendUvarint(AppendBool(dst, s.Paused), s.BytesPerSecond)
	dst = AppendUvarint(dst, uint64(len(s.Targets)))
	for _, t := range s.Targets {
		dst = AppendUvarint(AppendUvarint(dst, uint64(t.Tablet)), uint64(t.UpTo))
	}
	dst = AppendBool(AppendUvarint(dst, uint64(s.CreatedMs)), s.Passive)
	dst = AppendUvarint(AppendUvarint(AppendUvarint(dst, s.VerifySeconds), uint64(s.VerifiedMs)), s.Differences)
	dst = AppendUvarint(AppendBool(AppendUvarint(dst, s.Epoch), s.Held), s.RegionsRequired)
	return AppendNames(AppendNames(dst, s.Queues), s.Streams)
}

// AppendNames appends a list of names.
func AppendNames(dst []byte, names []string) []byte {
	dst = AppendUvarint(dst, uint64(len(names)))
	for _, name := range names {
		dst = AppendString(dst, name)
	}
	return dst
}

// DecodeNames reads what AppendNames wrote.
func DecodeNames(d *Decoder) (names []string) {
	for n := d.Count(); n > 0 && d.Err() == nil; n-- {
		names = append(names, d.String())
	}
	return names
}

// Decode reads what Append wrote.
func (s *LinkSpec) Decode(d *Decoder) {
	if d.Byte() != linkSpecVersion {
		d.Fail()
	}
	s.To = d.String()
	copy(s.Authority[:], d.Fixed(len(s.Authority)))
	copy(s.Key[:], d.Fixed(len(s.Key)))
	s.Inbound, s.Region = ResourceID(d.Uvarint()), RegionID(d.Uvarint())
	s.RegionName, s.Mode = d.String(), LinkMode(d.Byte())
	for n := d.Count(); n > 0 && d.Err() == nil; n-- {
		s.Tables = append(s.Tables, d.String())
	}
	s.Where, s.Values = d.String(), d.String()
	s.Paused, s.BytesPerSecond = d.Bool(), d.Uvarint()
	for n := d.Count(); n > 0 && d.Err() == nil; n-- {
		s.Targets = append(s.Targets, LinkTarget{TabletID(d.Uvarint()), ChangeNumber(d.Uvarint())})
	}
	s.CreatedMs, s.Passive = int64(d.Uvarint()), d.Bool()
	s.VerifySeconds, s.VerifiedMs, s.Differences = d.Uvarint(), int64(d.Uvarint()), d.Uvarint()
	s.Epoch, s.Held, s.RegionsRequired = d.Uvarint(), d.Bool(), d.Uvarint()
	s.Queues, s.Streams = DecodeNames(d), DecodeNames(d)
}

// InboundSpec is the Spec of an inbound link in the catalog. It begins as a
// token that one link of another cluster may use, once.
type InboundSpec struct {
	TokenHash  [32]byte // SHA-256 of the token's secret; good while Region is zero, and for whoever used it to ask again
	ExpiresMs  int64    // of the token
	KeyHash    [32]byte // SHA-256 of the link's key
	Region     RegionID // of the other cluster; zero until the token is used
	RegionName string
	Link       string // the link's name there
	Passive    bool   // its tables take no writes here: the other region does
	Epoch      uint64 // grows when this region takes the writes over by force
	// Queues and Streams are what the link selects there, as it said last.
	Queues, Streams []string
	// Promoted is the version of the link there with which this region was given
	// the writes last: what says so again comes late.
	Promoted uint64
}

// Ships reports whether the link ships what happens to a queue or stream of the
// kind and name here.
func (s *InboundSpec) Ships(r *Resource) bool { return shipsUnit(r, s.Queues, s.Streams) }

// Append appends the stored form. See docs/format/region.md.
func (s *InboundSpec) Append(dst []byte) []byte {
	dst = append(append(dst, linkSpecVersion), s.TokenHash[:]...)
	dst = append(AppendUvarint(dst, uint64(s.ExpiresMs)), s.KeyHash[:]...)
	dst = AppendString(AppendString(AppendUvarint(dst, uint64(s.Region)), s.RegionName), s.Link)
	dst = AppendUvarint(AppendBool(dst, s.Passive), s.Epoch)
	return AppendUvarint(AppendNames(AppendNames(dst, s.Queues), s.Streams), s.Promoted)
}

// Decode reads what Append wrote.
func (s *InboundSpec) Decode(d *Decoder) {
	if d.Byte() != linkSpecVersion {
		d.Fail()
	}
	copy(s.TokenHash[:], d.Fixed(len(s.TokenHash)))
	s.ExpiresMs = int64(d.Uvarint())
	copy(s.KeyHash[:], d.Fixed(len(s.KeyHash)))
	s.Region, s.RegionName, s.Link = RegionID(d.Uvarint()), d.String(), d.String()
	s.Passive, s.Epoch = d.Bool(), d.Uvarint()
	s.Queues, s.Streams, s.Promoted = DecodeNames(d), DecodeNames(d), d.Uvarint()
}
