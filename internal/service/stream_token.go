package service

import (
	"encoding/base64"
	"encoding/binary"
	"hash/crc32"
	"time"

	"weir.dev/weir/internal/model"
)

// Tokens are opaque texts that a client hands back: shard iterators and the
// tokens of pages. They carry all that they mean, so any node can go on from
// them, and a CRC-32, so that what a client made up or cut is refused.
// docs/format/stream.md describes their bytes.

// tokenKind is the first byte of a token.
type tokenKind byte

const (
	tokenIterator  tokenKind = 1
	tokenStreams   tokenKind = 2
	tokenShards    tokenKind = 3
	tokenConsumers tokenKind = 4
)

const (
	tokenVersion = 1
	// tokenLife is how long a token is good, as in Kinesis.
	tokenLife = 5 * time.Minute
	// tokenSkew is how far ahead of this node the clock of the node that made a
	// token may be.
	tokenSkew = time.Minute
	// maxTokenBytes bounds what is decoded.
	maxTokenBytes = 4096
)

func sealToken(kind tokenKind, body []byte) string {
	b := append([]byte{tokenVersion, byte(kind)}, body...)
	b = binary.BigEndian.AppendUint32(b, crc32.ChecksumIEEE(b))
	return base64.StdEncoding.EncodeToString(b)
}

func openToken(kind tokenKind, text string) ([]byte, bool) {
	if len(text) > maxTokenBytes {
		return nil, false
	}
	b, err := base64.StdEncoding.Strict().DecodeString(text)
	if err != nil || len(b) < 6 || b[0] != tokenVersion || b[1] != byte(kind) {
		return nil, false
	}
	body, sum := b[:len(b)-4], binary.BigEndian.Uint32(b[len(b)-4:])
	return body[2:], crc32.ChecksumIEEE(body) == sum
}

// iterator is what a shard iterator says.
type iterator struct {
	stream    model.ResourceID
	shard     model.ShardNumber
	n         uint64 // the position
	createdMs int64
}

func (it iterator) String() string {
	b := model.AppendUvarint(nil, uint64(it.stream))
	b = model.AppendUvarint(b, uint64(it.shard))
	b = model.AppendUvarint(b, it.n)
	return sealToken(tokenIterator, model.AppendUvarint(b, uint64(it.createdMs)))
}

// parseIterator reads what String wrote.
func parseIterator(text string) (iterator, bool) {
	body, ok := openToken(tokenIterator, text)
	if !ok {
		return iterator{}, false
	}
	d := model.NewDecoder(body)
	it := iterator{stream: model.ResourceID(d.Uvarint())}
	shard := d.Uvarint()
	it.shard, it.n, it.createdMs = model.ShardNumber(shard), d.Uvarint(), int64(d.Uvarint())
	return it, d.Done() == nil && shard < 1<<32
}

// iteratorTime is how Kinesis writes times in its messages.
const iteratorTime = "Mon Jan 02 15:04:05 MST 2006"

// checkAge refuses iterators that are too old. One that another node made is
// not refused because that node's clock is ahead.
func (it iterator) checkAge(now time.Time) error {
	created := time.UnixMilli(it.createdMs)
	if created.After(now.Add(tokenSkew)) {
		return streamFault(FaultStreamArgument, "Invalid ShardIterator.")
	}
	if now.Sub(created) > tokenLife {
		return streamFault(FaultExpiredIterator, "Iterator expired. The iterator was created at time %s while right now it is %s "+
			"which is further in the future than the tolerated delay of %d milliseconds.",
			created.UTC().Format(iteratorTime), now.UTC().Format(iteratorTime), tokenLife.Milliseconds())
	}
	return nil
}

// pageToken says where a page ended.
type pageToken struct {
	stream model.ResourceID
	last   string // of the page: the id or name
	filter *ShardFilter
}

func (s *Service) pageToken(kind tokenKind, stream model.ResourceID, last string, f *ShardFilter) string {
	b := model.AppendUvarint(nil, uint64(s.nowMs()))
	b = model.AppendUvarint(b, uint64(stream))
	b = model.AppendString(b, last)
	if f != nil {
		b = model.AppendString(model.AppendString(b, f.Type), f.ShardID)
		if f.TimestampMs != nil {
			b = model.AppendUvarint(b, uint64(*f.TimestampMs))
		}
	}
	return sealToken(kind, b)
}

// openPageToken reads a page's token. Errors: *StreamError.
func (s *Service) openPageToken(kind tokenKind, text string) (t pageToken, err error) {
	body, ok := openToken(kind, text)
	d := model.NewDecoder(body)
	createdMs := int64(d.Uvarint())
	t.stream, t.last = model.ResourceID(d.Uvarint()), d.String()
	if d.Len() > 0 {
		t.filter = &ShardFilter{Type: d.String(), ShardID: d.String()}
		if d.Len() > 0 {
			ms := int64(d.Uvarint())
			t.filter.TimestampMs = &ms
		}
	}
	if !ok || d.Done() != nil || createdMs < 0 {
		return pageToken{}, streamFault(FaultStreamArgument, "NextToken is invalid.")
	}
	now := s.clock.Now()
	if created := time.UnixMilli(createdMs); now.Sub(created) > tokenLife || created.After(now.Add(tokenSkew)) {
		return pageToken{}, streamFault(FaultExpiredToken, "The pagination token expired: it is good for %d seconds.", int(tokenLife.Seconds()))
	}
	return t, nil
}
