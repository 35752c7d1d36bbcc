package storage

import (
	"fmt"

	"github.com/cockroachdb/pebble/v2"

	"weir.dev/weir/internal/base"
)

// Batch collects changes that are committed together, of one command or of
// several. It implements machine.Writer. It belongs to one goroutine.
type Batch struct {
	b *pebble.Batch
}

// NewBatch returns an empty batch.
func (db *DB) NewBatch() *Batch { return &Batch{b: db.db.NewBatch()} }

// Set implements machine.Writer.
func (b *Batch) Set(key, value []byte) { mustCollect(b.b.Set(key, value, nil)) }

// Delete implements machine.Writer.
func (b *Batch) Delete(key []byte) { mustCollect(b.b.Delete(key, nil)) }

// DeleteRange implements machine.Writer. It costs far more than a Delete, when
// it is made and for every later read nearby: delete less than about 100,000
// keys one by one. An empty range changes nothing.
func (b *Batch) DeleteRange(lo, hi []byte) {
	if string(lo) < string(hi) {
		mustCollect(b.b.DeleteRange(lo, hi, nil))
	}
}

// mustCollect checks what Pebble says of adding to a batch in memory, which
// fails only when the batch was closed.
func mustCollect(err error) { base.Check(err == nil, "cannot add to a batch: %v", err) }

// Commit applies the changes and empties the batch for use again. Readers see
// all of them from here on; they are durable after the next Flush. An error
// means that the state can no longer be trusted to follow the log.
func (b *Batch) Commit() error {
	if b.b.Empty() {
		return nil
	}
	if err := b.b.Commit(pebble.NoSync); err != nil {
		return fmt.Errorf("cannot commit to the state: %w", err)
	}
	b.b.Reset()
	return nil
}

// Reset empties the batch without applying it.
func (b *Batch) Reset() { b.b.Reset() }

// Len is the number of changes in the batch.
func (b *Batch) Len() int { return int(b.b.Count()) }

// SizeBytes is the memory that the changes take.
func (b *Batch) SizeBytes() int { return b.b.Len() }

// Close releases the batch, which is not used again.
func (b *Batch) Close() { mustCollect(b.b.Close()) }
