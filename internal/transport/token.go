package transport

import (
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base32"
	"errors"
	"strings"
)

// A join token is "weir1-" and the base32 form, in lower case and without
// padding, of 16 secret bytes followed by the first 16 bytes of the SHA-256 of
// the authority's certificate: what the joining node proves, and what it
// expects of the member it dials.
const (
	tokenPrefix     = "weir1-"
	secretBytes     = 16
	fingerprintSize = 16
)

var tokenEncoding = base32.StdEncoding.WithPadding(base32.NoPadding)

var errBadToken = errors.New("the join token is malformed: it looks like weir1-… and is shown once, by the member that created it")

// NewToken makes a join token. text goes to the operator and is not kept; hash
// goes into the catalog (model.JoinToken.Hash).
func (id *Identity) NewToken() (text string, hash [32]byte) {
	var raw [secretBytes + fingerprintSize]byte
	_, _ = rand.Read(raw[:secretBytes]) // crypto/rand.Read never fails: it ends the process instead
	fp := fingerprint(id.authorityCertificate().Raw)
	copy(raw[secretBytes:], fp[:])
	return tokenPrefix + strings.ToLower(tokenEncoding.EncodeToString(raw[:])), sha256.Sum256(raw[:secretBytes])
}

// parseToken returns the hash of a token's secret and the fingerprint of the
// authority.
func parseToken(text string) (hash [32]byte, fp [fingerprintSize]byte, err error) {
	digits, ok := strings.CutPrefix(strings.ToLower(strings.TrimSpace(text)), tokenPrefix)
	raw, derr := tokenEncoding.DecodeString(strings.ToUpper(digits))
	if !ok || derr != nil || len(raw) != secretBytes+fingerprintSize {
		return hash, fp, errBadToken
	}
	copy(fp[:], raw[secretBytes:])
	return sha256.Sum256(raw[:secretBytes]), fp, nil
}

// fingerprint is how a token names an authority.
func fingerprint(certDER []byte) (fp [fingerprintSize]byte) {
	sum := sha256.Sum256(certDER)
	copy(fp[:], sum[:])
	return fp
}

// joinProof shows knowledge of a token's secret without sending it. The key is
// the secret's hash, because that is all the catalog has.
func joinProof(tokenHash [32]byte, signed []byte) []byte {
	mac := hmac.New(sha256.New, tokenHash[:])
	mac.Write([]byte("weir join 1\x00"))
	mac.Write(signed)
	return mac.Sum(nil)
}
