package awsapi

import "sync"

// Input is a generated request.
type Input interface {
	// Decode reads the request's members; unknown ones are skipped, as AWS does.
	Decode(d *Decoder)
	// CheckConstraints notes what the model forbids.
	CheckConstraints(c *Check)
}

// Every request needs one of each for a moment; both escape to the heap.
var (
	decoders = sync.Pool{New: func() any { return new(Decoder) }}
	checks   = sync.Pool{New: func() any { return new(Check) }}
)

// ReadJSON reads a body into in, which must be zero: it must be one JSON
// object and of the right types. Constraints are not checked. What the result
// holds shares memory with a copy of the body, so it may be kept.
func ReadJSON(body []byte, in Input) (Fault, *Error) {
	d := decoders.Get().(*Decoder)
	d.newJSON(body)
	return d.read(in)
}

// ReadBody is ReadJSON for a service that speaks CBOR, too: the protocol says
// which of the two the body is in, and the style how errors are worded. Blobs of
// CBOR share memory with the body itself: who keeps one copies it.
func ReadBody(p Protocol, style Style, body []byte, in Input) *Error {
	d := decoders.Get().(*Decoder)
	if p == CBOR11 {
		d.newCBOR(body)
	} else {
		d.newJSON(body)
	}
	if style.words != nil {
		d.words = style.words
	}
	_, err := d.read(in)
	return err
}

// read reads one structure and gives the decoder back to the pool.
func (d *Decoder) read(in Input) (Fault, *Error) {
	if d.cbor && !d.isMap() || !d.cbor && d.peek() != '{' {
		d.syntax()
	}
	in.Decode(d)
	err, fault := d.Done(), d.fault
	*d = Decoder{left: d.left[:0]}
	decoders.Put(d)
	return fault, err
}

// CheckInput holds a request to the model's constraints.
func CheckInput(in Input) *Error {
	c := checks.Get().(*Check)
	in.CheckConstraints(c)
	err := c.Error()
	if err == nil { // the usual case, in which nothing is left in it but capacity
		checks.Put(c)
	}
	return err
}
