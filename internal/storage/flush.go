package storage

import (
	"errors"
	"fmt"
	"sync"
	"syscall"
	"time"

	"weir.dev/weir/internal/base"
)

// flusher writes frozen memtables to Pebble, oldest first, each in one durable
// step: tables in the order of keys, ingested together. So a crash leaves the
// commits up to the end of some memtable, and none after it.
type flusher struct {
	wake    chan struct{} // holds one token while there may be something to do
	stop    chan struct{}
	stopped sync.WaitGroup
}

const (
	// flushTableBytes is the size at which a flush begins another table.
	flushTableBytes = 4 << 20
	// flushRetry is how long a flush waits for room on the disk.
	flushRetry = 250 * time.Millisecond
)

var errClosed = errors.New("the state is closed")

// commit makes changes in the memtable and shows them to readers.
func (db *DB) commit(change func(m *memtable, check func([]byte))) error {
	db.mu.Lock()
	defer db.mu.Unlock()
	for db.full() && !db.freeze() {
		if db.failed != nil {
			return db.failed
		}
		db.room.Wait()
	}
	m := db.tables[0]
	change(m, db.check)
	m.publish()
	if db.full() {
		db.freeze()
	}
	return nil
}

// full says that the memtable that takes commits should be frozen. The caller
// holds mu.
func (db *DB) full() bool {
	m := db.tables[0]
	return int64(m.sizeBytes()) >= db.opts.MemTableBytes || len(m.ranges) >= maxRanges
}

// freeze puts another memtable above the one that takes commits, if there may be
// another. The caller holds mu.
func (db *DB) freeze() bool {
	if len(db.tables) >= memTables {
		return false
	}
	db.tables = append([]*memtable{newMemtable(db.tables[0].number + 1)}, db.tables...)
	select {
	case db.flusher.wake <- struct{}{}:
	default:
	}
	return true
}

// Flush returns when everything committed before the call is durable. It may
// wait for as long as writing the memtables takes, and for ever on a full disk.
func (db *DB) Flush() error {
	db.mu.Lock()
	defer db.mu.Unlock()
	upTo := db.tables[0].number
	if db.tables[0].empty() {
		upTo--
	}
	for db.tables[len(db.tables)-1].number <= upTo {
		if db.failed != nil {
			return fmt.Errorf("cannot flush the state: %w", db.failed)
		}
		if db.tables[0].number > upTo || !db.freeze() {
			db.room.Wait()
		}
	}
	return nil
}

// flushAll writes frozen memtables as they come, until the state is closed.
func (db *DB) flushAll() {
	defer db.flusher.stopped.Done()
	for {
		select {
		case <-db.flusher.stop:
			return
		case <-db.flusher.wake:
		}
		for {
			m := db.oldestFrozen()
			if m == nil {
				break
			}
			if err := db.flushRetrying(m); err != nil {
				return
			}
		}
	}
}

func (db *DB) oldestFrozen() *memtable {
	db.mu.RLock()
	defer db.mu.RUnlock()
	if n := len(db.tables); n > 1 {
		return db.tables[n-1]
	}
	return nil
}

// flushRetrying flushes the oldest memtable and tells of it. While the disk is
// full it tries again; after another error nothing can be made durable any more.
func (db *DB) flushRetrying(m *memtable) error {
	for {
		bytes, err := db.flushTable(m)
		if err == nil {
			db.mu.Lock()
			db.tables = append([]*memtable(nil), db.tables[:len(db.tables)-1]...)
			db.flushes++
			db.flushedBytes += bytes
			db.room.Broadcast()
			db.mu.Unlock()
			if db.opts.OnFlush != nil {
				db.opts.OnFlush()
			}
			return nil
		}
		if !errors.Is(err, syscall.ENOSPC) {
			db.fail(fmt.Errorf("cannot write the state to disk: %w", err))
			return err
		}
		// A full disk is the journal's Full to report.
		db.opts.Logger.Warn("cannot write the state to disk yet", "err", err)
		select {
		case <-db.flusher.stop:
			return errClosed
		case <-time.After(flushRetry):
		}
	}
}

// fail ends all waiting for the flusher.
func (db *DB) fail(err error) {
	db.mu.Lock()
	db.failed = err
	db.room.Broadcast()
	db.mu.Unlock()
	if !errors.Is(err, errClosed) {
		db.opts.fatal(err)
	}
}

// flushTable adds the contents of a frozen memtable to the state on disk, and
// returns how many bytes that took. A deleted key that is fresh leaves nothing.
func (db *DB) flushTable(m *memtable) (bytes uint64, err error) {
	var spans []Span
	for i := range m.ranges {
		spans = append(spans, m.ranges[i].Span)
	}
	b := &tableBuilder{db: db, spans: mergeSpans(spans, nil), limit: flushTableBytes, apart: true}
	defer b.removeFiles()
	if err := errors.Join(b.addAll(m, db.runsOf(m)), b.closeTable()); err != nil {
		return 0, err
	}
	return b.bytes, db.ingest(b.files)
}

// addAll adds the newest versions of all keys, and the deleted ranges.
func (b *tableBuilder) addAll(m *memtable, r runs) error {
	var p place
	for m.edge(false, &p); p.leaf != nil; m.next(&p) {
		v := m.version(p.leaf.version[p.at])
		if v.flags&(flagDeleted|flagFresh) == flagDeleted|flagFresh {
			continue
		}
		key, deleted := m.key(p.leaf.key[p.at]), v.flags&flagDeleted != 0
		err := b.partAt(&r, p, key, deleted)
		switch {
		case err != nil:
		case deleted:
			err = b.delete(key)
		default:
			err = b.set(key, v.value)
		}
		if err != nil {
			return err
		}
	}
	return b.deleteBefore(nil)
}

// partAt ends the table where a long part of a sequence ends or begins.
func (b *tableBuilder) partAt(r *runs, p place, key []byte, deleted bool) error {
	if r.ends(key, deleted) {
		b.limit = flushTableBytes
		if err := b.endBefore(key); err != nil {
			return err
		}
	}
	if deleted || r.in != nil || !r.starts(p, key) {
		return nil
	}
	b.limit = tableBytes
	return b.endBefore(key)
}

// mustBeAbsent fails when a key that was promised to be new is there.
func mustBeAbsent(r view, key []byte) {
	_, ok, err := r.Get(key)
	base.Check(err == nil && !ok, "a key that is set as new is there: %x, %v", key, err)
}

// checkNew is mustBeAbsent for a caller that holds mu.
func (db *DB) checkNew(key []byte) {
	for _, m := range db.tables {
		if _, ok, decided := m.get(key, newest); decided {
			base.Check(!ok, "a key that is set as new is there: %x", key)
			return
		}
	}
	_, ok, err := getLower(db.db, key)
	base.Check(err == nil && !ok, "a key that is set as new is in the tables: %x, %v", key, err)
}
