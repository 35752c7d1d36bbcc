package transport

import (
	"encoding/binary"

	"go.etcd.io/raft/v3/raftpb"
	"google.golang.org/protobuf/proto"

	"weir.dev/weir/internal/model"
)

// Raft messages travel as protobuf, in the form of raft.proto. The common
// fields are encoded and decoded here by hand, because the generic code
// allocates every number of every entry by itself; anything else (snapshots,
// fields of a later version) goes through the generic code, with the same
// bytes. FuzzRaftMessage holds the two together.

// The tags of raft.proto: field number, then wire type 0 (number) or 2 (bytes).
const (
	tagType       = 1 << 3
	tagTo         = 2 << 3
	tagFrom       = 3 << 3
	tagTerm       = 4 << 3
	tagLogTerm    = 5 << 3
	tagIndex      = 6 << 3
	tagEntry      = 7<<3 | 2
	tagCommit     = 8 << 3
	tagReject     = 10 << 3
	tagRejectHint = 11 << 3
	tagContext    = 12<<3 | 2
	tagVote       = 13 << 3

	tagEntryType  = 1 << 3
	tagEntryTerm  = 2 << 3
	tagEntryIndex = 3 << 3
	tagEntryData  = 4<<3 | 2
)

// plain reports whether the message has only the fields that are encoded by
// hand.
func plain(m *raftpb.Message) bool {
	return m.Snapshot == nil && len(m.Responses) == 0
}

// raftSize is the encoded size.
func raftSize(m *raftpb.Message) int {
	if !plain(m) {
		return proto.Size(m)
	}
	n := 0
	if m.Type != nil {
		n += numberSize(uint64(*m.Type))
	}
	for _, v := range [...]*uint64{m.To, m.From, m.Term, m.LogTerm, m.Index, m.Commit, m.RejectHint, m.Vote} {
		if v != nil {
			n += numberSize(*v)
		}
	}
	if m.Reject != nil {
		n += 2
	}
	if m.Context != nil {
		n += bytesSize(len(m.Context))
	}
	for _, e := range m.Entries {
		n += bytesSize(entrySize(e))
	}
	return n
}

func numberSize(v uint64) int { return 1 + uvarintLen(v) }
func bytesSize(n int) int     { return 1 + uvarintLen(uint64(n)) + n }

func entrySize(e *raftpb.Entry) int {
	n := 0
	if e.Type != nil {
		n += numberSize(uint64(*e.Type))
	}
	if e.Term != nil {
		n += numberSize(*e.Term)
	}
	if e.Index != nil {
		n += numberSize(*e.Index)
	}
	if e.Data != nil {
		n += bytesSize(len(e.Data))
	}
	return n
}

// appendRaft appends the encoded message, raftSize bytes.
func appendRaft(dst []byte, m *raftpb.Message) []byte {
	if !plain(m) {
		dst, err := proto.MarshalOptions{}.MarshalAppend(dst, m)
		if err != nil {
			panic("BUG: cannot marshal raft message: " + err.Error())
		}
		return dst
	}
	if m.Type != nil {
		dst = appendNumber(dst, tagType, uint64(*m.Type))
	}
	dst = appendOptional(dst, tagTo, m.To)
	dst = appendOptional(dst, tagFrom, m.From)
	dst = appendOptional(dst, tagTerm, m.Term)
	dst = appendOptional(dst, tagLogTerm, m.LogTerm)
	dst = appendOptional(dst, tagIndex, m.Index)
	for _, e := range m.Entries {
		dst = append(dst, tagEntry)
		dst = binary.AppendUvarint(dst, uint64(entrySize(e)))
		dst = appendEntry(dst, e)
	}
	dst = appendOptional(dst, tagCommit, m.Commit)
	if m.Reject != nil {
		dst = model.AppendBool(append(dst, tagReject), *m.Reject)
	}
	dst = appendOptional(dst, tagRejectHint, m.RejectHint)
	if m.Context != nil {
		dst = model.AppendBytes(append(dst, tagContext), m.Context)
	}
	return appendOptional(dst, tagVote, m.Vote)
}

func appendEntry(dst []byte, e *raftpb.Entry) []byte {
	if e.Type != nil {
		dst = appendNumber(dst, tagEntryType, uint64(*e.Type))
	}
	dst = appendOptional(dst, tagEntryTerm, e.Term)
	dst = appendOptional(dst, tagEntryIndex, e.Index)
	if e.Data != nil {
		dst = model.AppendBytes(append(dst, tagEntryData), e.Data)
	}
	return dst
}

