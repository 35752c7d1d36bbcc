// Package keys is the map of the store: it makes, takes apart and prints every
// stored key.
//
// A key begins with one space byte. Data keys belong to a resource and sort by
// resource, slot and type; tablet-private keys belong to one tablet's replica.
// The layout is part of the stored format and described in
// docs/format/keys.md. The package is pure, knows no storage, and never
// panics on bytes that it did not make itself.
//
// Start with data.go for data keys, value.go for how key attributes are
// encoded, tablet.go for the tablet-private ones; String prints any of them.
package keys

// Successor returns the first byte string that is greater than every string
// that begins with prefix. It is nil, which means "no bound", when prefix is
// empty or all 0xff.
func Successor(prefix []byte) []byte {
	for i := len(prefix) - 1; i >= 0; i-- {
		if prefix[i] != 0xff {
			next := append([]byte(nil), prefix[:i+1]...)
			next[i]++
			return next
		}
	}
	return nil
}
