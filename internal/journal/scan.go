package journal

import (
	"errors"
	"fmt"
)

// visitor takes the records of a segment in order.
type visitor interface {
	visit(kind batchKind, rec *record, off int64, size int) error
	endCheckpoint(records int) error
	beginBatch(h batchInfo, off int64) error
}

// segmentEnd is where and how a segment ended.
type segmentEnd struct {
	offset    int64
	sealed    bool
	torn      bool // something is behind offset that was never finished
	nextBatch uint64
}

// scanSegment reads the bytes of segment s, whose first batch has number
// nextBatch unless that is zero, and fills in its salt and seed. A last batch
// that was not finished ends the segment when it is the journal's last; any
// other fault is a *Damage.
//
// A batch is written only when the one before it is durable. So a fault in
// batch N is a torn write only if no batch after N is in the segment.
func scanSegment(s *segment, data []byte, last bool, nextBatch uint64, v visitor) (end segmentEnd, err error) {
	if s.salt, err = parseSegmentHeader(data, s.seq); errors.Is(err, errVersion) {
		return end, fmt.Errorf("journal file %s %w", s.name, err)
	} else if err != nil {
		return end, &Damage{File: s.name, What: err.Error()}
	}
	s.seed = seedOf(s.seq, s.salt)
	end = segmentEnd{offset: segmentHeader, nextBatch: nextBatch}
	for first := true; ; first = false {
		h, fault := checkBatch(data[end.offset:], s.seed, first, end.nextBatch)
		if fault != nil {
			if first || !last || laterBatch(data[end.offset:], s.seed, end.nextBatch) {
				return end, &Damage{File: s.name, Offset: end.offset + fault.offset, What: fault.what}
			}
			end.torn = true
			return end, nil
		}
		if err := visitBatch(s, data[end.offset:end.offset+batchHeader+int64(h.size)], h, end.offset, v); err != nil {
			return end, err
		}
		end.nextBatch = h.number + 1
		if h.kind == batchSeal {
			end.sealed = true
			return end, nil
		}
		end.offset += batchHeader + int64(h.size)
	}
}

// fault is what is wrong with a batch, and where in it.
type fault struct {
	offset int64
	what   string
}

// checkBatch checks the batch at the beginning of b: its header and the
// checksum and form of each record.
func checkBatch(b []byte, seed uint32, first bool, number uint64) (batchInfo, *fault) {
	h, ok := parseBatchHeader(b, seed)
	switch {
	case !ok:
		return h, &fault{0, "there is neither a batch nor the end of the segment"}
	case number != 0 && h.number != number:
		return h, &fault{0, fmt.Sprintf("batch %d stands where batch %d belongs", h.number, number)}
	case h.kind > batchSeal || (h.kind == batchCheckpoint) != first:
		return h, &fault{0, fmt.Sprintf("a batch of kind %d does not belong here", h.kind)}
	case h.size > len(b)-batchHeader:
		return h, &fault{0, "a batch is longer than the file"}
	}
	rest := b[batchHeader : batchHeader+h.size]
	records := 0
	for len(rest) > 0 {
		_, n, err := parseRecord(rest, seed)
		if err != nil {
			return h, &fault{int64(batchHeader + h.size - len(rest)), err.Error()}
		}
		rest = rest[n:]
		records++
	}
	if records != h.records {
		return h, &fault{0, fmt.Sprintf("a batch holds %d records instead of %d", records, h.records)}
	}
	return h, nil
}

// visitBatch hands the records of a checked batch to the visitor. Here an
// error is damage also in the last batch: its checksums match.
func visitBatch(s *segment, b []byte, h batchInfo, off int64, v visitor) error {
	if err := v.beginBatch(h, off); err != nil {
		return &Damage{File: s.name, Offset: off, What: err.Error()}
	}
	for at := batchHeader; at < len(b); {
		rec, n, err := parseRecord(b[at:], s.seed)
		if err == nil {
			err = v.visit(h.kind, &rec, off+int64(at), n)
		}
		if err != nil {
			return &Damage{File: s.name, Offset: off + int64(at), What: err.Error()}
		}
		at += n
	}
	if h.kind == batchCheckpoint {
		if err := v.endCheckpoint(h.records); err != nil {
			return &Damage{File: s.name, Offset: off, What: err.Error()}
		}
	}
	return nil
}

// laterBatch reports whether a batch with a number above the given one begins
// anywhere in b. Clients cannot make one up inside their values: the seed has
// a random part.
func laterBatch(b []byte, seed uint32, number uint64) bool {
	for i := 1; i+batchHeader <= len(b); i++ {
		if b[i] != batchMagic&0xff {
			continue
		}
		if h, ok := parseBatchHeader(b[i:], seed); ok && h.number > number {
			return true
		}
	}
	return false
}
