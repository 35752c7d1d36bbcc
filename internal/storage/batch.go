package storage

import (
	"fmt"

	"weir.dev/weir/internal/base"
)

// Batch collects changes that are committed together, of one command or of
// several. It implements machine.Writer. It belongs to one goroutine.
type Batch struct {
	db   *DB
	ops  []change
	data []byte // keys and values
}

// change is one change of a batch. Of a range, the value is its end.
type change struct {
	kind            changeKind
	keyLen, dataLen uint32 // of the key alone, and of key and value
	at              int    // where they are in the batch's data
}

type changeKind uint8

const (
	changeSet changeKind = iota
	changeSetNew
	changeDelete
	changeDeleteRange
)

// changeBytes is about what a change takes in memory besides its key and value.
const changeBytes = 24

// NewBatch returns an empty batch.
func (db *DB) NewBatch() *Batch { return &Batch{db: db} }

func (b *Batch) add(kind changeKind, key, value []byte) {
	b.ops = append(b.ops, change{kind, uint32(len(key)), uint32(len(key) + len(value)), len(b.data)})
	b.data = append(append(b.data, key...), value...)
}

// Set implements machine.Writer.
func (b *Batch) Set(key, value []byte) { b.add(changeSet, key, value) }

// SetNew implements machine.Writer.
func (b *Batch) SetNew(key, value []byte) { b.add(changeSetNew, key, value) }

// Delete implements machine.Writer.
func (b *Batch) Delete(key []byte) { b.add(changeDelete, key, nil) }

// DeleteRange implements machine.Writer. It costs far more than a Delete, when
// it is made and for every later read nearby: delete less than about 100,000
// keys one by one. An empty range changes nothing.
func (b *Batch) DeleteRange(lo, hi []byte) {
	if string(lo) < string(hi) {
		b.add(changeDeleteRange, lo, hi)
	}
}

// apply makes the changes in a memtable, as part of its next commit. Each change
// that promises a new key is shown to check, if there is one.
func (b *Batch) apply(m *memtable, check func(key []byte)) {
	for _, c := range b.ops {
		data := b.data[c.at : c.at+int(c.dataLen)]
		key, value := data[:c.keyLen], data[c.keyLen:]
		switch c.kind {
		case changeSet:
			m.set(key, value, false)
		case changeSetNew:
			if check != nil {
				check(key)
			}
			m.set(key, value, true)
		case changeDelete:
			m.delete(key)
		default:
			m.deleteRange(key, value)
		}
	}
}

// Commit applies the changes and empties the batch for use again. Readers see
// all of them from here on; they are durable after the next Flush. It waits
// while as many memtables as there may be wait for the disk. An error means that
// the state can no longer be trusted to follow the log.
func (b *Batch) Commit() error {
	if len(b.ops) == 0 {
		return nil
	}
	if err := b.db.commit(func(m *memtable, check func([]byte)) { b.apply(m, check) }); err != nil {
		return fmt.Errorf("cannot commit to the state: %w", err)
	}
	b.Reset()
	return nil
}

// maxKeptBytes bounds the memory that an empty batch keeps for use again.
const maxKeptBytes = 1 << 20

// Reset empties the batch without applying it.
func (b *Batch) Reset() {
	if cap(b.data)+cap(b.ops)*changeBytes > maxKeptBytes {
		b.ops, b.data = nil, nil
	}
	b.ops, b.data = b.ops[:0], b.data[:0]
}

// Len is the number of changes in the batch.
func (b *Batch) Len() int { return len(b.ops) }

// SizeBytes is the memory that the changes take.
func (b *Batch) SizeBytes() int { return len(b.data) + len(b.ops)*changeBytes }

// Close releases the batch, which is not used again.
func (b *Batch) Close() {
	base.Check(b.db != nil, "a batch is closed twice")
	*b = Batch{}
}
