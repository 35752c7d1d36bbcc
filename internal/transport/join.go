package transport

import (
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"time"

	"weir.dev/weir/internal/model"
)

// JoinAsk is what a new node asks of a member.
type JoinAsk struct {
	PeerAddr string           // HOST:PORT where peers will reach it
	Body     []byte           // for the Joiner, at most 32 KiB
	Given    *Identity        // the operator's certificates; nil to be issued one
	Now      func() time.Time // time.Now when nil
}

// joinTimeout bounds a member's work on one request.
const joinTimeout = 30 * time.Second

// exporterLabel names the keying material that ties a proof to its session.
const exporterLabel = "EXPORTER-weir-join-1"

// Join asks the member at addr for admission. It returns the new node's
// identity, to be saved before anything else, and the Joiner's answer. It
// sends nothing of the request before the member has shown the authority that
// the token names, and never the token itself. A refusal is a *RemoteError or
// *model.Error. Any other error after the request was sent leaves it unknown
// whether the token was used up; a new one is needed then.
func Join(ctx context.Context, addr, token string, ask JoinAsk) (*Identity, []byte, error) {
	if ask.Now == nil {
		ask.Now = time.Now
	}
	hash, fp, err := parseToken(token)
	if err != nil {
		return nil, nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, joinTimeout+handshakeTimeout)
	defer cancel()
	raw, err := new(net.Dialer).DialContext(ctx, "tcp", addr)
	if err != nil {
		return nil, nil, fmt.Errorf("cannot join through %s: %w", addr, err)
	}
	defer func() { _ = raw.Close() }()
	defer context.AfterFunc(ctx, func() { _ = raw.Close() })()
	id, body, err := askToJoin(ctx, raw, hash, fp, &ask)
	if err != nil {
		return nil, nil, fmt.Errorf("cannot join through %s: %w", addr, err)
	}
	return id, body, nil
}

// askToJoin speaks the join protocol on a fresh socket.
func askToJoin(ctx context.Context, raw net.Conn, hash [32]byte, fp [fingerprintSize]byte, ask *JoinAsk) (*Identity, []byte, error) {
	tc := tls.Client(raw, joinConfig(fp, ask))
	if err := tc.HandshakeContext(ctx); err != nil {
		return nil, nil, err
	}
	_, key, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		return nil, nil, fmt.Errorf("cannot create node key: %w", err)
	}
	request, err := joinRequest(tc, hash, key, ask)
	if err != nil {
		return nil, nil, err
	}
	if _, err := tc.Write(appendFrame(nil, frameJoin, request)); err != nil {
		return nil, nil, err
	}
	kind, payload, err := newFrameReader(tc, maxFrameBytes).next()
	if err != nil {
		return nil, nil, err
	}
	d := model.NewDecoder(payload)
	switch kind {
	case frameFault:
		return nil, nil, decodeFault(d)
	case frameGrant:
		return readGrant(d, key, ask)
	}
	return nil, nil, errFrame
}

// joinConfig is TLS towards a member of which only the token's fingerprint is
// known.
func joinConfig(fp [fingerprintSize]byte, ask *JoinAsk) *tls.Config {
	config := &tls.Config{
		MinVersion:         tls.VersionTLS13,
		NextProtos:         []string{alpnJoin},
		InsecureSkipVerify: true, // VerifyConnection checks the authority by the token
		Time:               ask.Now,
		VerifyConnection: func(cs tls.ConnectionState) error {
			if cs.NegotiatedProtocol != alpnJoin {
				return errors.New("this is not a member's peer port")
			}
			return verifyMember(cs.PeerCertificates, fp, ask.Now())
		},
	}
	if ask.Given != nil {
		config.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) {
			return ask.Given.certificate(), nil
		}
	}
	return config
}

// verifyMember checks that a member is certified by the authority that the
// token names.
func verifyMember(certs []*x509.Certificate, fp [fingerprintSize]byte, now time.Time) error {
	roots, intermediates := x509.NewCertPool(), x509.NewCertPool()
	found := false
	for _, c := range certs {
		if fingerprint(c.Raw) == fp {
			roots.AddCert(c)
			found = true
		} else {
			intermediates.AddCert(c)
		}
	}
	if !found {
		return errors.New("the token is of another cluster: its authority is not the member's")
	}
	_, err := certs[0].Verify(x509.VerifyOptions{
		Roots: roots, Intermediates: intermediates, CurrentTime: now,
		KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	})
	if err != nil {
		return fmt.Errorf("the member's certificate is not of the token's authority: %w", err)
	}
	_, _, err = nodeOf(certs[0])
	return err
}

// joinRequest is the join frame: the proof, then what it covers.
func joinRequest(tc *tls.Conn, hash [32]byte, key ed25519.PrivateKey, ask *JoinAsk) ([]byte, error) {
	var csr []byte
	if ask.Given == nil {
		var err error
		if csr, err = x509.CreateCertificateRequest(rand.Reader, &x509.CertificateRequest{}, key); err != nil {
			return nil, fmt.Errorf("cannot create certificate request: %w", err)
		}
	}
	request := model.AppendUvarint(nil, protocolVersion)
	request = model.AppendBytes(request, csr)
	request = model.AppendString(request, ask.PeerAddr)
	request = model.AppendBytes(request, ask.Body)
	signed, err := bindToSession(tc, request)
	if err != nil {
		return nil, err
	}
	return append(joinProof(hash, signed), request...), nil
}

// bindToSession prepends what only the two ends of this TLS session know.
func bindToSession(tc *tls.Conn, request []byte) ([]byte, error) {
	cs := tc.ConnectionState()
	material, err := cs.ExportKeyingMaterial(exporterLabel, nil, 32)
	if err != nil {
		return nil, fmt.Errorf("cannot bind request to its session: %w", err)
	}
	return append(material, request...), nil
}

// readGrant makes an identity of a member's grant.
func readGrant(d *model.Decoder, key ed25519.PrivateKey, ask *JoinAsk) (*Identity, []byte, error) {
	clusterID := d.String()
	node := model.NodeID(d.Uvarint())
	authority, authorityKey, cert := d.Bytes(), d.Bytes(), d.Bytes()
	body := append([]byte(nil), d.Bytes()...)
	if d.Done() != nil {
		return nil, nil, errFrame
	}
	if ask.Given != nil {
		if clusterID != ask.Given.clusterID || node != ask.Given.node {
			return nil, nil, fmt.Errorf("the certificate is of %v in cluster %s, the grant of %v in %s", ask.Given.node, ask.Given.clusterID, node, clusterID)
		}
		return ask.Given, body, nil
	}
	if len(authorityKey) == 0 {
		return nil, nil, errors.New("the cluster's certificates are given by its operator, so this node needs one too")
	}
	caKey, err := parseKey(authorityKey)
	if err != nil {
		return nil, nil, err
	}
	id, err := newIssuedIdentity(clusterID, node, authority, caKey, key, cert, ask.Now())
	return id, body, err
}