func appendNumber(dst []byte, tag byte, v uint64) []byte {
	return binary.AppendUvarint(append(dst, tag), v)
}

func appendOptional(dst []byte, tag byte, v *uint64) []byte {
	if v == nil {
		return dst
	}
	return appendNumber(dst, tag, *v)
}

// decodeRaft decodes a message that shares no memory with b.
func decodeRaft(b []byte) (*raftpb.Message, error) {
	if m, ok := decodePlain(b); ok {
		return m, nil
	}
	m := new(raftpb.Message)
	if err := proto.Unmarshal(b, m); err != nil {
		return nil, errFrame
	}
	return m, nil
}

// raftSlab is a message and what its fields point to, in one allocation.
type raftSlab struct {
	msg                                                      raftpb.Message
	typ                                                      raftpb.MessageType
	to, from, term, logTerm, index, commit, rejectHint, vote uint64
	reject                                                   bool
}

// entrySlab is an entry and what its fields point to.
type entrySlab struct {
	entry       raftpb.Entry
	typ         raftpb.EntryType
	term, index uint64
}

// decodePlain decodes what appendRaft encodes by hand; ok is false when there
// is anything else.
func decodePlain(b []byte) (*raftpb.Message, bool) {
	s := new(raftSlab)
	m := &s.msg
	entries, dataBytes, ok := countEntries(b)
	if !ok {
		return nil, false
	}
	var slabs []entrySlab
	var data []byte
	if entries > 0 {
		slabs = make([]entrySlab, entries)
		m.Entries = make([]*raftpb.Entry, 0, entries)
		data = make([]byte, 0, dataBytes)
	}
	d := model.NewDecoder(b)
	for d.Len() > 0 {
		switch tag := d.Byte(); tag {
		case tagType:
			s.typ = raftpb.MessageType(d.Uvarint())
			m.Type = &s.typ
			if s.typ < 0 || s.typ > raftpb.MsgForgetLeader {
				return nil, false
			}
		case tagTo:
			m.To = number(d, &s.to)
		case tagFrom:
			m.From = number(d, &s.from)
		case tagTerm:
			m.Term = number(d, &s.term)
		case tagLogTerm:
			m.LogTerm = number(d, &s.logTerm)
		case tagIndex:
			m.Index = number(d, &s.index)
		case tagCommit:
			m.Commit = number(d, &s.commit)
		case tagRejectHint:
			m.RejectHint = number(d, &s.rejectHint)
		case tagVote:
			m.Vote = number(d, &s.vote)
		case tagReject:
			s.reject = d.Uvarint() != 0
			m.Reject = &s.reject
		case tagContext:
			m.Context = append([]byte{}, d.Bytes()...)
		case tagEntry:
			e := &slabs[len(m.Entries)]
			if data, ok = decodeEntry(e, d.Bytes(), data); !ok {
				return nil, false
			}
			m.Entries = append(m.Entries, &e.entry)
		default:
			return nil, false
		}
	}
	return m, d.Err() == nil
}

func number(d *model.Decoder, v *uint64) *uint64 {
	*v = d.Uvarint()
	return v
}

// countEntries returns the number of entries and the most that their data can
// take; ok is false when the message is not a plain one.
func countEntries(b []byte) (entries, dataBytes int, ok bool) {
	d := model.NewDecoder(b)
	for d.Len() > 0 {
		switch tag := d.Byte(); tag & 7 {
		case 0:
			d.Uvarint()
		case 2:
			n := len(d.Bytes())
			if tag == tagEntry {
				entries++
				dataBytes += n
			}
		default:
			return 0, 0, false
		}
	}
	return entries, dataBytes, d.Err() == nil
}

// decodeEntry decodes one entry and puts its data at the end of data, which
// has room for it.
func decodeEntry(s *entrySlab, b, data []byte) ([]byte, bool) {
	e := &s.entry
	d := model.NewDecoder(b)
	for d.Len() > 0 {
		switch tag := d.Byte(); tag {
		case tagEntryType:
			s.typ = raftpb.EntryType(d.Uvarint())
			e.Type = &s.typ
			if s.typ < 0 || s.typ > raftpb.EntryConfChangeV2 {
				return data, false
			}
		case tagEntryTerm:
			e.Term = number(d, &s.term)
		case tagEntryIndex:
			e.Index = number(d, &s.index)
		case tagEntryData:
			from := len(data)
			data = append(data, d.Bytes()...)
			e.Data = data[from:len(data):len(data)]
		default:
			return data, false
		}
	}
	return data, d.Err() == nil
}
