package auth

import (
	"encoding/hex"
	"slices"
	"time"
)

// Signer signs requests in the Authorization header. It belongs to one
// goroutine and allocates nothing per request once it is warm.
type Signer struct {
	accessKey       string
	secret          secret
	region, service string

	scope *scope // of the last signature's day
	s     scratch
	names [][]byte
	list  []byte
	lower []byte
	date  []byte
	all   []Header
}

// NewSigner returns a Signer for one access key, region and service (the
// signing name: "dynamodb", "sqs").
func NewSigner(accessKey, secretKey, region, service string) *Signer {
	return &Signer{accessKey: accessKey, secret: newSecret(secretKey), region: region, service: service}
}

var amzDateName = []byte("X-Amz-Date")

// Sign appends to dst two header lines, each ended by CRLF, that sign r as of
// now: X-Amz-Date and Authorization. It signs all of r.Headers, which must
// hold Host and neither of the two; r is left as it is.
func (g *Signer) Sign(dst []byte, r *Request, now time.Time) []byte {
	now = now.UTC()
	g.date = now.AppendFormat(g.date[:0], basicTime)
	if day := g.date[:8]; g.scope == nil || g.scope.date != string(day) {
		g.scope = &scope{accessKey: g.accessKey, date: string(day), region: g.region, service: g.service, known: true}
		g.scope.setKey(g.secret)
	}
	g.all = append(append(g.all[:0], r.Headers...), Header{amzDateName, g.date})
	signed := *r
	signed.Headers = g.all
	g.listNames()
	if err := g.s.readQuery(r.Query); err != nil {
		// The server refuses such a query string whatever its signature is.
		g.s.params = g.s.params[:0]
	}
	hex.Encode(g.s.hash[:], signed.BodyHash()[:])
	_ = g.s.buildCanonical(&signed, r.Path, g.list, g.s.hash[:]) // the list names only headers that are there
	copy(g.s.claim.stamp[:], g.date)
	g.s.buildStringToSign(g.scope)
	g.scope.sign(g.s.mac[:], g.s.canonical)

	dst = append(append(dst, "X-Amz-Date: "...), g.date...)
	dst = append(append(dst, "\r\nAuthorization: "+algorithm+" Credential="...), g.accessKey...)
	dst = g.scope.append(append(dst, '/'))
	dst = append(append(dst, ", SignedHeaders="...), g.list...)
	dst = hex.AppendEncode(append(dst, ", Signature="...), g.s.mac[:])
	return append(dst, "\r\n"...)
}

// listNames fills list with the sorted lower case names of g.all.
func (g *Signer) listNames() {
	size := 0
	for _, h := range g.all {
		size += len(h.Name)
	}
	g.lower, g.names, g.list = slices.Grow(g.lower[:0], size), g.names[:0], g.list[:0]
	for _, h := range g.all {
		start := len(g.lower)
		for _, c := range h.Name {
			if 'A' <= c && c <= 'Z' {
				c += 'a' - 'A'
			}
			g.lower = append(g.lower, c)
		}
		g.names = append(g.names, g.lower[start:])
	}
	slices.SortFunc(g.names, slices.Compare)
	for i, name := range g.names {
		if i > 0 {
			if slices.Equal(name, g.names[i-1]) {
				continue
			}
			g.list = append(g.list, ';')
		}
		g.list = append(g.list, name...)
	}
}
