package auth

import (
	"fmt"
	"strings"
)

// Bounds on configured keys.
const (
	MaxKeys        = 10_000 // one process's access keys; looked up in a map, so this only bounds a mistake
	maxKeyIDBytes  = 128
	maxSecretBytes = 256
)

// secret is a secret access key. It prints as a placeholder or an address
// however it is printed, so that no log or error shows it: fmt calls no method
// on what it reaches through unexported fields, but follows no pointer there.
type secret struct{ text *string }

func newSecret(text string) secret { return secret{&text} }

// String implements fmt.Stringer.
func (secret) String() string { return "[secret]" }

// GoString implements fmt.GoStringer.
func (secret) GoString() string { return "[secret]" }

// MarshalText implements encoding.TextMarshaler, which slog and JSON use.
func (secret) MarshalText() ([]byte, error) { return []byte("[secret]"), nil }

type key struct {
	principal string
	secret    secret
}

// Keys holds access keys: which secret an access key id signs with, and which
// principal it stands for. It is filled before use and then only read, from any
// goroutine.
type Keys struct {
	byID map[string]key
}

// NewKeys returns an empty store.
func NewKeys() *Keys { return &Keys{byID: make(map[string]key)} }

// Len is the number of access keys; a nil Keys has none.
func (k *Keys) Len() int {
	if k == nil {
		return 0
	}
	return len(k.byID)
}

// Add adds an access key for a principal. It refuses ids and secrets that are
// empty, too long or hold white space, control characters or (ids) a colon or
// slash, and an id that is already there. Its errors name no secret.
func (k *Keys) Add(id, secretKey, principal string) error {
	switch _, exists := k.byID[id]; {
	case id == "" || len(id) > maxKeyIDBytes || strings.ContainsFunc(id, notInID):
		return fmt.Errorf("cannot add access key: the id must have 1 to %d visible ASCII characters and no colon, slash or comma", maxKeyIDBytes)
	case secretKey == "" || len(secretKey) > maxSecretBytes || strings.ContainsFunc(secretKey, notVisible):
		return fmt.Errorf("cannot add access key %s: the secret must have 1 to %d visible ASCII characters", id, maxSecretBytes)
	case exists:
		return fmt.Errorf("cannot add access key %s: it is there already", id)
	case len(k.byID) >= MaxKeys:
		return fmt.Errorf("cannot add access key %s: there are %d already, which is the limit", id, MaxKeys)
	}
	k.byID[id] = key{principal: principal, secret: newSecret(secretKey)}
	return nil
}

// lookup finds a key. It allocates nothing.
func (k *Keys) lookup(id []byte) (key, bool) {
	if k == nil {
		return key{}, false
	}
	found, ok := k.byID[string(id)]
	return found, ok
}

// ParseKeys reads one access key per line as ID:SECRET. Empty lines and lines
// that begin with # are skipped. The id is the principal. Errors name the line,
// never what it holds.
func ParseKeys(text string) (*Keys, error) {
	keys := NewKeys()
	number := 0
	for line := range strings.Lines(text) {
		number++
		line = strings.TrimSpace(line)
		if line == "" || line[0] == '#' {
			continue
		}
		id, secretKey, ok := strings.Cut(line, ":")
		if !ok {
			return nil, fmt.Errorf("cannot read keys: line %d is not of the form ID:SECRET", number)
		}
		id = strings.TrimSpace(id)
		if err := keys.Add(id, strings.TrimSpace(secretKey), id); err != nil {
			return nil, fmt.Errorf("cannot read keys: line %d: %w", number, err)
		}
	}
	return keys, nil
}

func notVisible(r rune) bool { return r <= ' ' || r > '~' }

func notInID(r rune) bool { return notVisible(r) || r == ':' || r == '/' || r == ',' }
