package sqs

import (
	"crypto/md5" // SDKs compare these digests; nothing here depends on them being hard to forge
	"encoding/binary"
	"encoding/hex"
	"hash"
	"strings"

	"weir.dev/weir/internal/awsapi"
	"weir.dev/weir/internal/model"
)

// The transport types that are part of the digest of attributes.
const (
	digestString = 1
	digestBinary = 2
)

// bodyMD5 is MD5OfMessageBody.
func (t *texts) bodyMD5(body []byte) awsapi.Opt[string] {
	sum := md5.Sum(body)
	return awsapi.Some(t.hex(sum[:]))
}

// attributesMD5 is MD5OfMessageAttributes, and for system attributes
// MD5OfMessageSystemAttributes; not set when there are none. attrs are in the
// order of their names. The algorithm is published in the SQS Developer Guide,
// "Calculating the MD5 message digest for message attributes": for each
// attribute the name, the type, one byte for the kind of the value, and the
// value, each text and value behind its length in four bytes.
func attributesMD5(attrs []model.MessageAttr) awsapi.Opt[string] {
	if len(attrs) == 0 {
		return awsapi.Opt[string]{}
	}
	h := md5.New()
	for i := range attrs {
		a := &attrs[i]
		digest(h, a.Name)
		digest(h, a.DataType)
		if isBinary(a.DataType) {
			h.Write([]byte{digestBinary})
		} else {
			h.Write([]byte{digestString})
		}
		digest(h, a.Value)
	}
	return awsapi.Some(hex.EncodeToString(h.Sum(nil)))
}

func digest(h hash.Hash, s string) {
	var n [4]byte
	binary.BigEndian.PutUint32(n[:], uint32(len(s)))
	h.Write(n[:])
	h.Write([]byte(s))
}

// isBinary reports whether values of a data type travel as bytes.
func isBinary(dataType string) bool { return strings.HasPrefix(dataType, "Binary") }
