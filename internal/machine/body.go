package machine

import "weir.dev/weir/internal/model"

// bodyOf decodes the body of a command or query, or a record that is stored
// alone. It shares memory with b.
func bodyOf[T any, P interface {
	*T
	Decode(*model.Decoder)
}](b []byte) (T, error) {
	var v T
	d := model.NewDecoder(b)
	P(&v).Decode(d)
	return v, d.Done()
}
