package storage

import (
	"fmt"

	"weir.dev/weir/internal/machine"
)

// Run collects the changes of commands that follow each other and are
// committed together. It is a machine.Writer for the command under way, and a
// machine.Reader of the state with the changes of the commands before it, not
// with its own. It belongs to one goroutine.
type Run struct {
	db  *DB
	now *Batch // the changes of one command
	// all holds the changes of the commands before that one. It stays empty, and
	// reads go to the state itself, while a run has one command.
	all   *memtable
	many  bool // all is in use
	ended bool // the command in now has ended
}

// NewRun returns an empty run.
func (db *DB) NewRun() *Run { return &Run{db: db, now: db.NewBatch(), all: newMemtable(0)} }

// End ends the command under way: those after it read its changes. Its
// iterators are closed.
func (r *Run) End() { r.ended = true }

// begin makes room for the changes of the next command once one has ended.
func (r *Run) begin() {
	if r.ended {
		r.ended, r.many = false, true
		var check func([]byte)
		if r.db.opts.CheckNew {
			check = func(key []byte) { mustBeAbsent(view{r.db, r.all}, key) }
		}
		r.now.apply(r.all, check)
		r.now.Reset()
	}
}

// Set implements machine.Writer.
func (r *Run) Set(key, value []byte) {
	r.begin()
	r.now.Set(key, value)
}

// SetNew implements machine.Writer.
func (r *Run) SetNew(key, value []byte) {
	r.begin()
	r.now.SetNew(key, value)
}

// Delete implements machine.Writer.
func (r *Run) Delete(key []byte) {
	r.begin()
	r.now.Delete(key)
}

// DeleteRange implements machine.Writer; see Batch.DeleteRange.
func (r *Run) DeleteRange(lo, hi []byte) {
	r.begin()
	r.now.DeleteRange(lo, hi)
}

// Get implements machine.Reader.
func (r *Run) Get(key []byte) (value []byte, ok bool, err error) { return r.view().Get(key) }

// Scan implements machine.Reader. Changes made later do not show in the
// iterator.
func (r *Run) Scan(lo, hi []byte, reverse bool) (machine.Iterator, error) {
	return r.view().Scan(lo, hi, reverse)
}

func (r *Run) view() view {
	r.begin()
	if !r.many {
		return view{db: r.db}
	}
	return view{r.db, r.all}
}

// SizeBytes is about the memory that the changes take.
func (r *Run) SizeBytes() int {
	if !r.many {
		return r.now.SizeBytes()
	}
	return r.now.SizeBytes() + r.all.sizeBytes()
}

// Commit applies the changes, and one more that belongs to no command, as
// Batch.Commit does, and begins a new run. A nil key adds nothing.
func (r *Run) Commit(key, value []byte) error {
	if r.many {
		r.ended = true
		r.begin()
	}
	r.ended = false
	if key != nil {
		r.now.Set(key, value)
	}
	if !r.many {
		return r.now.Commit()
	}
	err := r.db.commit(func(m *memtable, check func([]byte)) {
		r.all.applyTo(m)
		r.now.apply(m, check)
	})
	if err != nil {
		return fmt.Errorf("cannot commit to the state: %w", err)
	}
	r.many = false
	r.all.reset()
	r.now.Reset()
	return nil
}

// Close releases the run, which is not used again.
func (r *Run) Close() {
	r.now.Close()
	r.all = nil
}
