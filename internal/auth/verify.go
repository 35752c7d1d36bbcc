package auth

import (
	"bytes"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"time"
)

// Values of X-Amz-Content-Sha256 that are not a hash.
const (
	unsignedPayload  = "UNSIGNED-PAYLOAD"
	streamingPayload = "STREAMING-"
)

// Verify tells who sent the request. service is the signing name of the
// service that the request is for ("dynamodb", "sqs"), or "" for any.
//
// A request with any credential is verified; an open Verifier lets only those
// through unverified that have no credential, or a well-formed one of an
// unknown access key. Errors are *Error. Nothing of r is kept.
func (v *Verifier) Verify(r *Request, service string) (Identity, error) {
	s := scratches.Get().(*scratch)
	defer s.release()
	ok, err := s.read(r)
	if err != nil {
		return Identity{}, err
	}
	// Whether it is signed or not, a body in signed chunks is not the body that
	// the client meant.
	if bytes.HasPrefix(s.claim.contentHash, []byte(streamingPayload)) {
		return Identity{}, errStreaming
	}
	if !ok {
		if v.cfg.Open {
			return Identity{}, nil
		}
		return Identity{}, errMissingToken
	}
	sc, fresh, err := v.scope(s.claim.credential)
	if err != nil {
		return Identity{}, err
	}
	if !sc.known && v.cfg.Open {
		if fresh {
			v.scopes.put(s.claim.credential, sc)
		}
		return Identity{AccessKey: sc.accessKey, Region: sc.region, Service: sc.service}, nil
	}
	if !sc.known {
		_ = v.verify(s, r, dummy)
		return Identity{}, errUnknownKey
	}
	if err := v.check(&s.claim, sc, service); err != nil {
		return Identity{}, err
	}
	if err := v.verify(s, r, sc); err != nil {
		return Identity{}, err
	}
	// Only what was verified enters the cache: nobody without a secret can push
	// out the keys in use.
	if fresh {
		v.scopes.put(s.claim.credential, sc)
	}
	return Identity{AccessKey: sc.accessKey, Principal: sc.principal, Region: sc.region, Service: sc.service, Verified: true}, nil
}

// scope finds or makes a credential's scope; fresh says that it was made.
func (v *Verifier) scope(credential []byte) (sc *scope, fresh bool, err error) {
	if sc := v.scopes.get(credential); sc != nil {
		return sc, false, nil
	}
	sc, err = newScope(credential)
	if err != nil {
		return nil, false, err
	}
	if k, ok := v.cfg.Keys.lookup([]byte(sc.accessKey)); ok {
		sc.known, sc.principal = true, k.principal
		sc.setKey(k.secret)
	}
	return sc, true, nil
}

// check compares the claim's scope and time with what is expected.
func (v *Verifier) check(c *claim, sc *scope, service string) error {
	var ok bool
	if c.time, ok = parseTime(c.date); !ok {
		return incomplete("Date must be in ISO-8601 'basic format'. Got '%s'. See http://en.wikipedia.org/wiki/ISO_8601", shown(c.date))
	}
	if v.cfg.Region != "" && sc.region != v.cfg.Region {
		return invalid("Credential should be scoped to a valid region, not '%s'. ", shown([]byte(sc.region)))
	}
	if service != "" && sc.service != service {
		return invalid("Credential should be scoped to correct service: '%s'. ", service)
	}
	c.setStamp()
	if string(c.stamp[:8]) != sc.date {
		return invalid("Date in Credential scope does not match YYYYMMDD from ISO-8601 version of date from HTTP: '%s' != '%s', from '%s'.",
			shown([]byte(sc.date)), c.time.Format(basicTime[:8]), c.time.Format(basicTime))
	}
	return v.checkTime(c)
}

