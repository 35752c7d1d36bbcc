package transport

import (
	"context"
	"crypto/hmac"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"

	"weir.dev/weir/internal/model"
)

// Joiner decides who may join. The cluster implements it.
type Joiner interface {
	// Join handles one request to join; it runs on a goroutine of its own, may
	// block and must end with ctx. It looks for an unused, unexpired token in
	// the catalog for which req.Proves holds, uses the token up, and adds the
	// node to the catalog, all in one command. The returned error's text is
	// shown to the joining node, so a failed proof says no more than that the
	// token is not valid.
	Join(ctx context.Context, req *JoinRequest) (*JoinGrant, error)
}

// JoinRequest is what a joining node asks, as the member sees it.
type JoinRequest struct {
	// Node is the id in the joining node's certificate when the operator gave
	// certificates; zero otherwise: the Joiner chooses a fresh id.
	Node     model.NodeID
	PeerAddr string // HOST:PORT where the joining node says that peers reach it
	Body     []byte // the cluster's own

	signed []byte // what the proof covers
	proof  []byte
}

// Proves reports whether the joining node holds the token with that hash. The
// proof covers this TLS session and the request, so it cannot be replayed or
// carried over.
func (r *JoinRequest) Proves(tokenHash [32]byte) bool {
	return hmac.Equal(r.proof, joinProof(tokenHash, r.signed))
}

// JoinGrant is a Joiner's consent.
type JoinGrant struct {
	Node model.NodeID // the new node's id; equal to the request's when that is not zero
	Body []byte       // the cluster's own, such as the members' addresses
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
