package model

// Key in these bodies is an item's encoded key: the partition key's encoding,
// then the sort key's, as package keys makes them. Condition and Update are
// the stored forms of package expr; empty means none. After decoding, slices
// share memory with the decoder's input. See docs/format/command-table.md.

// The flags of table commands. Part of the stored format.
const (
	flagReturnOld    = 1 << 0
	flagReturnOnFail = 1 << 1
	flagWantSize     = 1 << 2
	flagsKnown       = flagReturnOld | flagReturnOnFail | flagWantSize
)

func packFlags(returnOld, returnOnFail, wantSize bool) (flags byte) {
	if returnOld {
		flags |= flagReturnOld
	}
	if returnOnFail {
		flags |= flagReturnOnFail
	}
	if wantSize {
		flags |= flagWantSize
	}
	return flags
}

func (d *Decoder) flags() byte {
	flags := d.Byte()
	if flags&^flagsKnown != 0 {
		d.Fail()
	}
	return flags
}

// key reads an encoded key, which is never empty.
func (d *Decoder) key() []byte {
	key := d.Bytes()
	if len(key) == 0 {
		d.Fail()
	}
	return key
}

// PutItem is the body of a CmdPutItem. The result is a WriteResult.
type PutItem struct {
	Key          []byte
	Condition    []byte
	ReturnOld    bool
	ReturnOnFail bool   // StatusConditionFailed carries the item
	WantSize     bool   // the result counts the old item's size too
	Size         uint64 // of the item, in bytes by DynamoDB's rules; at most MaxItemBytes
	Item         []byte // encoded
}

// AppendHead appends all but Item, which follows as AppendItem encodes it.
func (p *PutItem) AppendHead(dst []byte) []byte {
	dst = append(dst, packFlags(p.ReturnOld, p.ReturnOnFail, p.WantSize))
	dst = AppendBytes(dst, p.Key)
	dst = AppendBytes(dst, p.Condition)
	return AppendUvarint(dst, p.Size)
}

// Append appends the stored form.
func (p *PutItem) Append(dst []byte) []byte { return append(p.AppendHead(dst), p.Item...) }

// Decode reads what Append wrote, up to the end of d.
func (p *PutItem) Decode(d *Decoder) {
	flags := d.flags()
	p.ReturnOld, p.ReturnOnFail, p.WantSize = flags&flagReturnOld != 0, flags&flagReturnOnFail != 0, flags&flagWantSize != 0
	p.Key = d.key()
	p.Condition = d.Bytes()
	p.Size = d.Uvarint()
	p.Item = d.Fixed(d.Len())
}

// UpdateItem is the body of a CmdUpdateItem. The result is a WriteResult.
type UpdateItem struct {
	Key          []byte
	KeyItem      []byte // the key attributes, encoded: what an absent item begins as
	Update       []byte
	Condition    []byte
	Return       ReturnMode
	ReturnOnFail bool
}

// Append appends the stored form.
func (u *UpdateItem) Append(dst []byte) []byte {
	dst = append(dst, packFlags(false, u.ReturnOnFail, false), byte(u.Return))
	dst = AppendBytes(dst, u.Key)
	dst = AppendBytes(dst, u.KeyItem)
	dst = AppendBytes(dst, u.Condition)
	return AppendBytes(dst, u.Update)
}

// Decode reads what Append wrote.
func (u *UpdateItem) Decode(d *Decoder) {
	u.ReturnOnFail = d.flags()&flagReturnOnFail != 0
	u.Return = ReturnMode(d.Byte())
	if u.Return > ReturnUpdatedNew {
		d.Fail()
	}
	u.Key = d.key()
	u.KeyItem = d.Bytes()
	u.Condition = d.Bytes()
	u.Update = d.Bytes()
}

// DeleteItem is the body of a CmdDeleteItem. The result is a WriteResult.
type DeleteItem struct {
	Key          []byte
	Condition    []byte
	ReturnOld    bool
	ReturnOnFail bool
	WantSize     bool // the result counts the old item's size
}

// Append appends the stored form.
func (r *DeleteItem) Append(dst []byte) []byte {
	dst = append(dst, packFlags(r.ReturnOld, r.ReturnOnFail, r.WantSize))
	return AppendBytes(AppendBytes(dst, r.Key), r.Condition)
}

// Decode reads what Append wrote.
func (r *DeleteItem) Decode(d *Decoder) {
	flags := d.flags()
	r.ReturnOld, r.ReturnOnFail, r.WantSize = flags&flagReturnOld != 0, flags&flagReturnOnFail != 0, flags&flagWantSize != 0
	r.Key = d.key()
	r.Condition = d.Bytes()
}

// BatchWrite is the body of a CmdBatchWrite: puts and deletes of distinct keys
// that all belong to the tablet. They take effect together. The result's body
// is empty; StatusStale says that a key belongs to another tablet and nothing
// was done.
type BatchWrite struct {
	Writes []BatchEntry
}

// BatchEntry is one write of a batch.
type BatchEntry struct {
	Key    []byte
	Delete bool
	Size   uint64 // of a put: the item's size, as in PutItem
	Item   []byte // of a put: encoded
}

// Append appends the stored form.
func (b *BatchWrite) Append(dst []byte) []byte {
	dst = AppendUvarint(dst, uint64(len(b.Writes)))
	for i := range b.Writes {
		w := &b.Writes[i]
		dst = AppendBytes(AppendBool(dst, w.Delete), w.Key)
		if !w.Delete {
			dst = AppendBytes(AppendUvarint(dst, w.Size), w.Item)
		}
	}
	return dst
}

// Decode reads what Append wrote.
func (b *BatchWrite) Decode(d *Decoder) {
	for n := d.Count(); n > 0 && d.Err() == nil; n-- {
		w := BatchEntry{Delete: d.Bool(), Key: d.key()}
		if !w.Delete {
			w.Size, w.Item = d.Uvarint(), d.Bytes()
		}
		b.Writes = append(b.Writes, w)
	}
}

// WriteResult is the body of the result of a single-item write. The body is
// empty when there is nothing to say.
type WriteResult struct {
	Charged uint64 // bytes: the larger of the old and the new item, as far as the command looked
	Item    []byte // encoded: the attributes to return; empty when there are none
}

// Append appends the stored form.
func (w *WriteResult) Append(dst []byte) []byte {
	if w.Charged == 0 && len(w.Item) == 0 {
		return dst
	}
	return append(AppendUvarint(dst, w.Charged), w.Item...)
}

// Decode reads what Append wrote, up to the end of d.
func (w *WriteResult) Decode(d *Decoder) {
	if d.Len() == 0 {
		return
	}
	w.Charged = d.Uvarint()
	w.Item = d.Fixed(d.Len())
}
