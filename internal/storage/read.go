package storage

import (
	"errors"
	"fmt"

	"github.com/cockroachdb/pebble/v2"

	"weir.dev/weir/internal/machine"
)

// View reads the live state: each Get and each Scan sees what is committed
// when it is called. Values that Get returns are the caller's.
func (db *DB) View() machine.Reader { return view{db.db} }

// Durable reads the part of the state that a crash would leave, as of each
// call: what a flush or an import has made durable. It is for finding out
// which applied indexes are durable.
func (db *DB) Durable() machine.Reader { return durable{db.db} }

// Snapshot reads the state of one moment. It keeps old data on disk until it
// is closed.
type Snapshot struct {
	view
	snap *pebble.Snapshot
}

// Snapshot returns the state as it is now.
func (db *DB) Snapshot() *Snapshot {
	s := db.db.NewSnapshot()
	return &Snapshot{view: view{s}, snap: s}
}

// Close releases the snapshot. Its iterators are closed by then.
func (s *Snapshot) Close() error { return s.snap.Close() }

// view is a machine.Reader over one of Pebble's.
type view struct{ reader pebble.Reader }

// Get implements machine.Reader.
func (v view) Get(key []byte) (value []byte, ok bool, err error) {
	b, closer, err := v.reader.Get(key)
	if err != nil {
		if errors.Is(err, pebble.ErrNotFound) {
			return nil, false, nil
		}
		return nil, false, fmt.Errorf("cannot read the state: %w", err)
	}
	value = append(make([]byte, 0, len(b)), b...)
	return value, true, closer.Close()
}

// Scan implements machine.Reader. A nil bound is no bound.
func (v view) Scan(lo, hi []byte, reverse bool) (machine.Iterator, error) {
	return scan(v.reader, pebble.IterOptions{LowerBound: lo, UpperBound: hi}, reverse)
}

// durable is a machine.Reader of what is on disk.
type durable struct{ db *pebble.DB }

// Get implements machine.Reader.
func (d durable) Get(key []byte) (value []byte, ok bool, err error) {
	it, err := d.db.NewIter(&pebble.IterOptions{LowerBound: key, OnlyReadGuaranteedDurable: true})
	if err != nil {
		return nil, false, fmt.Errorf("cannot read the state: %w", err)
	}
	if it.First() && string(it.Key()) == string(key) {
		value, ok = append([]byte{}, it.Value()...), true
	}
	return value, ok, it.Close()
}

// Scan implements machine.Reader.
func (d durable) Scan(lo, hi []byte, reverse bool) (machine.Iterator, error) {
	return scan(d.db, pebble.IterOptions{LowerBound: lo, UpperBound: hi, OnlyReadGuaranteedDurable: true}, reverse)
}

func scan(r pebble.Reader, o pebble.IterOptions, reverse bool) (machine.Iterator, error) {
	it, err := r.NewIter(&o)
	if err != nil {
		return nil, fmt.Errorf("cannot scan the state: %w", err)
	}
	return &iterator{it: it, reverse: reverse}, nil
}

// iterator is a machine.Iterator over Pebble's, which Pebble pools.
type iterator struct {
	it      *pebble.Iterator
	reverse bool
	started bool
}

func (i *iterator) Next() bool {
	first := !i.started
	i.started = true
	switch {
	case first && i.reverse:
		return i.it.Last()
	case first:
		return i.it.First()
	case i.reverse:
		return i.it.Prev()
	default:
		return i.it.Next()
	}
}

func (i *iterator) Key() []byte   { return i.it.Key() }
func (i *iterator) Value() []byte { return i.it.Value() }

func (i *iterator) Close() error {
	if err := i.it.Close(); err != nil {
		return fmt.Errorf("cannot scan the state: %w", err)
	}
	return nil
}
