package storage

import "weir.dev/weir/internal/machine"

// Run collects the changes of commands that follow each other and are
// committed together. It is a machine.Writer for the command under way, and a
// machine.Reader of the state with the changes of the commands before it, not
// with its own. It belongs to one goroutine.
type Run struct {
	db  *DB
	now *Batch // the changes of one command
	// all is indexed: the changes of the commands before that one. It stays
	// empty, and reads go to the state itself, while a run has one command.
	all   *Batch
	ended bool // the command in now has ended
}

// NewRun returns an empty run.
func (db *DB) NewRun() *Run {
	return &Run{db: db, now: db.NewBatch(), all: &Batch{b: db.db.NewIndexedBatch()}}
}

// End ends the command under way: those after it read its changes. Its
// iterators are closed.
func (r *Run) End() { r.ended = true }

// begin makes room for the changes of the next command once one has ended.
func (r *Run) begin() {
	if r.ended {
		r.ended = false
		mustCollect(r.all.b.Apply(r.now.b, nil))
		r.now.Reset()
	}
}

// Set implements machine.Writer.
func (r *Run) Set(key, value []byte) {
	r.begin()
	r.now.Set(key, value)
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
	if r.all.Len() == 0 {
		return view{r.db.db}
	}
	return view{r.all.b}
}

// SizeBytes is the memory that the changes take.
func (r *Run) SizeBytes() int { return r.now.SizeBytes() + r.all.SizeBytes() }

// Commit applies the changes, and one more that belongs to no command, as
// Batch.Commit does, and begins a new run. A nil key adds nothing.
func (r *Run) Commit(key, value []byte) error {
	b := r.now
	if r.all.Len() > 0 {
		r.ended = true
		r.begin()
		b = r.all
	}
	r.ended = false
	if key != nil {
		b.Set(key, value)
	}
	return b.Commit()
}

// Close releases the run, which is not used again.
func (r *Run) Close() {
	r.now.Close()
	r.all.Close()
}
