package tablet

import (
	"encoding/binary"

	"weir.dev/weir/internal/model"
)

// Batch is the content of one log entry: the commands that one turn of the
// leader's lane collected, in order.
type Batch struct {
	Nonce  uint64 // of the run that proposed it
	Number uint64 // of the batch within that run
	// Early is how many commands, the first ones, may have been answered before a
	// majority had them, by Node; both are zero when none may.
	Early   uint64
	Node    model.NodeID
	decoder model.Decoder
}

const batchVersion = 1

func appendBatchHeader(dst []byte, b Batch) []byte {
	dst = append(dst, batchVersion)
	dst = binary.LittleEndian.AppendUint64(dst, b.Nonce)
	dst = model.AppendUvarint(model.AppendUvarint(dst, b.Number), b.Early)
	if b.Early > 0 {
		dst = model.AppendUvarint(dst, uint64(b.Node))
	}
	return dst
}

// DecodeBatch reads an entry's data; see docs/format/command.md. Commands share
// memory with it.
func DecodeBatch(data []byte) (*Batch, error) {
	b := &Batch{decoder: *model.NewDecoder(data)}
	d := &b.decoder
	if d.Byte() != batchVersion {
		d.Fail()
	}
	b.Nonce, b.Number, b.Early = binary.LittleEndian.Uint64(d.Fixed(8)), d.Uvarint(), d.Uvarint()
	if b.Early > 0 {
		b.Node = model.NodeID(d.Uvarint())
	}
	return b, d.Err()
}

// Next reads the next command; false at the end. Check Err then.
func (b *Batch) Next(c *model.Command) bool {
	if b.decoder.Len() == 0 {
		return false
	}
	c.Decode(&b.decoder)
	return b.decoder.Err() == nil
}

// More reports whether commands are left after the last one read.
func (b *Batch) More() bool { return b.decoder.Len() > 0 }

// Err is model.ErrCorrupt when the batch was malformed.
func (b *Batch) Err() error { return b.decoder.Err() }
