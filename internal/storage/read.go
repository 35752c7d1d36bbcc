package storage

import (
	"errors"
	"fmt"

	"github.com/cockroachdb/pebble/v2"

	"weir.dev/weir/internal/machine"
)

// View reads the live state: each Get and each Scan sees what is committed
// when it is called. Values that Get returns are the caller's.
func (db *DB) View() machine.Reader { return view{db: db} }

// Durable reads the part of the state that a crash would leave, as of each
// call: what a flush or an import has made durable. It is for finding out
// which applied indexes are durable.
func (db *DB) Durable() machine.Reader { return durable{db.db} }

// view is a machine.Reader of the live state, with the changes of a run above
// it if there are any.
type view struct {
	db  *DB
	run *memtable
}

// Get implements machine.Reader.
func (v view) Get(key []byte) (value []byte, ok bool, err error) {
	if v.run != nil {
		if found, ok, decided := v.run.get(key, newest); decided {
			return own(found, ok)
		}
	}
	v.db.mu.RLock()
	tables := v.db.tables
	found, ok, decided := tables[0].get(key, newest)
	v.db.mu.RUnlock()
	for i := 1; i < len(tables) && !decided; i++ {
		found, ok, decided = tables[i].get(key, newest)
	}
	if decided {
		return own(found, ok)
	}
	return getLower(v.db.db, key)
}

// own returns a copy of what was found.
func own(found []byte, ok bool) (value []byte, exists bool, err error) {
	if !ok {
		return nil, false, nil
	}
	return append(make([]byte, 0, len(found)), found...), true, nil
}

func getLower(r pebble.Reader, key []byte) (value []byte, ok bool, err error) {
	b, closer, err := r.Get(key)
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
	var buf [maxSources]moment
	moments := buf[:0]
	if v.run != nil {
		moments = append(moments, moment{table: v.run, seq: newest, ranges: v.run.ranges})
	}
	v.db.mu.RLock()
	moments = v.db.moments(moments)
	lower, err := v.db.db.NewIter(&pebble.IterOptions{LowerBound: lo, UpperBound: hi})
	counted := v.db.tables[0]
	counted.readers.Add(1)
	v.db.mu.RUnlock()
	if err != nil {
		counted.readers.Add(-1)
		return nil, fmt.Errorf("cannot scan the state: %w", err)
	}
	return scan(moments, lower, lo, hi, reverse, counted), nil
}

// moments adds the memtables as they are now, newest first. The caller holds mu
// and looks at Pebble before it lets go: a memtable that takes the place of
// these cannot have come into Pebble by then.
func (db *DB) moments(add []moment) []moment {
	for i, t := range db.tables {
		m := moment{table: t, seq: t.seq, ranges: t.ranges}
		if i == 0 {
			m.mu = &db.mu
		}
		add = append(add, m)
	}
	return add
}

// Snapshot reads the state of one moment. It keeps old data on disk, and
// memtables in memory, until it is closed.
type Snapshot struct {
	tables []moment // newest first
	lower  *pebble.Snapshot
}

// Snapshot returns the state as it is now.
func (db *DB) Snapshot() *Snapshot {
	db.mu.RLock()
	defer db.mu.RUnlock()
	db.tables[0].readers.Add(1)
	return &Snapshot{tables: db.moments(nil), lower: db.db.NewSnapshot()}
}

// Close releases the snapshot. Its iterators are closed by then.
func (s *Snapshot) Close() error {
	s.tables[0].table.readers.Add(-1)
	s.tables = nil
	return s.lower.Close()
}

// Get implements machine.Reader.
func (s *Snapshot) Get(key []byte) (value []byte, ok bool, err error) {
	for i := range s.tables {
		if found, ok, decided := s.tables[i].get(key); decided {
			return own(found, ok)
		}
	}
	return getLower(s.lower, key)
}

// get looks a key up in the memtable as of this moment.
func (m *moment) get(key []byte) (value []byte, ok, decided bool) {
	if m.mu != nil {
		m.mu.RLock()
		defer m.mu.RUnlock()
	}
	return m.table.get(key, m.seq)
}

// Scan implements machine.Reader. A nil bound is no bound.
func (s *Snapshot) Scan(lo, hi []byte, reverse bool) (machine.Iterator, error) {
	lower, err := s.lower.NewIter(&pebble.IterOptions{LowerBound: lo, UpperBound: hi})
	if err != nil {
		return nil, fmt.Errorf("cannot scan the state: %w", err)
	}
	return scan(s.tables, lower, lo, hi, reverse, nil), nil
}

// durable is a machine.Reader of what is on disk.
type durable struct{ db *pebble.DB }

// Get implements machine.Reader.
func (d durable) Get(key []byte) (value []byte, ok bool, err error) {
	it, err := d.Scan(key, nil, false)
	if err != nil {
		return nil, false, err
	}
	if it.Next() && string(it.Key()) == string(key) {
		value, ok = append([]byte{}, it.Value()...), true
	}
	return value, ok, it.Close()
}

// Scan implements machine.Reader.
func (d durable) Scan(lo, hi []byte, reverse bool) (machine.Iterator, error) {
	lower, err := d.db.NewIter(&pebble.IterOptions{LowerBound: lo, UpperBound: hi, OnlyReadGuaranteedDurable: true})
	if err != nil {
		return nil, fmt.Errorf("cannot scan the state: %w", err)
	}
	return scan(nil, lower, lo, hi, reverse, nil), nil
}
