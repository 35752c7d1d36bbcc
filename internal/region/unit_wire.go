package region

import "weir.dev/weir/internal/model"

// What regions say to each other of queues and streams. docs/format/region.md
// has the bytes.
const (
	OpUnits      Op = 32 // have these queues and streams
	OpApplyUnits Op = 33 // apply these changes of them
)

// unitsRequest names queues and streams with their specs, and what the link
// selects.
type unitsRequest struct {
	Epoch           uint64   // that the sender knows
	Passive         bool     // the sender does not have the writes either
	Queues, Streams []string // as in model.LinkSpec
	Units           []namedUnit
}

type namedUnit struct {
	Kind        model.ResourceKind
	Name        string
	Spec        []byte // a model.QueueSpec or a model.StreamSpec
	DeadLetters string // of a queue: the name of its dead-letter queue there; ids are of one region only
}

func (u *unitsRequest) Append(dst []byte) []byte {
	dst = model.AppendBool(model.AppendUvarint(dst, u.Epoch), u.Passive)
	dst = model.AppendNames(model.AppendNames(dst, u.Queues), u.Streams)
	dst = model.AppendUvarint(dst, uint64(len(u.Units)))
	for i := range u.Units {
		n := &u.Units[i]
		dst = model.AppendBytes(model.AppendString(append(dst, byte(n.Kind)), n.Name), n.Spec)
		dst = model.AppendString(dst, n.DeadLetters)
	}
	return dst
}

func (u *unitsRequest) Decode(d *model.Decoder) {
	u.Epoch, u.Passive = d.Uvarint(), d.Bool()
	u.Queues, u.Streams = model.DecodeNames(d), model.DecodeNames(d)
	for n := d.Count(); n > 0 && d.Err() == nil; n-- {
		u.Units = append(u.Units, namedUnit{model.ResourceKind(d.Byte()), d.String(), d.Bytes(), d.String()})
	}
}

// unitBatch is changes of units, in order for each.
type unitBatch struct {
	ReadMs int64  // when they were read, by the sender's clock
	Epoch  uint64 // that the sender knows
	Units  []unitChanges
}

// unitChanges are those of one unit.
type unitChanges struct {
	Kind    model.ResourceKind
	Name    string
	Index   uint64      // of the slot among the queue's, or the shard
	Sources []deadQueue // the queues that messages among them died in
	Changes []model.UnitChange
}

// deadQueue names a queue by the id that it has with the sender.
type deadQueue struct {
	ID   model.ResourceID
	Name string
}

func (b *unitBatch) Append(dst []byte) []byte {
	dst = model.AppendUvarint(model.AppendUvarint(dst, uint64(b.ReadMs)), b.Epoch)
	dst = model.AppendUvarint(dst, uint64(len(b.Units)))
	for i := range b.Units {
		u := &b.Units[i]
		dst = model.AppendUvarint(model.AppendString(append(dst, byte(u.Kind)), u.Name), u.Index)
		dst = model.AppendUvarint(dst, uint64(len(u.Sources)))
		for _, s := range u.Sources {
			dst = model.AppendString(model.AppendUvarint(dst, uint64(s.ID)), s.Name)
		}
		dst = model.AppendUnitChanges(dst, u.Changes)
	}
	return dst
}

func (b *unitBatch) Decode(d *model.Decoder) {
	b.ReadMs, b.Epoch = int64(d.Uvarint()), d.Uvarint()
	for n := d.Count(); n > 0 && d.Err() == nil; n-- {
		u := unitChanges{Kind: model.ResourceKind(d.Byte()), Name: d.String(), Index: d.Uvarint()}
		for m := d.Count(); m > 0 && d.Err() == nil; m-- {
			u.Sources = append(u.Sources, deadQueue{model.ResourceID(d.Uvarint()), d.String()})
		}
		u.Changes = model.DecodeUnitChanges(d)
		b.Units = append(b.Units, u)
	}
}

// unitsApplied is the answer to a batch: what is needed of each of its units.
type unitsApplied struct {
	Fenced uint64 // as in applied
	Needs  []model.UnitNeed
}

func (a *unitsApplied) Append(dst []byte) []byte {
	dst = model.AppendUvarint(model.AppendUvarint(dst, a.Fenced), uint64(len(a.Needs)))
	for _, n := range a.Needs {
		dst = append(dst, byte(n))
	}
	return dst
}

func (a *unitsApplied) Decode(d *model.Decoder) {
	a.Fenced = d.Uvarint()
	for n := d.Count(); n > 0 && d.Err() == nil; n-- {
		a.Needs = append(a.Needs, model.UnitNeed(d.Byte()))
	}
}
