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

// serveJoin handles one request to join on a connection that has shown no
// certificate, or a valid one.
func (t *TCP) serveJoin(raw net.Conn, tc *tls.Conn) {
	ctx, cancel := t.timeoutContext(joinTimeout)
	defer cancel()
	late := t.opts.Clock.AfterFunc(handshakeTimeout, func() { _ = raw.Close() })
	kind, payload, err := newFrameReader(tc, maxJoinBytes).next()
	if !late.Stop() || err != nil || kind != frameJoin {
		t.turnedAway(raw, errFrame)
		return
	}
	// From here on the time is the Joiner's, which ends with ctx.
	answer, err := t.admitNode(ctx, tc, payload)
	frame := appendFrame(nil, frameGrant, answer)
	if err != nil {
		t.turnedAway(raw, err)
		frame = appendFrame(nil, frameFault, appendFault(nil, err))
	}
	defer t.opts.Clock.AfterFunc(handshakeTimeout, func() { _ = raw.Close() }).Stop()
	if _, err := tc.Write(frame); err == nil {
		linger(tc, &wire{Conn: raw})
	}
}

// admitNode has the cluster decide and certifies the new node.
func (t *TCP) admitNode(ctx context.Context, tc *tls.Conn, payload []byte) ([]byte, error) {
	if t.opts.Joiner == nil {
		return nil, errors.New("this node admits no others")
	}
	req, csr, err := t.readJoinRequest(tc, payload)
	if err != nil {
		return nil, err
	}
	if !t.enterJoin() {
		return nil, errors.New("too many nodes are joining at once; try again")
	}
	defer t.leaveJoin()
	grant, err := t.opts.Joiner.Join(ctx, req)
	if err != nil {
		return nil, err
	}
	if req.Node != 0 && grant.Node != req.Node {
		return nil, fmt.Errorf("the certificate is of %v, the grant of %v", req.Node, grant.Node)
	}
	var cert, authorityKey []byte
	if req.Node == 0 {
		if cert, err = t.id.Issue(grant.Node, csr, t.opts.Clock.Now()); err != nil {
			return nil, err
		}
		if authorityKey, err = x509.MarshalPKCS8PrivateKey(t.id.caKey); err != nil {
			return nil, fmt.Errorf("cannot hand on authority key: %w", err)
		}
	}
	answer := model.AppendString(nil, t.id.clusterID)
	answer = model.AppendUvarint(answer, uint64(grant.Node))
	answer = model.AppendBytes(answer, t.id.authorityCertificate().Raw)
	answer = model.AppendBytes(answer, authorityKey)
	answer = model.AppendBytes(answer, cert)
	return model.AppendBytes(answer, grant.Body), nil
}

// readJoinRequest decodes and checks a join frame, all but the proof, which
// only the Joiner can check. What can be refused is refused before a token is
// used up.
func (t *TCP) readJoinRequest(tc *tls.Conn, payload []byte) (*JoinRequest, []byte, error) {
	d := model.NewDecoder(payload)
	proof := d.Fixed(32)
	signed, err := bindToSession(tc, d.Rest())
	if err != nil {
		return nil, nil, err
	}
	version := d.Uvarint()
	csr := d.Bytes()
	req := &JoinRequest{PeerAddr: d.String(), Body: append([]byte(nil), d.Bytes()...), signed: signed, proof: proof}
	if d.Done() != nil || version != protocolVersion {
		return nil, nil, fmt.Errorf("the request to join is malformed, or of another version than %d", protocolVersion)
	}
	if _, _, err := net.SplitHostPort(req.PeerAddr); err != nil {
		return nil, nil, fmt.Errorf("the peer address %q is not HOST:PORT", req.PeerAddr)
	}
	certs := tc.ConnectionState().PeerCertificates
	switch {
	case len(certs) > 0:
		req.Node, err = t.id.verify(certs, x509.ExtKeyUsageClientAuth, t.opts.Clock.Now())
	case !t.id.CanIssue():
		err = errors.New("this cluster's certificates are given by its operator, so the new node needs one too")
	default:
		err = checkRequest(csr)
	}
	return req, csr, err
}

func (t *TCP) enterJoin() bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.joins >= maxJoins {
		return false
	}
	t.joins++
	return true
}

func (t *TCP) leaveJoin() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.joins--
}
