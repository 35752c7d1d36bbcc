package storage

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"path"
	"strconv"

	"github.com/cockroachdb/pebble/v2/vfs"
)

// stageDir holds, in the data directory, what an import needs until it is
// done. Open empties it.
const stageDir = StateDir + "/staging"

// Staged is a snapshot that has arrived whole and is on disk, without effect
// on the state yet.
type Staged struct {
	db   *DB
	name string // of the file that holds the stream
}

// Stage receives what Export wrote and checks it. The state does not change
// before Install. The caller ends with Install or Discard.
func (db *DB) Stage(rd io.Reader) (*Staged, error) {
	s := &Staged{db: db, name: db.stagePath("stream")}
	f, err := db.opts.FS.pebble().Create(s.name, vfs.WriteCategoryUnspecified)
	if err != nil {
		return nil, fmt.Errorf("cannot stage a snapshot: %w", err)
	}
	w := bufio.NewWriterSize(f, frameBytes)
	err = drain(io.TeeReader(rd, w))
	err = errors.Join(err, w.Flush(), f.Close())
	if err != nil {
		s.Discard()
		return nil, fmt.Errorf("cannot stage a snapshot: %w", err)
	}
	return s, nil
}

// drain reads a whole stream and checks it.
func drain(r io.Reader) error {
	p, err := openPairs(r)
	for ok := true; ok && err == nil; {
		_, _, ok, err = p.next()
	}
	return err
}

func (db *DB) stagePath(what string) string {
	return path.Join(db.opts.Dir, stageDir, strconv.FormatUint(db.stages.Add(1), 10)+"."+what)
}

// Discard removes the staged data. It may be called on nil and after Install.
func (s *Staged) Discard() {
	if s == nil || s.name == "" {
		return
	}
	// What cannot be removed now is removed when the state is opened next.
	_ = s.db.opts.FS.Remove(s.name)
	s.name = ""
}

// Install replaces the contents of the spans, and of the spans that were
// exported, by the staged data, and sets the extra keys, in one durable step:
// after an error or a crash nothing has changed. An extra key wins over the
// same key in the staged data. The spans are sorted and do not overlap. No
// other commits to the spans and the extra keys may run meanwhile. The staged data is discarded
// in either case.
func (s *Staged) Install(spans []Span, extra ...KV) error {
	defer s.Discard()
	if err := checkSpans(spans); err != nil {
		return fmt.Errorf("cannot install a snapshot: %w", err)
	}
	f, err := s.db.opts.FS.pebble().Open(s.name)
	if err != nil {
		return fmt.Errorf("cannot install a snapshot: %w", err)
	}
	defer f.Close()
	p, err := openPairs(bufio.NewReaderSize(f, frameBytes))
	if err != nil {
		return fmt.Errorf("cannot install a snapshot: %w", err)
	}
	b := &tableBuilder{db: s.db, spans: mergeSpans(spans, p.spans), limit: tableBytes}
	defer b.removeFiles()
	if err := b.build(p, extra); err != nil {
		return fmt.Errorf("cannot install a snapshot: %w", err)
	}
	if err := s.db.install(b.files); err != nil {
		return fmt.Errorf("cannot install a snapshot: %w", err)
	}
	return nil
}

// install adds tables that replace what the memtables hold of the same keys.
func (db *DB) install(files []string) error {
	if err := db.Flush(); err != nil {
		return err
	}
	db.mu.Lock() // readers see the import whole, at one moment
	defer db.mu.Unlock()
	return db.ingest(files)
}
