package model

// CatalogOpKind says what a CmdCatalog changes. Part of the stored format.
type CatalogOpKind uint8

// The changes of the catalog.
const (
	OpCreateResource CatalogOpKind = 1  // Resource.Kind, Name, Level, Spec -> body: the Resource; StatusExists: the one that has the name
	OpUpdateResource CatalogOpKind = 2  // Resource.ID, Version (the one read), Level, Spec -> body: the Resource; StatusStale when Version changed
	OpDeleteResource CatalogOpKind = 3  // Resource.ID: the name is free again; the data goes in the background
	OpForgetResource CatalogOpKind = 4  // Resource.ID: every tablet has dropped its data
	OpAddNode        CatalogOpKind = 5  // Node, Token.Hash; StatusNotFound when the token is unknown, used or expired
	OpSetNode        CatalogOpKind = 6  // Node: its address, zone, kind and start; StatusStale when a later start is known
	OpAddToken       CatalogOpKind = 7  // Token
	OpSetTablet      CatalogOpKind = 8  // Tablet: where its replicas shall be, and who shall lead; Version of the catalog read; StatusStale
	OpDrainNode      CatalogOpKind = 9  // Node.ID, Draining, Leaving
	OpRemoveNode     CatalogOpKind = 10 // Node.ID; StatusInvalid while a tablet is wanted there
	OpSetSettings    CatalogOpKind = 11 // Settings
	OpRecover        CatalogOpKind = 12 // Node.ID: it alone is left; all others are removed for good, and it holds every tablet
	OpSetCommitment  CatalogOpKind = 13 // On: whether the commitment shall be on
)

// CatalogOp is the body of a CmdCatalog. Each kind uses the fields that its
// constant names; the others are zero.
type CatalogOp struct {
	Kind     CatalogOpKind
	Version  uint64
	Resource Resource
	Node     Node
	Tablet   Tablet
	Token    JoinToken
	Settings ClusterSettings
	On       bool
}

// Append appends the stored form.
func (o *CatalogOp) Append(dst []byte) []byte {
	dst = append(dst, byte(o.Kind))
	dst = AppendUvarint(dst, o.Version)
	dst = o.Resource.Append(dst)
	dst = o.Node.Append(dst)
	dst = o.Tablet.Append(dst)
	dst = o.Token.Append(dst)
	return AppendBool(o.Settings.Append(dst), o.On)
}

// Decode reads what Append wrote.
func (o *CatalogOp) Decode(d *Decoder) {
	o.Kind = CatalogOpKind(d.Byte())
	o.Version = d.Uvarint()
	o.Resource.Decode(d)
	o.Node.Decode(d)
	o.Tablet.Decode(d)
	o.Token.Decode(d)
	o.Settings.Decode(d)
	o.On = d.Bool()
}

// Append appends the stored form.
func (r *Resource) Append(dst []byte) []byte {
	dst = AppendUvarint(dst, uint64(r.ID))
	dst = append(dst, byte(r.Kind))
	dst = AppendString(dst, r.Name)
	dst = AppendUvarint(dst, uint64(r.CreatedMs))
	dst = AppendUvarint(dst, r.Version)
	dst = append(AppendBool(dst, r.Deleting), byte(r.Level))
	return AppendBytes(dst, r.Spec)
}

// Decode reads what Append wrote; Spec is a copy.
func (r *Resource) Decode(d *Decoder) {
	r.ID = ResourceID(d.Uvarint())
	r.Kind = ResourceKind(d.Byte())
	r.Name = d.String()
	r.CreatedMs = int64(d.Uvarint())
	r.Version = d.Uvarint()
	r.Deleting = d.Bool()
	r.Level = d.Level()
	r.Spec = append([]byte(nil), d.Bytes()...)
}

