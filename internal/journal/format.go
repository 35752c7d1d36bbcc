package journal

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"

	pb "go.etcd.io/raft/v3/raftpb"

	"weir.dev/weir/internal/model"
)

// The sizes and marks of docs/format/journal.md. All fixed integers are
// little-endian.
const (
	formatVersion = 1
	segmentMagic  = "WEIRJRNL"
	segmentHeader = 32
	batchMagic    = 0x4a627257 // "WrbJ"
	batchHeader   = 28
	recordHeader  = 8
)

// batchKind says what a batch is for.
type batchKind byte

const (
	batchChanges    batchKind = 0
	batchCheckpoint batchKind = 1 // the first batch of every segment
	batchSeal       batchKind = 2 // ends a segment; what follows it is no part of it
)

// recordKind says what a record holds.
type recordKind byte

const (
	recordEntry   recordKind = 1
	recordHard    recordKind = 2
	recordReset   recordKind = 3
	recordCompact recordKind = 4
	recordRemove  recordKind = 5
	recordState   recordKind = 6
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// seedOf is where the checksums of a segment's records start from. Segments'
// files are used again: a record of the file's earlier life has another seed
// and never passes for one of this life.
func seedOf(seq, salt uint64) uint32 {
	var b [16]byte
	binary.LittleEndian.PutUint64(b[:], seq)
	binary.LittleEndian.PutUint64(b[8:], salt)
	return crc32.Checksum(b[:], castagnoli)
}

// hardState is raft's without pointers.
type hardState struct {
	set                bool
	term, vote, commit uint64
}

func hardOf(h *pb.HardState) hardState {
	return hardState{set: true, term: h.GetTerm(), vote: h.GetVote(), commit: h.GetCommit()}
}

// state is what a checkpoint says of a tablet.
type state struct {
	start LogStart
	last  uint64
	hard  hardState
}

// record is one decoded record. Which fields are set depends on kind.
type record struct {
	kind   recordKind
	tablet model.TabletID
	index  uint64 // entry
	term   uint64 // entry
	typ    pb.EntryType
	data   []byte   // entry; shares memory with the segment's bytes
	start  LogStart // reset, compact
	state  state    // state; its hard for hard
}

func appendSegmentHeader(dst []byte, seq, salt uint64) []byte {
	at := len(dst)
	dst = append(dst, segmentMagic...)
	dst = binary.LittleEndian.AppendUint32(dst, formatVersion)
	dst = binary.LittleEndian.AppendUint64(dst, seq)
	dst = binary.LittleEndian.AppendUint64(dst, salt)
	return binary.LittleEndian.AppendUint32(dst, crc32.Checksum(dst[at:], castagnoli))
}

// errVersion says that a segment is of a version that cannot be read.
var errVersion = errors.New("format version")

// parseSegmentHeader checks a segment's first bytes and returns its salt.
func parseSegmentHeader(b []byte, seq uint64) (salt uint64, err error) {
	if len(b) < segmentHeader || string(b[:8]) != segmentMagic {
		return 0, fmt.Errorf("it does not begin as a segment does")
	}
	if v := binary.LittleEndian.Uint32(b[8:]); v != formatVersion {
		return 0, fmt.Errorf("has %w %d, this version of Weir reads version %d: use the version of Weir that wrote it, or a newer one", errVersion, v, formatVersion)
	}
	if binary.LittleEndian.Uint32(b[28:]) != crc32.Checksum(b[:28], castagnoli) {
		return 0, fmt.Errorf("the checksum of its header does not match")
	}
	if got := binary.LittleEndian.Uint64(b[12:]); got != seq {
		return 0, fmt.Errorf("it says that it is segment %d", got)
	}
	return binary.LittleEndian.Uint64(b[20:]), nil
}

// putBatchHeader fills the header of the batch that begins at b[0] and holds
// records to the end of b.
func putBatchHeader(b []byte, seed uint32, kind batchKind, number uint64, records int) {
	binary.LittleEndian.PutUint32(b, batchMagic)
	binary.LittleEndian.PutUint32(b[4:], uint32(len(b)-batchHeader))
	binary.LittleEndian.PutUint64(b[8:], number)
	binary.LittleEndian.PutUint32(b[16:], uint32(records))
	binary.LittleEndian.PutUint32(b[20:], uint32(kind))
	binary.LittleEndian.PutUint32(b[24:], crc32.Update(seed, castagnoli, b[:24]))
}

// batchInfo is a decoded batch header.
type batchInfo struct {
	number  uint64
	kind    batchKind
	records int
	size    int // of the payload
}

func parseBatchHeader(b []byte, seed uint32) (h batchInfo, ok bool) {
	if len(b) < batchHeader || binary.LittleEndian.Uint32(b) != batchMagic ||
		binary.LittleEndian.Uint32(b[24:]) != crc32.Update(seed, castagnoli, b[:24]) {
		return h, false
	}
	return batchInfo{
		size: int(binary.LittleEndian.Uint32(b[4:])), number: binary.LittleEndian.Uint64(b[8:]),
		records: int(binary.LittleEndian.Uint32(b[16:])), kind: batchKind(binary.LittleEndian.Uint32(b[20:])),
	}, true
}

// beginRecord makes room for a record's header and appends what all bodies
// begin with. endRecord fills the header.
func beginRecord(dst []byte, kind recordKind, tablet model.TabletID) []byte {
	dst = append(dst, 0, 0, 0, 0, 0, 0, 0, 0, byte(kind))
	return binary.AppendUvarint(dst, uint64(tablet))
}

func endRecord(dst []byte, at int, seed uint32) []byte {
	binary.LittleEndian.PutUint32(dst[at+4:], uint32(len(dst)-at-recordHeader))
	binary.LittleEndian.PutUint32(dst[at:], crc32.Update(seed, castagnoli, dst[at+4:]))
	return dst
}

func appendEntry(dst []byte, seed uint32, tablet model.TabletID, e *pb.Entry) []byte {
	return appendEntryParts(dst, seed, tablet, e.GetIndex(), e.GetTerm(), e.GetType(), e.GetData())
}

func appendEntryParts(dst []byte, seed uint32, tablet model.TabletID, index, term uint64, typ pb.EntryType, data []byte) []byte {
	at := len(dst)
	dst = beginRecord(dst, recordEntry, tablet)
	dst = binary.AppendUvarint(dst, index)
	dst = binary.AppendUvarint(dst, term)
	dst = append(dst, byte(typ))
	dst = append(dst, data...)
	return endRecord(dst, at, seed)
}

func appendHard(dst []byte, seed uint32, tablet model.TabletID, h hardState) []byte {
	at := len(dst)
	dst = beginRecord(dst, recordHard, tablet)
	dst = appendHardFields(dst, h)
	return endRecord(dst, at, seed)
}

func appendHardFields(dst []byte, h hardState) []byte {
	dst = binary.AppendUvarint(dst, h.term)
	dst = binary.AppendUvarint(dst, h.vote)
	return binary.AppendUvarint(dst, h.commit)
}

// appendStart appends a reset or compact record.
func appendStart(dst []byte, seed uint32, kind recordKind, tablet model.TabletID, s LogStart) []byte {
	at := len(dst)
	dst = beginRecord(dst, kind, tablet)
	dst = binary.AppendUvarint(dst, uint64(s.Index))
	dst = binary.AppendUvarint(dst, uint64(s.Term))
	return endRecord(dst, at, seed)
}

func appendRemove(dst []byte, seed uint32, tablet model.TabletID) []byte {
	at := len(dst)
	return endRecord(beginRecord(dst, recordRemove, tablet), at, seed)
}

func appendState(dst []byte, seed uint32, tablet model.TabletID, s state) []byte {
	at := len(dst)
	dst = beginRecord(dst, recordState, tablet)
	dst = binary.AppendUvarint(dst, uint64(s.start.Index))
	dst = binary.AppendUvarint(dst, uint64(s.start.Term))
	dst = binary.AppendUvarint(dst, s.last)
	dst = model.AppendBool(dst, s.hard.set)
	dst = appendHardFields(dst, s.hard)
	return endRecord(dst, at, seed)
}

// parseRecord decodes the record at the beginning of b and returns its size.
func parseRecord(b []byte, seed uint32) (r record, size int, err error) {
	if len(b) < recordHeader {
		return r, 0, fmt.Errorf("a record is cut short")
	}
	n := binary.LittleEndian.Uint32(b[4:])
	if uint64(n) > uint64(len(b)-recordHeader) {
		return r, 0, fmt.Errorf("a record is longer than its batch")
	}
	size = recordHeader + int(n)
	if binary.LittleEndian.Uint32(b) != crc32.Update(seed, castagnoli, b[4:size]) {
		return r, 0, fmt.Errorf("the checksum of a record does not match")
	}
	if r, err = parseBody(b[recordHeader:size:size]); err != nil {
		return r, 0, fmt.Errorf("a record is impossible: %w", err)
	}
	return r, size, nil
}

func parseBody(b []byte) (r record, err error) {
	d := model.NewDecoder(b)
	r.kind = recordKind(d.Byte())
	r.tablet = model.TabletID(d.Uvarint())
	switch r.kind {
	case recordEntry:
		r.index, r.term, r.typ = d.Uvarint(), d.Uvarint(), pb.EntryType(d.Byte())
		if d.Err() == nil && (r.index == 0 || r.typ > pb.EntryConfChangeV2) {
			d.Fail()
		}
		r.data = d.Rest()
		return r, d.Err()
	case recordHard:
		r.state.hard = parseHard(d, true)
	case recordReset, recordCompact:
		r.start = parseStart(d)
	case recordRemove:
	case recordState:
		r.state.start, r.state.last = parseStart(d), d.Uvarint()
		r.state.hard = parseHard(d, d.Bool())
		if uint64(r.state.start.Index) > r.state.last {
			d.Fail()
		}
	default:
		d.Fail()
	}
	return r, d.Done()
}

func parseStart(d *model.Decoder) LogStart {
	return LogStart{Index: model.Index(d.Uvarint()), Term: model.Term(d.Uvarint())}
}

func parseHard(d *model.Decoder, set bool) hardState {
	return hardState{set: set, term: d.Uvarint(), vote: d.Uvarint(), commit: d.Uvarint()}
}
