package model

import (
	"encoding/base64"
	"encoding/binary"
	"hash/crc32"
	"slices"
)

// Receipt is what a receipt handle says: which receive of which message it is
// the receipt of. Clients see it as opaque text. The nonce is random for each
// receive, so that a receipt cannot be guessed from others.
type Receipt struct {
	Queue    ResourceID
	Slot     Slot
	Seq      uint64
	Receives uint32 // the message's receive count at that receive
	Nonce    uint64
}

const (
	receiptVersion = 1
	receiptBytes   = 1 + 8 + 2 + 8 + 4 + 8
	// ReceiptLength is that of a receipt handle: the bytes and their CRC-32 as text.
	ReceiptLength = (receiptBytes + 4 + 2) / 3 * 4
)

var strictBase64 = base64.StdEncoding.Strict()

// String is the receipt handle.
func (r Receipt) String() string { return string(r.AppendText(nil)) }

// AppendText appends the receipt handle.
func (r Receipt) AppendText(dst []byte) []byte {
	var room [receiptBytes + 4]byte
	b := append(room[:0], receiptVersion)
	b = binary.BigEndian.AppendUint64(b, uint64(r.Queue))
	b = binary.BigEndian.AppendUint16(b, uint16(r.Slot))
	b = binary.BigEndian.AppendUint64(b, r.Seq)
	b = binary.BigEndian.AppendUint32(b, r.Receives)
	b = binary.BigEndian.AppendUint64(b, r.Nonce)
	b = binary.BigEndian.AppendUint32(b, crc32.ChecksumIEEE(b))
	dst = slices.Grow(dst, ReceiptLength)
	text := dst[len(dst) : len(dst)+ReceiptLength]
	base64.StdEncoding.Encode(text, b)
	return dst[:len(dst)+ReceiptLength]
}

// ParseReceipt reads a receipt handle of the given queue. The error is
// ErrReceiptInvalid.
func ParseReceipt(queue ResourceID, handle string) (Receipt, error) {
	r, ok := parseReceipt(handle)
	if !ok || r.Queue != queue {
		return Receipt{}, Errorf(ErrReceiptInvalid, "The input receipt handle %q is not a valid receipt handle.", cut(handle, 2*ReceiptLength))
	}
	return r, nil
}

func parseReceipt(handle string) (r Receipt, ok bool) {
	if len(handle) != ReceiptLength {
		return r, false
	}
	var text, room [ReceiptLength]byte
	copy(text[:], handle)
	n, err := strictBase64.Decode(room[:], text[:])
	b := room[:n]
	if err != nil || n != receiptBytes+4 || b[0] != receiptVersion {
		return r, false
	}
	if crc32.ChecksumIEEE(b[:receiptBytes]) != binary.BigEndian.Uint32(b[receiptBytes:]) {
		return r, false
	}
	return Receipt{
		Queue:    ResourceID(binary.BigEndian.Uint64(b[1:])),
		Slot:     Slot(binary.BigEndian.Uint16(b[9:])),
		Seq:      binary.BigEndian.Uint64(b[11:]),
		Receives: binary.BigEndian.Uint32(b[19:]),
		Nonce:    binary.BigEndian.Uint64(b[23:]),
	}, true
}

// cut shortens text of unknown length for a message.
func cut(s string, n int) string {
	if len(s) <= n {
		return s
	}
	return s[:n] + "..."
}
