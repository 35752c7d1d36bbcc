package awsapi

// Input is a generated request.
type Input interface {
	// DecodeJSON reads the request's members; unknown ones are skipped, as AWS does.
	DecodeJSON(d *Decoder)
	// CheckConstraints notes what the model forbids.
	CheckConstraints(c *Check)
}

// ReadJSON reads a body into in, which must be zero: it must be one JSON object and of the right
// types. Constraints are not checked. What the result holds shares memory with
// a copy of the body, so it may be kept.
func ReadJSON(body []byte, in Input) (Fault, *Error) {
	d := NewDecoder(string(body))
	if d.peek() != '{' {
		d.syntax()
	}
	in.DecodeJSON(d)
	err := d.Done()
	return d.fault, err
}

// CheckInput holds a request to the model's constraints.
func CheckInput(in Input) *Error {
	var c Check
	in.CheckConstraints(&c)
	return c.Error()
}
