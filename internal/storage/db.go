package storage

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"path"
	"sync"
	"sync/atomic"
	"syscall"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/bloom"
	"github.com/cockroachdb/pebble/v2/sstable"
)

// pebbleFormat is Pebble's own version of its files. It is pinned: raising it
// is a change of FormatVersion, for older Weirs cannot go back.
const pebbleFormat = pebble.FormatTableFormatV6

// bloomBits is the size of the bloom filters in bits per key: about one in a
// hundred lookups of an absent key reads a block in vain.
const bloomBits = 10

// DB is an open state: Pebble, and memtables above it.
type DB struct {
	db      *pebble.DB
	opts    Options
	pebble  *pebble.Options
	stages  atomic.Uint64    // numbers the staged imports
	check   func(key []byte) // of keys that are set as new; nil but in tests
	flusher flusher

	// mu guards what follows, and what the first of tables holds. Who looks at
	// several places at one moment holds it meanwhile.
	mu     sync.RWMutex
	tables []*memtable // newest first; the first takes commits, the others are frozen. Never changed in place
	room   *sync.Cond  // on mu: a memtable has been flushed, or none will be
	failed error       // why none will be
	// flushes and flushedBytes count those since the start.
	flushes      int64
	flushedBytes uint64
}

// Open opens or creates the state, and FORMAT beside it. The state is locked
// until Close. It fails with one line that says so when the directory was
// written by a newer version.
func Open(o Options) (*DB, error) {
	if o.CacheBytes == 0 {
		o.CacheBytes = defaultCacheBytes
	}
	if o.MemTableBytes == 0 {
		o.MemTableBytes = defaultMemTableBytes
	}
	if o.SequenceBytes == 0 {
		o.SequenceBytes = o.MemTableBytes / longShare
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	db := &DB{opts: o}
	if err := db.prepareDirs(); err != nil {
		return nil, fmt.Errorf("cannot open the state in %s: %w", o.Dir, err)
	}
	db.pebble = pebbleOptions(&db.opts)
	var err error
	if db.db, err = pebble.Open(path.Join(o.Dir, StateDir), db.pebble); err != nil {
		return nil, fmt.Errorf("cannot open the state in %s: %w", o.Dir, err)
	}
	db.tables = []*memtable{newMemtable(1)}
	db.room = sync.NewCond(&db.mu)
	if o.CheckNew {
		db.check = db.checkNew
	}
	db.flusher.wake, db.flusher.stop = make(chan struct{}, 1), make(chan struct{})
	db.flusher.stopped.Add(1)
	go db.flushAll()
	return db, nil
}

// prepareDirs creates the directories durably, checks FORMAT, and clears what
// an import left behind that a crash interrupted.
func (db *DB) prepareDirs() error {
	f, dir := db.opts.FS, db.opts.Dir
	for _, d := range []string{dir, path.Join(dir, StateDir), path.Join(dir, stageDir)} {
		if err := f.MkdirAll(d); err != nil {
			return err
		}
		// The directory's own name is made durable, if this process may do that.
		if err := f.SyncDir(path.Dir(path.Clean(d))); err != nil && !errors.Is(err, fs.ErrPermission) {
			return err
		}
	}
	if err := checkFormat(f, dir); err != nil {
		return err
	}
	left, err := f.List(path.Join(dir, stageDir))
	if err != nil {
		return err
	}
	for _, name := range left {
		if err := f.Remove(path.Join(dir, stageDir, name)); err != nil {
			return err
		}
	}
	return nil
}

// pebbleOptions are Pebble's settings for a node of a few cores whose journal
// makes up for the missing write-ahead log.
func pebbleOptions(o *Options) *pebble.Options {
	p := &pebble.Options{
		FS:                         o.FS.pebble(),
		DisableWAL:                 true,
		FormatMajorVersion:         pebbleFormat,
		CacheSize:                  o.CacheBytes,
		MemTableSize:               64 << 10, // stays empty: everything is ingested
		L0CompactionThreshold:      2,
		L0StopWritesThreshold:      24,
		LBaseMaxBytes:              64 << 20,
		FlushSplitBytes:            2 << 20,
		MaxOpenFiles:               1000,
		CompactionConcurrencyRange: func() (int, int) { return 1, 2 },
		Logger:                     &pebbleLogger{opts: o},
		EventListener:              events(o),
	}
	p.Experimental.L0CompactionConcurrency = 8
	// An ingestion put on top of the memtables would be durable only with a
	// write-ahead log.
	p.Experimental.DisableIngestAsFlushable = func() bool { return true }
	p.Experimental.IngestSplit = func() bool { return true }
	p.TargetFileSizes[0] = 4 << 20
	for i := range p.Levels {
		p.Levels[i].BlockSize = 16 << 10
		p.Levels[i].IndexBlockSize = 64 << 10
		p.Levels[i].FilterPolicy = bloom.FilterPolicy(bloomBits)
		p.Levels[i].Compression = func() *sstable.CompressionProfile { return compression }
	}
	p.EnsureDefaults()
	return p
}

// events tells of what happens in the background.
func events(o *Options) *pebble.EventListener {
	e := &pebble.EventListener{
		BackgroundError: func(err error) {
			// A full disk is the journal's Full to report; Pebble tries again.
			if errors.Is(err, syscall.ENOSPC) || errors.Is(err, pebble.ErrCancelledCompaction) {
				o.Logger.Warn("cannot write the state to disk yet", "err", err)
				return
			}
			o.fatal(fmt.Errorf("cannot write the state to disk: %w", err))
		},
		DataCorruption: func(info pebble.DataCorruptionInfo) {
			o.fatal(fmt.Errorf("the state is damaged in %s: %w", info.Path, info.Details))
		},
	}
	return e
}

func (o *Options) fatal(err error) {
	if o.Fatal != nil {
		o.Fatal(err)
	}
}

// pebbleLogger passes on Pebble's log.
type pebbleLogger struct{ opts *Options }

func (l *pebbleLogger) Infof(format string, args ...any) {
	if l.opts.Logger.Enabled(context.Background(), slog.LevelDebug) {
		l.opts.Logger.Debug("pebble: " + fmt.Sprintf(format, args...))
	}
}

func (l *pebbleLogger) Errorf(format string, args ...any) {
	l.opts.Logger.Error("pebble: " + fmt.Sprintf(format, args...))
}

// Fatalf is called when going on would lose data. Pebble relies on it not to
// return: if it did, a failed write would be taken for a good one.
func (l *pebbleLogger) Fatalf(format string, args ...any) {
	err := fmt.Errorf("FATAL: the state cannot be kept: "+format, args...)
	l.opts.fatal(err)
	panic(err.Error())
}

// Close closes the state, all views, snapshots and iterators of which are
// closed. It does not flush: the journal covers what is not durable.
func (db *DB) Close() error {
	close(db.flusher.stop)
	db.flusher.stopped.Wait()
	db.fail(errClosed)
	if err := db.db.Close(); err != nil {
		return fmt.Errorf("cannot close the state: %w", err)
	}
	return nil
}

// DiskUsage estimates the bytes on disk that the spans take together. What is
// not flushed yet does not count.
func (db *DB) DiskUsage(spans []Span) (uint64, error) {
	var total uint64
	for _, s := range spans {
		n, err := db.db.EstimateDiskUsage(s[0], s[1])
		if err != nil {
			return 0, fmt.Errorf("cannot estimate the disk usage of a span: %w", err)
		}
		total += n
	}
	return total, nil
}
