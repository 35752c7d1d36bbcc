package awsapi

import "sync"

// Input is a generated request.
type Input interface {
	// DecodeJSON reads the request's members; unknown ones are skipped, as AWS does.
	DecodeJSON(d *Decoder)
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
	*d = Decoder{s: string(body)}
	if d.peek() != '{' {
		d.syntax()
	}
	in.DecodeJSON(d)
	err, fault := d.Done(), d.fault
	*d = Decoder{}
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