func (v *Verifier) checkTime(c *claim) error {
	now := v.cfg.Clock.Now().UTC()
	valid := v.cfg.Skew
	if c.presigned {
		var err error
		if valid, err = parseExpires(c.expires); err != nil {
			return err
		}
	}
	if now.Sub(c.time) > valid {
		return invalid("Signature expired: %s is now earlier than %s (%s - %s.)",
			c.time.Format(basicTime), now.Add(-valid).Format(basicTime), now.Format(basicTime), spoken(valid))
	}
	if c.time.Sub(now) > v.cfg.Skew {
		return invalid("Signature not yet current: %s is still later than %s (%s + %s.)",
			c.time.Format(basicTime), now.Add(v.cfg.Skew).Format(basicTime), now.Format(basicTime), spoken(v.cfg.Skew))
	}
	return nil
}

func parseExpires(b []byte) (time.Duration, error) {
	if b == nil {
		return DefaultExpires, nil
	}
	seconds := 0
	for _, c := range b {
		if c < '0' || c > '9' || len(b) > 6 {
			return 0, errExpiresRange
		}
		seconds = seconds*10 + int(c-'0')
	}
	d := time.Duration(seconds) * time.Second
	if d < time.Second || d > MaxExpires {
		return 0, errExpiresRange
	}
	return d, nil
}

func spoken(d time.Duration) string {
	if d%time.Minute == 0 {
		return fmt.Sprintf("%d min", d/time.Minute)
	}
	return fmt.Sprintf("%d sec", d/time.Second)
}

// verify computes the signature and compares it.
func (v *Verifier) verify(s *scratch, r *Request, sc *scope) error {
	c := &s.claim
	if err := checkSigned(r, c.signedHeaders); err != nil {
		return err
	}
	payload, err := v.payload(s, r)
	if err != nil {
		return err
	}
	if err := s.buildCanonical(r, r.Path, c.signedHeaders, payload); err != nil {
		return err
	}
	if s.matches(sc) {
		return nil
	}
	// Clients disagree on whether a path with empty or dot segments is
	// normalized before it is signed (botocore does, the Go SDK does not), so
	// either form is taken. Both name what is on the request line.
	normal := normalPath(r.Path)
	if bytes.Equal(normal, r.Path) {
		return errMismatch
	}
	if err := s.buildCanonical(r, normal, c.signedHeaders, payload); err != nil {
		return err
	}
	if !s.matches(sc) {
		return errMismatch
	}
	return nil
}

// payload is the last line of the canonical request. The body is always hashed
// here; a hash that the client sends must be the same.
func (v *Verifier) payload(s *scratch, r *Request) ([]byte, error) {
	sent := s.claim.contentHash
	if string(sent) == unsignedPayload {
		if !v.cfg.AllowUnsignedPayload || !r.TLS {
			return nil, errUnsigned
		}
		return sent, nil
	}
	hex.Encode(s.hash[:], r.BodyHash()[:])
	if sent != nil && !bytes.Equal(trim(sent), s.hash[:]) {
		return nil, errMismatch
	}
	return s.hash[:], nil
}

// matches compares the claim's signature with that of the canonical request,
// in a time that does not depend on where they differ.
func (s *scratch) matches(sc *scope) bool {
	var computed [2 * sha256.Size]byte
	s.buildStringToSign(sc)
	sc.sign(s.mac[:], s.canonical)
	hex.Encode(computed[:], s.mac[:])
	return hmac.Equal(computed[:], s.claim.signature) && sc.known
}

// buildStringToSign replaces the canonical request by the string to sign.
func (s *scratch) buildStringToSign(sc *scope) {
	sum := sha256.Sum256(s.canonical)
	s.canonical = appendStringToSign(s.canonical[:0], s.claim.stamp[:], sc)
	s.canonical = hex.AppendEncode(s.canonical, sum[:])
}

func appendStringToSign(dst, stamp []byte, sc *scope) []byte {
	dst = append(dst, algorithm+"\n"...)
	dst = append(dst, stamp...)
	dst = append(dst, '\n')
	dst = sc.append(dst)
	return append(dst, '\n')
}

// append appends the credential scope: date/region/service/aws4_request.
func (sc *scope) append(dst []byte) []byte {
	dst = append(append(dst, sc.date...), '/')
	dst = append(append(dst, sc.region...), '/')
	dst = append(append(dst, sc.service...), '/')
	return append(dst, "aws4_request"...)
}
