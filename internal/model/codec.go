package model

import (
	"encoding/binary"
	"errors"
)

// ErrCorrupt is returned by decoders of stored or transmitted bytes that are
// cut short, too long, or hold an impossible value.
var ErrCorrupt = errors.New("malformed bytes")

// AppendUvarint appends v in base 128.
func AppendUvarint(dst []byte, v uint64) []byte { return binary.AppendUvarint(dst, v) }

// AppendBytes appends b behind its length.
func AppendBytes(dst, b []byte) []byte {
	return append(binary.AppendUvarint(dst, uint64(len(b))), b...)
}

// AppendString appends s behind its length.
func AppendString(dst []byte, s string) []byte {
	return append(binary.AppendUvarint(dst, uint64(len(s))), s...)
}

// AppendBool appends one byte, 1 or 0.
func AppendBool(dst []byte, v bool) []byte {
	if v {
		return append(dst, 1)
	}
	return append(dst, 0)
}

// Decoder reads what the Append functions wrote. After the first error every
// further read returns zero; check Err (or Done) once at the end. The bytes it
// returns share memory with its input.
type Decoder struct {
	b   []byte
	err error
}

// NewDecoder reads b.
func NewDecoder(b []byte) *Decoder { return &Decoder{b: b} }

// Fail makes the decoder return ErrCorrupt from here on.
func (d *Decoder) Fail() { d.b, d.err = nil, ErrCorrupt }

// Err is ErrCorrupt once anything was malformed.
func (d *Decoder) Err() error { return d.err }

// Done is Err, or ErrCorrupt when bytes are left over.
func (d *Decoder) Done() error {
	if d.err == nil && len(d.b) != 0 {
		d.Fail()
	}
	return d.err
}

// Rest returns what has not been read yet.
func (d *Decoder) Rest() []byte { return d.b }

// Len is the number of bytes not yet read.
func (d *Decoder) Len() int { return len(d.b) }

// Byte reads one byte.
func (d *Decoder) Byte() byte {
	if len(d.b) == 0 {
		d.Fail()
		return 0
	}
	v := d.b[0]
	d.b = d.b[1:]
	return v
}

// Bool reads one byte that must be 0 or 1.
func (d *Decoder) Bool() bool {
	v := d.Byte()
	if v > 1 {
		d.Fail()
	}
	return v == 1
}

// Uvarint reads a base-128 number.
func (d *Decoder) Uvarint() uint64 {
	v, n := binary.Uvarint(d.b)
	if n <= 0 {
		d.Fail()
		return 0
	}
	d.b = d.b[n:]
	return v
}

// Count reads a number of elements that each take at least one byte, so that
// a malformed count cannot make a caller allocate more than the input's size.
func (d *Decoder) Count() int {
	v := d.Uvarint()
	if v > uint64(len(d.b)) {
		d.Fail()
		return 0
	}
	return int(v)
}

// Bytes reads a byte string; it shares memory with the input.
func (d *Decoder) Bytes() []byte {
	n := d.Count()
	if d.err != nil {
		return nil
	}
	v := d.b[:n:n]
	d.b = d.b[n:]
	return v
}

// String reads a string.
func (d *Decoder) String() string { return string(d.Bytes()) }

// stringLike reads a string that is mostly the one given: then it needs no memory.
func (d *Decoder) stringLike(known string) string {
	b := d.Bytes()
	if string(b) == known {
		return known
	}
	return string(b)
}

// Fixed reads n bytes; they share memory with the input.
func (d *Decoder) Fixed(n int) []byte {
	if len(d.b) < n {
		d.Fail()
		return make([]byte, n)
	}
	v := d.b[:n:n]
	d.b = d.b[n:]
	return v
}

// RequestID reads a request id.
func (d *Decoder) RequestID() (id RequestID) {
	copy(id[:], d.Fixed(len(id)))
	return id
}
