package journal

import (
	"fmt"
	"io"
	"path"
)

// Dump prints every record of the journal in dir, one per line, without
// changing anything; of entries it prints the size, not the data. Damage is
// printed and returned.
func Dump(w io.Writer, f FS, dir string) error {
	d := &dumper{w: w}
	err := read(f, dir, d)
	if err != nil {
		d.printf("%v\n", err)
		return err
	}
	return d.err
}

// Verify reads the journal in dir without changing anything and returns the
// first damage found. It checks what Open checks of every record, but not
// whether each tablet's log is complete.
func Verify(f FS, dir string) error { return read(f, dir, nothing{}) }

// read scans all segments of the journal in dir.
func read(f FS, dir string, v segmentVisitor) error {
	seqs, _, err := listSegments(f, dir)
	if err != nil {
		return err
	}
	var buf []byte
	var next uint64
	for i, seq := range seqs {
		s := &segment{seq: seq, name: segmentName(seq)}
		if buf, err = readFile(f, path.Join(dir, s.name), buf); err != nil {
			return err
		}
		v.segment(s, len(buf))
		end, err := scanSegment(s, buf, i == len(seqs)-1, next, v)
		if err != nil {
			return err
		}
		v.end(end)
		next = end.nextBatch
	}
	return nil
}

// segmentVisitor also hears of the segments.
type segmentVisitor interface {
	visitor
	segment(s *segment, size int)
	end(e segmentEnd)
}

// nothing visits and does nothing.
type nothing struct{}

func (nothing) segment(*segment, int)                      {}
func (nothing) end(segmentEnd)                             {}
func (nothing) beginBatch(batchInfo, int64) error          { return nil }
func (nothing) visit(batchKind, *record, int64, int) error { return nil }
func (nothing) endCheckpoint(int) error                    { return nil }

// dumper prints what it visits.
type dumper struct {
	w   io.Writer
	err error // the first from w
}

func (d *dumper) printf(format string, args ...any) {
	if _, err := fmt.Fprintf(d.w, format, args...); err != nil && d.err == nil {
		d.err = err
	}
}

func (d *dumper) segment(s *segment, size int) { d.printf("segment %s: %d bytes\n", s.name, size) }

func (d *dumper) end(e segmentEnd) {
	switch {
	case e.torn:
		d.printf("%8d  end: a last batch was not finished\n", e.offset)
	case e.sealed:
		d.printf("%8d  end: sealed\n", e.offset)
	}
}

func (d *dumper) beginBatch(h batchInfo, off int64) error {
	name := map[batchKind]string{batchChanges: "changes", batchCheckpoint: "checkpoint", batchSeal: "seal"}[h.kind]
	d.printf("%8d batch %d: %s, %d records, %d bytes\n", off, h.number, name, h.records, h.size)
	return nil
}

func (d *dumper) visit(_ batchKind, r *record, off int64, _ int) error {
	d.printf("%8d   %v %s\n", off, r.tablet, r.describe())
	return nil
}

func (d *dumper) endCheckpoint(int) error { return nil }

func (r *record) describe() string {
	switch r.kind {
	case recordEntry:
		return fmt.Sprintf("entry %d term %d %v %d bytes", r.index, r.term, r.typ, len(r.data))
	case recordHard:
		return r.state.hard.describe()
	case recordReset:
		return fmt.Sprintf("reset to %d term %d", r.start.Index, r.start.Term)
	case recordCompact:
		return fmt.Sprintf("compacted to %d term %d", r.start.Index, r.start.Term)
	case recordRemove:
		return "removed"
	default:
		s := r.state
		return fmt.Sprintf("state: after %d term %d, last %d, %s", s.start.Index, s.start.Term, s.last, s.hard.describe())
	}
}

func (h hardState) describe() string {
	if !h.set {
		return "no hard state"
	}
	return fmt.Sprintf("hard term %d vote %x commit %d", h.term, h.vote, h.commit)
}
