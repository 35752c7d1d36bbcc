package awsapi

import (
	"slices"
	"strconv"
	"strings"
)

// Pair is one parameter of a Query call, decoded.
type Pair struct{ Name, Value string }

// Form holds the parameters of a Query call, sorted by name. Of several with
// the same name the last one sent counts. Make it with NewForm.
type Form []Pair

// NewForm sorts the pairs, which it takes over, and drops all but the last of
// each name.
func NewForm(pairs []Pair) Form {
	slices.SortStableFunc(pairs, func(a, b Pair) int { return strings.Compare(a.Name, b.Name) })
	out := pairs[:0]
	for i, p := range pairs {
		if i+1 < len(pairs) && pairs[i+1].Name == p.Name {
			continue
		}
		out = append(out, p)
	}
	return Form(out)
}

// Get returns the value of a parameter; ok is false when it was not sent.
func (f Form) Get(name string) (value string, ok bool) {
	i, ok := slices.BinarySearchFunc(f, name, func(p Pair, name string) int { return strings.Compare(p.Name, name) })
	if !ok {
		return "", false
	}
	return f[i].Value, true
}

// HasPrefix reports whether a parameter is called prefix, or begins with
// prefix and a dot: whether a structure or list was sent.
func (f Form) HasPrefix(prefix string) bool {
	i, ok := slices.BinarySearchFunc(f, prefix, func(p Pair, name string) int { return strings.Compare(p.Name, name) })
	for ; !ok && i < len(f) && strings.HasPrefix(f[i].Name, prefix); i++ {
		ok = f[i].Name[len(prefix)] == '.'
	}
	return ok
}

// FormReader reads the members of a request from a Form; generated code drives
// it. After the first error the values do not count; ask Err at the end.
type FormReader struct {
	form Form
	err  *Error
}

// FormInput is a generated request that can be read from a Form.
type FormInput interface {
	Input
	DecodeForm(f *FormReader)
}

// ReadForm reads the parameters of a Query call into in, which must be zero.
// Constraints are not checked.
func ReadForm(form Form, in FormInput) *Error {
	r := FormReader{form: form}
	in.DecodeForm(&r)
	return r.err
}

func (r *FormReader) malformed(name, value string) {
	if r.err == nil {
		r.err = &Error{Code: "MalformedInput", Namespace: nsService, HTTPStatus: 400, Sender: true,
			Message: "Value " + quoted(value) + " at '" + name + "' has a wrong type"}
	}
}

// Has reports whether a structure of that name was sent.
func (r *FormReader) Has(name string) bool { return r.form.HasPrefix(name) }

// maxElements bounds a list's numbers: SQS takes at most ten of anything but
// names of attributes, tags and accounts, of which no queue has as many.
const maxElements = 1000

// Elements yields the names of a list's elements, name.1 and so on, in the
// order of their numbers, which need not be without gaps.
func (r *FormReader) Elements(name string) func(yield func(string) bool) {
	return func(yield func(string) bool) {
		var numbers []int
		i, _ := slices.BinarySearchFunc(r.form, name+".", func(p Pair, name string) int { return strings.Compare(p.Name, name) })
		for ; i < len(r.form) && strings.HasPrefix(r.form[i].Name, name+"."); i++ {
			text, _, _ := strings.Cut(r.form[i].Name[len(name)+1:], ".")
			if n, err := strconv.Atoi(text); err == nil && n > 0 && n <= maxElements && strconv.Itoa(n) == text {
				numbers = append(numbers, n)
			}
		}
		slices.Sort(numbers)
		for _, n := range slices.Compact(numbers) {
			if !yield(name + "." + strconv.Itoa(n)) {
				return
			}
		}
	}
}

// String reads a text.
func (r *FormReader) String(name string) (o Opt[string]) {
	o.V, o.Set = r.form.Get(name)
	return o
}

// Integer reads a whole number of 32 bits.
func (r *FormReader) Integer(name string) Opt[int64] { return r.whole(name, 32) }

// Long reads a whole number of 64 bits.
func (r *FormReader) Long(name string) Opt[int64] { return r.whole(name, 64) }

func (r *FormReader) whole(name string, bits int) (o Opt[int64]) {
	text, ok := r.form.Get(name)
	if !ok || text == "" {
		return o
	}
	v, err := strconv.ParseInt(text, 10, bits)
	if err != nil {
		r.malformed(name, text)
		return o
	}
	return Some(v)
}

// Bool reads true or false.
func (r *FormReader) Bool(name string) (o Opt[bool]) {
	text, ok := r.form.Get(name)
	if !ok || text == "" {
		return o
	}
	if text != "true" && text != "false" {
		r.malformed(name, text)
		return o
	}
	return Some(text == "true")
}

// Blob reads bytes in base64.
func (r *FormReader) Blob(name string) []byte {
	text, ok := r.form.Get(name)
	if !ok {
		return nil
	}
	b, err := base64Strict.DecodeString(text)
	if err != nil {
		r.malformed(name, text)
		return nil
	}
	return b
}

// Output is a generated response of a service that speaks Query.
type Output interface {
	AppendXML(dst []byte) []byte
}

// AppendQueryResponse appends the answer of an operation in the Query
// protocol; out is nil for operations that answer nothing.
func AppendQueryResponse(dst []byte, style Style, operation, requestID string, out Output) []byte {
	dst = append(append(append(dst, `<?xml version="1.0"?><`...), operation...), `Response xmlns="`...)
	dst = append(append(dst, style.XMLNS...), `">`...)
	if out != nil {
		dst = append(append(append(dst, '<'), operation...), "Result>"...)
		dst = out.AppendXML(dst)
		dst = append(append(append(dst, "</"...), operation...), "Result>"...)
	}
	dst = append(dst, "<ResponseMetadata><RequestId>"...)
	dst = AppendXMLText(dst, requestID)
	dst = append(dst, "</RequestId></ResponseMetadata></"...)
	return append(append(dst, operation...), "Response>"...)
}
