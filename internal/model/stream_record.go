package model

import (
	"encoding/binary"
	"sort"
)

// Record is one record of a stream as it is put and stored.
type Record struct {
	PartitionKey []byte  // UTF-8, 1 to MaxRecordKey characters
	Explicit     bool    // HashKey was given (ExplicitHashKey)
	HashKey      HashKey // counts while Explicit is set
	Data         []byte
}

// Hash is the hash key that says which shard the record belongs to.
func (r *Record) Hash() HashKey {
	if r.Explicit {
		return r.HashKey
	}
	return HashOf(r.PartitionKey)
}

// Size is what counts against the limits: data and partition key.
func (r *Record) Size() int { return len(r.PartitionKey) + len(r.Data) }

// RecordBatch is some records in their stored form, which is also the form in
// commands and answers: encoded once by whoever puts them and from then on
// copied. Any record of it is found without reading those before it. The zero
// batch is empty. Make one with ParseRecordBatch; see docs/format/stream.md.
//
//	version 1 | count (4 BE) | end of each record in what follows (4 BE each) | records
//	record: flags (bit 0: explicit hash key) | [hash key (16)] | length of the partition key (uvarint) | partition key | data
type RecordBatch struct {
	ends    []byte // 4 bytes each
	records []byte
}

const (
	recordBatchVersion = 1
	batchHeadSize      = 1 + 4
	recordExplicit     = 1 // flag
)

// AppendRecordBatch appends the records as a batch.
func AppendRecordBatch(dst []byte, records []Record) []byte {
	dst = binary.BigEndian.AppendUint32(append(dst, recordBatchVersion), uint32(len(records)))
	table := len(dst)
	dst = append(dst, make([]byte, 4*len(records))...)
	start := len(dst)
	for i := range records {
		dst = AppendRecord(dst, &records[i])
		binary.BigEndian.PutUint32(dst[table+4*i:], uint32(len(dst)-start))
	}
	return dst
}

// AppendRecord appends one record as it is in a batch.
func AppendRecord(dst []byte, r *Record) []byte {
	if r.Explicit {
		dst = append(append(dst, recordExplicit), r.HashKey[:]...)
	} else {
		dst = append(dst, 0)
	}
	return append(AppendBytes(dst, r.PartitionKey), r.Data...)
}

// JoinRecords appends a batch of records that AppendRecord made.
func JoinRecords(dst []byte, records [][]byte) []byte {
	dst = binary.BigEndian.AppendUint32(append(dst, recordBatchVersion), uint32(len(records)))
	end := 0
	for _, r := range records {
		end += len(r)
		dst = binary.BigEndian.AppendUint32(dst, uint32(end))
	}
	for _, r := range records {
		dst = append(dst, r...)
	}
	return dst
}

// OpenRecordBatch is a batch that ParseRecordBatch accepted before it was
// stored; only its size is checked. It shares memory with b.
func OpenRecordBatch(b []byte) (RecordBatch, error) {
	if len(b) < batchHeadSize || b[0] != recordBatchVersion {
		return RecordBatch{}, ErrCorrupt
	}
	n := uint64(binary.BigEndian.Uint32(b[1:]))
	rest := b[batchHeadSize:]
	if n*4 > uint64(len(rest)) {
		return RecordBatch{}, ErrCorrupt
	}
	batch := RecordBatch{ends: rest[: 4*n : 4*n], records: rest[4*n:]}
	if batch.end(batch.Len()-1) != len(batch.records) {
		return RecordBatch{}, ErrCorrupt
	}
	return batch, nil
}

// ParseRecordBatch checks a batch; it shares memory with b.
func ParseRecordBatch(b []byte) (RecordBatch, error) {
	batch, err := OpenRecordBatch(b)
	if err != nil {
		return RecordBatch{}, err
	}
	at := 0
	for i := range batch.Len() {
		end := batch.end(i)
		if end < at || end > len(batch.records) || !validRecord(batch.records[at:end]) {
			return RecordBatch{}, ErrCorrupt
		}
		at = end
	}
	return batch, nil
}

// validRecord checks that a record has all its parts.
func validRecord(b []byte) bool {
	if len(b) == 0 || b[0] > recordExplicit {
		return false
	}
	if b[0] == recordExplicit {
		b = b[min(len(b), 16):]
	}
	n, size := binary.Uvarint(b[min(len(b), 1):])
	return size > 0 && n <= uint64(len(b)-1-size)
}

// Len is the number of records.
func (b *RecordBatch) Len() int { return len(b.ends) / 4 }

// end is where record i ends; that of -1 is where the first begins.
func (b *RecordBatch) end(i int) int {
	if i < 0 {
		return 0
	}
	return int(binary.BigEndian.Uint32(b.ends[4*i:]))
}

// Bytes is the size of the records [lo, hi) as they are stored.
func (b *RecordBatch) Bytes(lo, hi int) int { return b.end(hi-1) - b.end(lo-1) }

// Fit is the greatest hi, at least lo, for which Bytes(lo, hi) is at most max.
func (b *RecordBatch) Fit(lo, max int) int {
	start := b.end(lo - 1)
	return lo + sort.Search(b.Len()-lo, func(i int) bool { return b.end(lo+i)-start > max })
}

// Record is record i; its slices share the batch's memory.
func (b *RecordBatch) Record(i int) Record {
	raw := b.Stored(i)
	r := Record{Explicit: raw[0] == recordExplicit}
	raw = raw[1:]
	if r.Explicit {
		raw = raw[copy(r.HashKey[:], raw):]
	}
	n, size := binary.Uvarint(raw)
	key := size + int(n)
	r.PartitionKey, r.Data = raw[size:key:key], raw[key:]
	return r
}

// Stored is record i as it is stored; it shares the batch's memory.
func (b *RecordBatch) Stored(i int) []byte { return b.records[b.end(i-1):b.end(i):b.end(i)] }

// AppendPart appends the records [lo, hi) as a batch.
func (b *RecordBatch) AppendPart(dst []byte, lo, hi int) []byte {
	dst = binary.BigEndian.AppendUint32(append(dst, recordBatchVersion), uint32(hi-lo))
	start := b.end(lo - 1)
	if start == 0 {
		dst = append(dst, b.ends[:4*hi]...)
	} else {
		for i := lo; i < hi; i++ {
			dst = binary.BigEndian.AppendUint32(dst, uint32(b.end(i)-start))
		}
	}
	return append(dst, b.records[start:b.end(hi-1)]...)
}

// PartSize is how many bytes AppendPart appends for records [lo, hi).
func (b *RecordBatch) PartSize(lo, hi int) int { return batchHeadSize + 4*(hi-lo) + b.Bytes(lo, hi) }
