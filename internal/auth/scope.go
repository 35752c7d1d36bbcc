package auth

import (
	"crypto/hmac"
	"crypto/sha256"
	"hash"
	"strings"
	"sync"
)

// maxScopes bounds each of the two generations of a scopeCache: a key, date,
// region and service each; a busy server has a handful.
const maxScopes = 1024

// scope is a credential as requests name it, taken apart, with the signing key
// derived for it. It does not change.
type scope struct {
	accessKey, principal  string
	date, region, service string
	known                 bool // the access key has a secret here
	macs                  sync.Pool
}

// newScope takes a credential apart: id/date/region/service/aws4_request. The
// result has no signing key yet.
func newScope(credential []byte) (*scope, error) {
	if len(credential) > maxCredentialBytes {
		return nil, incomplete("Credential is longer than %d bytes.", maxCredentialBytes)
	}
	parts := strings.Split(string(credential), "/")
	if len(parts) != 5 {
		return nil, incomplete("Credential must have exactly 5 slash-delimited elements, e.g. keyid/date/region/service/term, got '%s'", shown(credential))
	}
	for _, part := range parts {
		if part == "" || strings.ContainsFunc(part, notVisible) {
			return nil, incomplete("Credential must have exactly 5 slash-delimited elements, e.g. keyid/date/region/service/term, got '%s'", shown(credential))
		}
	}
	if parts[4] != "aws4_request" {
		return nil, invalid("Credential should be scoped with a valid terminator: 'aws4_request', not '%s'.", shown([]byte(parts[4])))
	}
	return &scope{accessKey: parts[0], date: parts[1], region: parts[2], service: parts[3]}, nil
}

// setKey derives the scope's signing key.
func (sc *scope) setKey(k secret) {
	signingKey := deriveKey(*k.text, sc.date, sc.region, sc.service)
	sc.macs.New = func() any { return hmac.New(sha256.New, signingKey) }
}

// sign writes the MAC of message into mac.
func (sc *scope) sign(mac, message []byte) {
	h := sc.macs.Get().(hash.Hash)
	h.Reset()
	h.Write(message)
	h.Sum(mac[:0])
	sc.macs.Put(h)
}

// deriveKey derives the signing key of a date, region and service from a
// secret access key.
func deriveKey(secretKey, date, region, service string) []byte {
	k := []byte("AWS4" + secretKey)
	for _, part := range []string{date, region, service, "aws4_request"} {
		h := hmac.New(sha256.New, k)
		h.Write([]byte(part))
		k = h.Sum(nil)
	}
	return k
}

// dummy takes the place of an unknown access key's scope, so that refusing it
// takes about as long as refusing a wrong signature.
var dummy = func() *scope {
	sc := &scope{date: "20000101", region: "nowhere", service: "none"}
	sc.setKey(newSecret("no such secret"))
	return sc
}()

// scopeCache remembers scopes by the credential's bytes. When the young
// generation is full it becomes the old one, and the old one is forgotten, so
// that the cache is bounded and scopes in use stay.
type scopeCache struct {
	mu         sync.RWMutex // guards young and old
	young, old map[string]*scope
}

func (c *scopeCache) get(credential []byte) *scope {
	c.mu.RLock()
	sc, ok := c.young[string(credential)]
	if !ok {
		sc = c.old[string(credential)]
	}
	c.mu.RUnlock()
	if !ok && sc != nil {
		c.put(credential, sc)
	}
	return sc
}

func (c *scopeCache) put(credential []byte, sc *scope) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(c.young) >= maxScopes {
		c.old, c.young = c.young, nil
	}
	if c.young == nil {
		c.young = make(map[string]*scope)
	}
	c.young[string(credential)] = sc
}
