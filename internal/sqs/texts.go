package sqs

import (
	"crypto/md5" // as in md5.go
	"encoding/hex"
	"strings"

	"weir.dev/weir/internal/model"
)

// uuidBytes is the length of a message's id as clients see it.
const uuidBytes = 36

// texts makes the ids, digests and bodies of an answer's messages in one piece of
// memory.
type texts struct {
	made strings.Builder
	room []byte // for one text at a time
}

// newTexts makes room for the ids and digests of n messages, and for so many bytes
// of bodies.
func newTexts(n, bytes int) *texts {
	t := &texts{}
	t.made.Grow(n*(uuidBytes+2*md5.Size) + bytes)
	return t
}

// bytes is a text as bytes, until the next call.
func (t *texts) bytes(text string) []byte {
	t.room = append(t.room[:0], text...)
	return t.room
}

// add keeps a text. The texts before it stay what they are.
func (t *texts) add(text []byte) string {
	from := t.made.Len()
	t.made.Write(text)
	return t.made.String()[from:]
}

// hex is the hexadecimal form of a digest.
func (t *texts) hex(sum []byte) string {
	var b [2 * md5.Size]byte
	return t.add(hex.AppendEncode(b[:0], sum))
}

// uuid is a message's id as clients see it.
func (t *texts) uuid(id model.MessageID) string {
	b := uuid(id)
	return t.add(b[:])
}

// uuid is a message's id as clients see it.
func uuid(id model.MessageID) (b [uuidBytes]byte) {
	hex.Encode(b[:], id[:4])
	hex.Encode(b[9:], id[4:6])
	hex.Encode(b[14:], id[6:8])
	hex.Encode(b[19:], id[8:10])
	hex.Encode(b[24:], id[10:])
	b[8], b[13], b[18], b[23] = '-', '-', '-', '-'
	return b
}
