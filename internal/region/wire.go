package region

import (
	"bytes"
	"compress/flate"
	"context"
	"fmt"
	"io"
	"sync"

	"weir.dev/weir/internal/model"
)

// Dialer reaches other regions. It may block and its errors are shown to the
// operator.
type Dialer interface {
	// Call sends one request to a node of the region that target names, and
	// returns its answer. An error leaves open whether the request arrived.
	Call(ctx context.Context, target *Target, op Op, body []byte) ([]byte, error)
}

// Target says whom to ask, and who asks.
type Target struct {
	Addr      string   // HOST:PORT of a peer listener
	Authority [16]byte // whose certificates are expected there
	Inbound   model.ResourceID
	Key       [32]byte // of the link; for OpOpen the hash of the token's secret
}

// Op is one thing that regions ask of each other. The numbers are part of the
// protocol between regions; see docs/format/region.md.
type Op uint8

// The operations.
const (
	OpOpen   Op = 1 // a new link, by its token
	OpTables Op = 2 // have these tables, and keep their tombstones for this link
	OpApply  Op = 3 // apply these changes
	OpMark   Op = 4 // how far have you surely told us everything?
	OpPassed Op = 5 // what we had to say of the time before that has arrived
	OpFollow Op = 6 // ship all your tables to us
	OpReport Op = 7 // this is how far our link is behind

	// Of a comparison.
	OpDigest  Op = 8  // sums over ranges of places
	OpLook    Op = 9  // what is at some places
	OpFetch   Op = 10 // items by key
	OpDrained Op = 11 // how far has your link to us come?

	// Of a failover.
	OpPromote  Op = 12 // take the writes
	OpShipBack Op = 13 // ship your tables to us, over a link of your own
	OpFailBack Op = 14 // give us the writes
)

// maxWireBytes bounds a message, unpacked: what one command wrote goes in one.
const maxWireBytes = 32 << 20

// openRequest asks for admission; the target's key proves the token.
type openRequest struct {
	Region  model.RegionID
	Name    string // of the region
	Link    string
	KeyHash [32]byte
}

func (o *openRequest) Append(dst []byte) []byte {
	dst = model.AppendString(model.AppendString(model.AppendUvarint(dst, uint64(o.Region)), o.Name), o.Link)
	return append(dst, o.KeyHash[:]...)
}

func (o *openRequest) Decode(d *model.Decoder) {
	o.Region, o.Name, o.Link = model.RegionID(d.Uvarint()), d.String(), d.String()
	copy(o.KeyHash[:], d.Fixed(len(o.KeyHash)))
}

type openAnswer struct {
	Inbound model.ResourceID
	Region  model.RegionID
	Name    string
}

func (o *openAnswer) Append(dst []byte) []byte {
	return model.AppendString(model.AppendUvarint(model.AppendUvarint(dst, uint64(o.Inbound)), uint64(o.Region)), o.Name)
}

func (o *openAnswer) Decode(d *model.Decoder) {
	o.Inbound, o.Region, o.Name = model.ResourceID(d.Uvarint()), model.RegionID(d.Uvarint()), d.String()
}

// followRequest asks for all tables; the target's key proves the token.
type followRequest struct {
	Region    model.RegionID
	Name      string   // of the region
	Addr      string   // of its peer listeners
	Authority [16]byte // of its certificates
	TokenHash [32]byte // of an invitation there
}

func (f *followRequest) Append(dst []byte) []byte {
	dst = model.AppendString(model.AppendString(model.AppendUvarint(dst, uint64(f.Region)), f.Name), f.Addr)
	return append(append(dst, f.Authority[:]...), f.TokenHash[:]...)
}

func (f *followRequest) Decode(d *model.Decoder) {
	f.Region, f.Name, f.Addr = model.RegionID(d.Uvarint()), d.String(), d.String()
	copy(f.Authority[:], d.Fixed(len(f.Authority)))
	copy(f.TokenHash[:], d.Fixed(len(f.TokenHash)))
}

// report is how far a link is behind, as its sender knows.
type report struct{ Changes, Bytes, Ms, Copying uint64 }

func (r *report) Append(dst []byte) []byte {
	dst = model.AppendUvarint(model.AppendUvarint(dst, r.Changes), r.Bytes)
	return model.AppendUvarint(model.AppendUvarint(dst, r.Ms), r.Copying)
}

func (r *report) Decode(d *model.Decoder) {
	r.Changes, r.Bytes, r.Ms, r.Copying = d.Uvarint(), d.Uvarint(), d.Uvarint(), d.Uvarint()
}

// backRequest asks for a link back.
type backRequest struct {
	Addr      string
	Authority [16]byte
	TokenHash [32]byte // of an invitation
	Tables    []string
	Queues    []string
	Streams   []string
}

func (b *backRequest) Append(dst []byte) []byte {
	dst = append(append(model.AppendString(dst, b.Addr), b.Authority[:]...), b.TokenHash[:]...)
	return model.AppendNames(model.AppendNames(model.AppendNames(dst, b.Tables), b.Queues), b.Streams)
}

func (b *backRequest) Decode(d *model.Decoder) {
	b.Addr = d.String()
	copy(b.Authority[:], d.Fixed(len(b.Authority)))
	copy(b.TokenHash[:], d.Fixed(len(b.TokenHash)))
	b.Tables, b.Queues, b.Streams = model.DecodeNames(d), model.DecodeNames(d), model.DecodeNames(d)
}

