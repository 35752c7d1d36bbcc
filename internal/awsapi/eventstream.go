package awsapi

import (
	"encoding/binary"
	"hash/crc32"
)

// EventStreamType is the content type of an answer that is a stream of events.
//
// The form is Smithy's "Amazon Event Stream Specification": each message is
//
//	length of all (4)  length of the headers (4)  CRC-32 of these (4)
//	headers  payload  CRC-32 of all before (4)
//
// with numbers in network order and the checksums of IEEE 802.3. A header is
// the length of its name (1), the name, the type of its value (1; 7 is a text),
// the length of the value (2) and the value.
const EventStreamType = "application/vnd.amazon.eventstream"

const (
	preludeBytes  = 12
	checksumBytes = 4
	textHeader    = 7
)

// AppendEvent appends an event whose payload is in the protocol, as encode
// appends it.
func AppendEvent(dst []byte, p Protocol, event string, encode func(dst []byte) []byte) []byte {
	return appendMessage(dst, [][2]string{{":event-type", event}, {":content-type", p.ContentType()}, {":message-type", "event"}}, encode)
}

// AppendEventException appends an error that ends a stream.
func AppendEventException(dst []byte, p Protocol, e *Error) []byte {
	headers := [][2]string{{":exception-type", e.Code}, {":content-type", p.ContentType()}, {":message-type", "exception"}}
	return appendMessage(dst, headers, func(dst []byte) []byte {
		if p == CBOR11 {
			dst = AppendCBORText(AppendCBORText(AppendCBORStructure(dst), "message"), e.Message)
			return AppendCBOREnd(dst)
		}
		return append(AppendJSONString(append(dst, `{"message":`...), e.Message), '}')
	})
}

func appendMessage(dst []byte, headers [][2]string, encode func(dst []byte) []byte) []byte {
	start := len(dst)
	dst = append(dst, make([]byte, preludeBytes)...)
	for _, h := range headers {
		dst = append(append(dst, byte(len(h[0]))), h[0]...)
		dst = binary.BigEndian.AppendUint16(append(dst, textHeader), uint16(len(h[1])))
		dst = append(dst, h[1]...)
	}
	headerBytes := len(dst) - start - preludeBytes
	dst = encode(dst)
	message := dst[start:]
	binary.BigEndian.PutUint32(message, uint32(len(message)+checksumBytes))
	binary.BigEndian.PutUint32(message[4:], uint32(headerBytes))
	binary.BigEndian.PutUint32(message[8:], crc32.ChecksumIEEE(message[:8]))
	return binary.BigEndian.AppendUint32(dst, crc32.ChecksumIEEE(message))
}