// Append appends the stored form.
func (n *Node) Append(dst []byte) []byte {
	dst = AppendUvarint(dst, uint64(n.ID))
	dst = AppendString(dst, n.PeerAddr)
	dst = AppendUvarint(dst, uint64(n.JoinedMs))
	dst = AppendString(dst, n.Zone)
	dst = AppendUvarint(dst, uint64(n.Start))
	return AppendBool(AppendBool(AppendBool(dst, n.Draining), n.Leaving), n.ReadOnly)
}

// Decode reads what Append wrote.
func (n *Node) Decode(d *Decoder) {
	n.ID = NodeID(d.Uvarint())
	n.PeerAddr = d.String()
	n.JoinedMs = int64(d.Uvarint())
	n.Zone = d.String()
	n.Start = Start(d.Uvarint())
	n.Draining, n.Leaving, n.ReadOnly = d.Bool(), d.Bool(), d.Bool()
}

// Append appends the stored form.
func (n *RemovedNode) Append(dst []byte) []byte {
	return AppendUvarint(AppendUvarint(dst, uint64(n.ID)), uint64(n.RemovedMs))
}

// Decode reads what Append wrote.
func (n *RemovedNode) Decode(d *Decoder) { n.ID, n.RemovedMs = NodeID(d.Uvarint()), int64(d.Uvarint()) }

// Append appends the stored form.
func (s *ClusterSettings) Append(dst []byte) []byte {
	dst = AppendString(AppendUvarint(dst, uint64(s.ReplaceAfterMs)), s.RegionName)
	dst = AppendUvarint(AppendUvarint(dst, uint64(s.Commitment.StartedMs)), uint64(s.Commitment.EndMs))
	return AppendUvarint(AppendUvarint(dst, uint64(s.AsyncWindowMs)), uint64(s.AsyncWrites))
}

// Decode reads what Append wrote.
func (s *ClusterSettings) Decode(d *Decoder) {
	s.ReplaceAfterMs, s.RegionName = int64(d.Uvarint()), d.String()
	s.Commitment = Commitment{StartedMs: int64(d.Uvarint()), EndMs: int64(d.Uvarint())}
	s.AsyncWindowMs, s.AsyncWrites = int64(d.Uvarint()), int64(d.Uvarint())
}

// Append appends the stored form.
func (t *Tablet) Append(dst []byte) []byte {
	dst = AppendUvarint(dst, uint64(t.ID))
	dst = AppendUvarint(dst, uint64(t.Lo))
	dst = AppendUvarint(dst, uint64(t.Hi))
	dst = appendNodeIDs(dst, t.Voters)
	dst = appendNodeIDs(dst, t.Learners)
	return AppendUvarint(dst, uint64(t.Lead))
}

// Decode reads what Append wrote.
func (t *Tablet) Decode(d *Decoder) {
	t.ID = TabletID(d.Uvarint())
	t.Lo = uint32(d.Uvarint())
	t.Hi = uint32(d.Uvarint())
	t.Voters = decodeNodeIDs(d)
	t.Learners = decodeNodeIDs(d)
	t.Lead = NodeID(d.Uvarint())
}

func appendNodeIDs(dst []byte, ids []NodeID) []byte {
	dst = AppendUvarint(dst, uint64(len(ids)))
	for _, id := range ids {
		dst = AppendUvarint(dst, uint64(id))
	}
	return dst
}

func decodeNodeIDs(d *Decoder) []NodeID {
	var ids []NodeID
	for n := d.Count(); n > 0; n-- {
		ids = append(ids, NodeID(d.Uvarint()))
	}
	return ids
}

// Append appends the stored form.
func (t *JoinToken) Append(dst []byte) []byte {
	return AppendUvarint(append(dst, t.Hash[:]...), uint64(t.ExpiresMs))
}

// Decode reads what Append wrote.
func (t *JoinToken) Decode(d *Decoder) {
	copy(t.Hash[:], d.Fixed(len(t.Hash)))
	t.ExpiresMs = int64(d.Uvarint())
}
