package keys

import (
	"encoding/binary"
	"math/bits"

	"weir.dev/weir/internal/model"
)

// A block is several messages of a standard queue that were sent together and
// are stored together, as one entry of the line of priority 0. Numbers of messages,
// and places in lines, are multiples of NumberStep, so that the numbers
// between two steps say which message of which block is meant: the second
// lowest four bits are how many messages the block has, the lowest which of
// them it is, from 1. Both are zero for a message that is stored alone.
const (
	// NumberStep is the distance between two numbers given one after the other.
	NumberStep = 256
	// MaxBlock is the most messages in one block.
	MaxBlock = 15
)

// NextNumber is the first number that may be given when all below the given one
// were.
func NextNumber(from uint64) uint64 { return (from + NumberStep - 1) &^ (NumberStep - 1) }

// BlockNumber is the number of a block of n messages, when next is the next
// number to be given.
func BlockNumber(next uint64, n int) uint64 { return next | uint64(n)<<4 }

// BlockSize is how many messages a block has; zero when the number is not a
// block's, or of one of its messages.
func BlockSize(number uint64) int { return int(number >> 4 & 0xf) }

// InBlock is the number of the message with index i, from 0, in a block.
func InBlock(block uint64, i int) uint64 { return block + 1 + uint64(i) }

// SplitInBlock finds the block of a message by its number, and the message's
// index; ok is false for a message that never was in one.
func SplitInBlock(seq uint64) (block uint64, i int, ok bool) {
	block, at := seq&^0xf, int(seq&0xf)
	return block, at - 1, at > 0 && at <= BlockSize(seq)
}

// BlockStart is where a scan of blocks begins that goes on at the given number of
// a message: at its block.
func BlockStart(order uint64) uint64 { return order &^ 0xf }

// BlockEnd is the order that follows those of a block's messages.
func BlockEnd(block uint64) uint64 { return block + 0x10 }

// AppendQueueBlock appends the stored form of a block: what the indexes know of each
// message and the messages, in stored form.
func AppendQueueBlock(dst []byte, entries []QueueEntry, messages [][]byte) []byte {
	for i := range messages {
		dst = binary.AppendUvarint(dst, uint64(entries[i].SentMs))
		dst = binary.AppendUvarint(dst, entries[i].Size)
		dst = binary.AppendUvarint(dst, uint64(len(messages[i])))
	}
	for i := range messages {
		dst = append(dst, messages[i]...)
	}
	return dst
}

// QueueBlock is a stored block, taken apart. It shares memory with the value.
type QueueBlock struct {
	entries  [MaxBlock]QueueEntry
	messages [MaxBlock][]byte
}

// SplitQueueBlock takes apart what is stored under BlockKey; ok is false
// when that is no such block.
func SplitQueueBlock(number uint64, value []byte) (b QueueBlock, ok bool) {
	n := BlockSize(number)
	d := model.NewDecoder(value)
	var lengths [MaxBlock]uint64
	for i := range n {
		b.entries[i] = QueueEntry{Seq: InBlock(number, i), SentMs: int64(d.Uvarint()), Size: d.Uvarint(), Block: true}
		lengths[i] = d.Uvarint()
	}
	for i := range n {
		if lengths[i] > uint64(d.Len()) {
			return b, false
		}
		b.messages[i] = d.Fixed(int(lengths[i]))
	}
	return b, d.Done() == nil
}

// Entry is what the indexes know of the message with index i.
func (b *QueueBlock) Entry(i int) QueueEntry { return b.entries[i] }

// At is Entry, but shares its memory.
func (b *QueueBlock) At(i int) *QueueEntry { return &b.entries[i] }

// Message is the stored form of the message with index i.
func (b *QueueBlock) Message(i int) []byte { return b.messages[i] }

// IsBlock reports whether the number is a block's; those of its messages are not.
func IsBlock(number uint64) bool { return number&0xf == 0 && BlockSize(number) > 0 }

// Members is a set of messages of one block, by their indexes.
type Members uint16

// Has reports whether the message is in the set.
func (m Members) Has(i int) bool { return m>>i&1 != 0 }

// With is the set and the message.
func (m Members) With(i int) Members { return m | 1<<i }

// Without is the set without the message.
func (m Members) Without(i int) Members { return m &^ (1 << i) }

// Count is how many are in the set.
func (m Members) Count() int { return bits.OnesCount16(uint16(m)) }

// AllOf are all messages of a block.
func AllOf(block uint64) Members { return 1<<BlockSize(block) - 1 }

// BlockState is what became of a block's messages. Those that it does not name
// are in line, if the line has not come to them, or in claims.
type BlockState struct {
	Gone  Members // deleted, or alone by now
	Parts []BlockPart
}

// BlockPart are the messages of a block that one receive took and that are
// still in flight by it.
type BlockPart struct {
	UntilMs    int64 // when they become visible; they are under Hidden
	ReceivedMs int64
	Nonce      uint64 // of the receive
	Members    Members
	Sizes      [MaxBlock]uint64 // of the members
}

// Append appends the stored form.
func (b *BlockState) Append(dst []byte) []byte {
	dst = binary.AppendUvarint(dst, uint64(b.Gone))
	dst = binary.AppendUvarint(dst, uint64(len(b.Parts)))
	for i := range b.Parts {
		p := &b.Parts[i]
		dst = binary.AppendUvarint(dst, uint64(p.UntilMs))
		dst = binary.AppendUvarint(dst, uint64(p.ReceivedMs))
		dst = binary.BigEndian.AppendUint64(dst, p.Nonce)
		dst = binary.AppendUvarint(dst, uint64(p.Members))
		for at := range MaxBlock {
			if p.Members.Has(at) {
				dst = binary.AppendUvarint(dst, p.Sizes[at])
			}
		}
	}
	return dst
}

// Decode reads what Append wrote.
func (b *BlockState) Decode(d *model.Decoder) {
	members := func() Members {
		v := d.Uvarint()
		if v >= 1<<MaxBlock {
			d.Fail()
		}
		return Members(v)
	}
	b.Gone = members()
	for n := d.Count(); n > 0 && d.Err() == nil; n-- {
		p := BlockPart{UntilMs: int64(d.Uvarint()), ReceivedMs: int64(d.Uvarint()), Nonce: binary.BigEndian.Uint64(d.Fixed(8)), Members: members()}
		for at := range MaxBlock {
			if p.Members.Has(at) {
				p.Sizes[at] = d.Uvarint()
			}
		}
		b.Parts = append(b.Parts, p)
	}
}
