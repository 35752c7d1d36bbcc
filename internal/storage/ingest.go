package storage

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/cockroachdb/pebble/v2/objstorage/objstorageprovider"
	"github.com/cockroachdb/pebble/v2/sstable"
	"github.com/cockroachdb/pebble/v2/vfs"
)

// compression of the tables: the cheap one on every level.
var compression = sstable.FastestCompression

// tableBytes is the size at which an import begins another table.
const tableBytes = 32 << 20

// syncedBytes is after how many bytes of a table the system is asked to begin
// writing them: the journal's syncs would wait for all of it at once.
const syncedBytes = 512 << 10

// tableBuilder writes tables that delete the spans and set keys. Within one
// ingestion all changes have the same age, and a deletion affects older ones
// only, so what the tables set stays. Tables must not overlap: a span that is
// longer than a table is cut at a key.
type tableBuilder struct {
	db    *DB
	spans []Span // sorted and apart; those still to be deleted
	limit uint64 // the size at which another table begins
	apart bool   // spans without keys in them have tables of their own
	inner bool   // the first span has keys in it
	table *sstable.Writer
	files []string
	bytes uint64 // of finished tables
}

// build writes the tables of all pairs and extra keys.
func (b *tableBuilder) build(p *pairs, extra []KV) error {
	extra = slices.Clone(extra)
	slices.SortFunc(extra, func(x, y KV) int { return bytes.Compare(x.Key, y.Key) })
	err := b.merge(p, extra)
	if err == nil {
		err = b.deleteBefore(nil)
	}
	return errors.Join(err, b.closeTable())
}

// merge sets the pairs and the extra keys in order.
func (b *tableBuilder) merge(p *pairs, extra []KV) error {
	for {
		key, value, ok, err := p.next()
		if err != nil {
			return err
		}
		replaced := false
		for len(extra) > 0 && (!ok || bytes.Compare(extra[0].Key, key) <= 0) {
			replaced = ok && bytes.Equal(extra[0].Key, key)
			if err := b.set(extra[0].Key, extra[0].Value); err != nil {
				return err
			}
			extra = extra[1:]
		}
		if !ok {
			return nil
		}
		if replaced {
			continue
		}
		if err := b.set(key, value); err != nil {
			return err
		}
	}
}

// set adds a key, after deleting the spans before it.
func (b *tableBuilder) set(key, value []byte) error {
	if err := b.begin(key); err != nil {
		return err
	}
	return b.table.Set(key, value)
}

// delete deletes a key, after deleting the spans before it.
func (b *tableBuilder) delete(key []byte) error {
	if err := b.begin(key); err != nil {
		return err
	}
	return b.table.Delete(key)
}

// begin makes a table ready for a key.
func (b *tableBuilder) begin(key []byte) error {
	if err := b.deleteBefore(key); err != nil {
		return err
	}
	if b.table != nil && b.table.Raw().EstimatedSize() > b.limit {
		if err := b.endBefore(key); err != nil {
			return err
		}
	}
	b.inner = b.inner || len(b.spans) > 0 && bytes.Compare(b.spans[0][0], key) <= 0
	return b.openTable()
}

// endBefore ends the table, if there is one, after deleting what of the spans
// lies before key.
func (b *tableBuilder) endBefore(key []byte) error {
	if err := b.deleteBefore(key); err != nil {
		return err
	}
	if len(b.spans) > 0 && bytes.Compare(b.spans[0][0], key) < 0 {
		if err := b.deleteSpan(Span{b.spans[0][0], key}); err != nil {
			return err
		}
		b.spans[0][0] = bytes.Clone(key)
	}
	return b.closeTable()
}

// deleteBefore deletes the spans that end at or before key, all when it is nil.
func (b *tableBuilder) deleteBefore(key []byte) error {
	for len(b.spans) > 0 && (key == nil || bytes.Compare(b.spans[0][1], key) <= 0) {
		s := b.spans[0]
		b.spans = b.spans[1:]
		if err := b.deleteSpan(s); err != nil {
			return err
		}
	}
	return nil
}

// deleteSpan deletes the first span, or the beginning of it.
func (b *tableBuilder) deleteSpan(s Span) error {
	alone := b.apart && !b.inner
	b.inner = false
	if alone {
		if err := b.closeTable(); err != nil {
			return err
		}
	}
	if err := b.openTable(); err != nil {
		return err
	}
	if err := b.table.DeleteRange(s[0], s[1]); err != nil || !alone {
		return err
	}
	return b.closeTable()
}

func (b *tableBuilder) openTable() error {
	if b.table != nil {
		return nil
	}
	name := b.db.stagePath("sst")
	f, err := b.db.opts.FS.pebble().Create(name, vfs.WriteCategoryUnspecified)
	if err != nil {
		return fmt.Errorf("cannot create a table: %w", err)
	}
	f = vfs.NewSyncingFile(f, vfs.SyncingFileOptions{BytesPerSync: syncedBytes})
	b.files = append(b.files, name)
	opts := b.db.pebble.MakeWriterOptions(0, b.db.db.TableFormat())
	b.table = sstable.NewWriter(objstorageprovider.NewFileWritable(f), opts)
	return nil
}

// closeTable finishes the table and makes it durable.
func (b *tableBuilder) closeTable() error {
	if b.table == nil {
		return nil
	}
	t := b.table
	b.table = nil
	if err := t.Close(); err != nil {
		return fmt.Errorf("cannot write a table: %w", err)
	}
	meta, err := t.Raw().Metadata()
	if err != nil {
		return fmt.Errorf("cannot write a table: %w", err)
	}
	b.bytes += meta.Size
	return nil
}

// removeFiles removes the tables, which an ingestion has linked elsewhere.
func (b *tableBuilder) removeFiles() {
	for _, name := range b.files {
		_ = b.db.opts.FS.Remove(name)
	}
}

// ingest adds the tables to the state in one durable step.
func (db *DB) ingest(files []string) error {
	if len(files) == 0 {
		return nil
	}
	return db.db.Ingest(context.Background(), files)
}

// mergeSpans returns sorted spans that cover exactly what a and b cover. The
// result shares no slices of spans with them.
func mergeSpans(a, b []Span) []Span {
	all := append(slices.Clone(a), b...)
	slices.SortFunc(all, func(x, y Span) int { return bytes.Compare(x[0], y[0]) })
	var merged []Span
	for _, s := range all {
		if n := len(merged); n > 0 && bytes.Compare(s[0], merged[n-1][1]) <= 0 {
			if bytes.Compare(merged[n-1][1], s[1]) < 0 {
				merged[n-1][1] = s[1]
			}
			continue
		}
		merged = append(merged, s)
	}
	return merged
}
