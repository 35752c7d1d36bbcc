package transport

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"time"
)

// handRegion gives a connection of another region to whoever serves those.
func (t *TCP) handRegion(tc *tls.Conn) {
	if t.opts.Region == nil {
		_ = tc.Close()
		return
	}
	t.opts.Region(plainConn{tc})
}

// plainConn hides that a connection is TLS: net/http serves no protocol of ours
// on those.
type plainConn struct{ net.Conn }

// NewLinkToken makes a token with which another region may open a link to this
// one. It has the form of a join token and another beginning, and lets nobody
// join.
func (id *Identity) NewLinkToken() (text string, hash [32]byte) {
	text, hash = id.NewToken()
	return linkPrefix + text[len(tokenPrefix):], hash
}

// Authority is the fingerprint by which tokens name the authority of this
// cluster's certificates.
func (id *Identity) Authority() [16]byte { return fingerprint(id.authorityCertificate().Raw) }

const linkPrefix = "weirlink1-"

// ParseLinkToken returns the hash of a link token's secret and the fingerprint
// of the authority that its region's certificates are expected to be of.
func ParseLinkToken(text string) (hash [32]byte, authority [16]byte, err error) {
	if len(text) < len(linkPrefix) || text[:len(linkPrefix)] != linkPrefix {
		return hash, authority, errBadLinkToken
	}
	if hash, authority, err = parseToken(tokenPrefix + text[len(linkPrefix):]); err != nil {
		return hash, authority, errBadLinkToken
	}
	return hash, authority, nil
}

var errBadLinkToken = errors.New("the token is malformed: it looks like " + linkPrefix + "… and is shown once, by weir region token in the other region")

// DialRegion connects to the peer port of another region, whose certificates
// must be of the authority with that fingerprint. What the caller then says can
// be read there and nowhere else.
func DialRegion(ctx context.Context, addr string, authority [16]byte, now func() time.Time) (net.Conn, error) {
	raw, err := new(net.Dialer).DialContext(ctx, "tcp", addr)
	if err != nil {
		return nil, err
	}
	tc := tls.Client(raw, &tls.Config{
		MinVersion:         tls.VersionTLS13,
		NextProtos:         []string{alpnRegion},
		InsecureSkipVerify: true, // VerifyConnection checks the authority by its fingerprint
		Time:               now,
		VerifyConnection: func(cs tls.ConnectionState) error {
			if cs.NegotiatedProtocol != alpnRegion {
				return errors.New("this is not a peer port of Weir")
			}
			return verifyMember(cs.PeerCertificates, authority, now())
		},
	})
	if err := tc.HandshakeContext(ctx); err != nil {
		_ = raw.Close()
		return nil, fmt.Errorf("cannot trust %s: %w", addr, err)
	}
	return tc, nil
}
