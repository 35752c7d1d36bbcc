package journal

import (
	"fmt"
	"path"
	"strconv"
	"strings"
	"sync/atomic"

	"weir.dev/weir/internal/base"
)

const (
	segmentSuffix = ".log"
	sparePrefix   = "spare-"
	ballastName   = "ballast"
	// maxSegmentBytes and maxBatchBytes keep offsets within 32 bits. A batch
	// is larger than maxBatchBytes only when one Write is.
	maxSegmentBytes = 1 << 30
	maxBatchBytes   = 8 << 20
	// maxSpares is how many finished segments are kept to be written again.
	maxSpares = 2
)

// segment is one file of the journal.
type segment struct {
	seq  uint64
	salt uint64
	seed uint32
	name string // within the journal's directory
	file File
	size int64 // of the file
	// filled is where the bytes end that have been written once, at least.
	filled int64
	// firstBatch is the number of the batch after the checkpoint.
	firstBatch uint64
	// written is where the next batch goes, or where the last one ended.
	written atomic.Int64
	// pins counts the readers that use the file; it is not given up meanwhile.
	pins atomic.Int32
}

// Damage is stored bytes that are not what was written. It is not a torn last
// batch, which is no damage.
type Damage struct {
	File   string // within the journal's directory
	Offset int64
	What   string
}

func (d *Damage) Error() string {
	return fmt.Sprintf("journal file %s is damaged at offset %d: %s; the node's data cannot be trusted: leave it stopped and keep the files; the cluster goes on while most of its nodes are up", d.File, d.Offset, d.What)
}

func segmentName(seq uint64) string { return fmt.Sprintf("%016x%s", seq, segmentSuffix) }

// segmentSeq reads a segment's sequence number from its name.
func segmentSeq(name string) (seq uint64, ok bool) {
	digits, ok := strings.CutSuffix(name, segmentSuffix)
	if !ok || len(digits) != 16 {
		return 0, false
	}
	seq, err := strconv.ParseUint(digits, 16, 64)
	return seq, err == nil && segmentName(seq) == name
}

// readFile returns a whole file in buf, which it grows as needed.
func readFile(fs FS, name string, buf []byte) ([]byte, error) {
	size, err := fs.Size(name)
	if err != nil {
		return nil, err
	}
	f, err := fs.Open(name)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	if int64(cap(buf)) < size {
		buf = make([]byte, size)
	}
	buf = buf[:size]
	if size == 0 {
		return buf, nil
	}
	if n, err := f.ReadAt(buf, 0); int64(n) != size {
		return nil, fmt.Errorf("cannot read %s: %w", name, err)
	}
	return buf, nil
}

// begin makes the next segment the one that is written to. It gets its name
// only when its header and the checkpoint are durable, so that a segment of
// that name never has a torn beginning.
func (w *writer) begin() error {
	fs, dir := w.journal.opts.FS, w.journal.opts.Dir
	s := &segment{seq: w.nextSeq, salt: w.journal.opts.Rand.Uint64()}
	s.seed, s.name = seedOf(s.seq, s.salt), segmentName(s.seq)
	spare, err := w.openSpare(s)
	if err != nil {
		return err
	}
	if err := w.writeBeginning(s); err != nil {
		_ = s.file.Close()
		return fmt.Errorf("cannot write journal segment %s: %w", s.name, err)
	}
	if err := fs.Rename(path.Join(dir, spare), path.Join(dir, s.name)); err != nil {
		_ = s.file.Close()
		return fmt.Errorf("cannot name journal segment %s: %w", s.name, err)
	}
	if err := fs.SyncDir(dir); err != nil {
		_ = s.file.Close()
		return fmt.Errorf("cannot sync the journal's directory: %w", err)
	}
	w.nextSeq++
	w.segments = append(w.segments, s)
	w.tail = s
	return nil
}