// applied is the answer to a batch.
type applied struct {
	model.ApplyChangesResult
	Fenced uint64 // a later epoch than the sender knew: nothing was taken in
}

func (a *applied) Append(dst []byte) []byte {
	return model.AppendUvarint(a.ApplyChangesResult.Append(dst), a.Fenced)
}

func (a *applied) Decode(d *model.Decoder) {
	a.ApplyChangesResult.Decode(d)
	a.Fenced = d.Uvarint()
}

// epoch is the answer to a report.
type epoch uint64

func (e *epoch) Decode(d *model.Decoder) { *e = epoch(d.Uvarint()) }

// tablesRequest names tables with their specs.
type tablesRequest struct{ Tables []namedTable }

type namedTable struct {
	Name   string
	Spec   []byte // a model.TableSpec
	Policy string // how it resolves conflicts, as resolution.agreed
}

func (t *tablesRequest) Append(dst []byte) []byte {
	dst = model.AppendUvarint(dst, uint64(len(t.Tables)))
	for _, n := range t.Tables {
		dst = model.AppendString(model.AppendBytes(model.AppendString(dst, n.Name), n.Spec), n.Policy)
	}
	return dst
}

func (t *tablesRequest) Decode(d *model.Decoder) {
	for n := d.Count(); n > 0 && d.Err() == nil; n-- {
		t.Tables = append(t.Tables, namedTable{d.String(), d.Bytes(), d.String()})
	}
}

// batch is changes of one or more tables, in order for each table.
type batch struct {
	ReadMs int64  // when they were read, by the sender's clock
	Epoch  uint64 // that the sender knows
	Tables []tableChanges
}

type tableChanges struct {
	Name    string
	Policy  string // as in namedTable
	Changes []model.Change
}

func (b *batch) Append(dst []byte) []byte {
	dst = model.AppendUvarint(model.AppendUvarint(dst, uint64(b.ReadMs)), b.Epoch)
	dst = model.AppendUvarint(dst, uint64(len(b.Tables)))
	for i := range b.Tables {
		t := &b.Tables[i]
		dst = model.AppendChanges(model.AppendString(model.AppendString(dst, t.Name), t.Policy), t.Changes)
	}
	return dst
}

func (b *batch) Decode(d *model.Decoder) {
	b.ReadMs, b.Epoch = int64(d.Uvarint()), d.Uvarint()
	for n := d.Count(); n > 0 && d.Err() == nil; n-- {
		t := tableChanges{Name: d.String(), Policy: d.String()}
		t.Changes = model.DecodeChanges(d)
		b.Tables = append(b.Tables, t)
	}
}

// add puts a change behind those of its table.
func (b *batch) add(table, policy string, c *model.Change) {
	for i := range b.Tables {
		if b.Tables[i].Name == table {
			b.Tables[i].Changes = append(b.Tables[i].Changes, *c)
			return
		}
	}
	b.Tables = append(b.Tables, tableChanges{table, policy, []model.Change{*c}})
}

// marks are places in the change logs of the answering region's tablets.
type marks []model.LinkTarget

func (m marks) Append(dst []byte) []byte {
	dst = model.AppendUvarint(dst, uint64(len(m)))
	for _, t := range m {
		dst = model.AppendUvarint(model.AppendUvarint(dst, uint64(t.Tablet)), uint64(t.UpTo))
	}
	return dst
}

func (m *marks) Decode(d *model.Decoder) {
	for n := d.Count(); n > 0 && d.Err() == nil; n-- {
		*m = append(*m, model.LinkTarget{Tablet: model.TabletID(d.Uvarint()), UpTo: model.ChangeNumber(d.Uvarint())})
	}
}

type decodable interface{ Decode(*model.Decoder) }

func decode(b []byte, v decodable) error {
	d := model.NewDecoder(b)
	v.Decode(d)
	if err := d.Done(); err != nil {
		return fmt.Errorf("cannot read what the other region says: %w", err)
	}
	return nil
}

// packers and unpackers are kept: each has a window of its own to fill.
var (
	packers   sync.Pool // of *flate.Writer
	unpackers sync.Pool // of io.ReadCloser that are flate.Resetters
)

// pack compresses a message: items repeat their attribute names.
func pack(b []byte) ([]byte, error) {
	var out bytes.Buffer
	w, kept := packers.Get().(*flate.Writer)
	if kept {
		w.Reset(&out)
	} else {
		var err error
		if w, err = flate.NewWriter(&out, flate.BestSpeed); err != nil {
			return nil, err
		}
	}
	defer packers.Put(w)
	if _, err := w.Write(b); err != nil {
		return nil, err
	}
	err := w.Close()
	return out.Bytes(), err
}

// unpack undoes pack and refuses what becomes too large.
func unpack(b []byte) ([]byte, error) {
	r, kept := unpackers.Get().(io.ReadCloser)
	if !kept {
		r = flate.NewReader(bytes.NewReader(b))
	} else if err := r.(flate.Resetter).Reset(bytes.NewReader(b), nil); err != nil {
		return nil, err
	}
	defer unpackers.Put(r)
	out, err := io.ReadAll(io.LimitReader(r, maxWireBytes+1))
	if err == nil && len(out) > maxWireBytes {
		err = fmt.Errorf("larger than %d bytes", maxWireBytes)
	}
	if err != nil {
		return nil, model.Errorf(model.ErrValidation, "cannot unpack a message: %v", err)
	}
	return out, nil
}
