package awsapi

import (
	"slices"
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