// openSpare opens a file to become segment s: an old segment's, whose blocks
// are allocated and written already, which makes syncs cheaper, or a new one.
func (w *writer) openSpare(s *segment) (name string, err error) {
	fs, dir := w.journal.opts.FS, w.journal.opts.Dir
	fresh := len(w.spares) == 0
	if fresh {
		name = sparePrefix + s.name
	} else {
		name = w.spares[len(w.spares)-1]
		w.spares = w.spares[:len(w.spares)-1]
	}
	if s.file, err = fs.OpenReadWrite(path.Join(dir, name)); err != nil {
		return "", fmt.Errorf("cannot open journal file %s: %w", name, err)
	}
	if fresh {
		if err = s.file.Preallocate(w.journal.opts.SegmentBytes); err != nil && w.journal.dropBallast() {
			err = s.file.Preallocate(w.journal.opts.SegmentBytes)
		}
		if err != nil {
			_ = s.file.Close()
			_ = fs.Remove(path.Join(dir, name))
			return "", fmt.Errorf("cannot reserve room for journal file %s: %w", name, err)
		}
	}
	if s.size, err = fs.Size(path.Join(dir, name)); err != nil {
		_ = s.file.Close()
		return "", fmt.Errorf("cannot measure journal file %s: %w", name, err)
	}
	if !fresh {
		s.filled = s.size
	}
	return name, nil
}

// writeBeginning writes the segment's header and the checkpoint batch: the
// state of each tablet as of everything in earlier segments, so that those are
// needed for entries only.
func (w *writer) writeBeginning(s *segment) error {
	buf := appendSegmentHeader(w.buf[:0], s.seq, s.salt)
	at := len(buf)
	buf = append(buf, make([]byte, batchHeader)...)
	for _, l := range w.known {
		buf = appendState(buf, s.seed, l.tablet, l.disk.state)
	}
	putBatchHeader(buf[at:], s.seed, batchCheckpoint, w.nextBatch, len(w.known))
	w.buf = buf
	if err := w.put(s, buf); err != nil {
		return err
	}
	w.nextBatch++
	s.firstBatch = w.nextBatch
	return nil
}

// fillBytes is how much of a new file is filled at a time.
const fillBytes = 256 << 10

var zeros [fillBytes]byte

// fill appends zeros to a batch that goes to the end of what has been written
// of a file. Room that is only reserved is turned into blocks by the first sync
// of what is written there, which costs a file system metadata and time; this
// way one sync in many pays for it. Large batches are a small part of that
// anyway.
func (s *segment) fill(batch []byte, at int64) []byte {
	end := at + int64(len(batch))
	if end <= s.filled {
		return batch
	}
	s.filled = end
	if room := s.size - end; room > 0 && len(batch) <= fillBytes/4 {
		n := min(fillBytes, room)
		s.filled += n
		return append(batch, zeros[:n]...)
	}
	return batch
}

// put writes a batch behind the last one and makes it durable. It may leave
// zeros behind it.
func (w *writer) put(s *segment, buf []byte) error {
	at := s.written.Load()
	end := at + int64(len(buf))
	w.buf = s.fill(buf, at)
	begun := w.journal.began()
	if _, err := s.file.WriteAt(w.buf, at); err != nil {
		return fmt.Errorf("cannot write journal file %s: %w", s.name, err)
	}
	if !base.Bug("nofsync") {
		if err := s.file.Sync(); err != nil {
			return fmt.Errorf("cannot sync journal file %s: %w", s.name, err)
		}
	}
	w.journal.ended(begun)
	s.written.Store(end)
	s.size = max(s.size, end)
	w.bytes += uint64(len(buf))
	w.batches++
	return nil
}

// seal ends the segment that is written to.
func (w *writer) seal() error {
	buf := append(w.buf[:0], make([]byte, batchHeader)...)
	putBatchHeader(buf, w.tail.seed, batchSeal, w.nextBatch, 0)
	w.buf = buf
	if err := w.put(w.tail, buf); err != nil {
		return err
	}
	w.nextBatch++
	return nil
}

// rotate ends the segment and begins the next.
func (w *writer) rotate() error {
	if err := w.seal(); err != nil {
		return err
	}
	return w.begin()
}
