package transport

import (
	"crypto"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"errors"
	"fmt"
	"math/big"
	"net/url"
	"strconv"
	"strings"
	"sync"
	"time"

	"weir.dev/weir/internal/model"
)

// Identity is a node's place in a cluster as certificates tell it: its own
// certificate and key, the cluster's authority, and, unless the operator gave
// certificates, the authority's key, with which it admits further nodes and
// renews its own certificate. Safe for use by several goroutines.
type Identity struct {
	clusterID string
	node      model.NodeID
	caKey     crypto.Signer // nil when the operator gave certificates
	given     *givenFiles   // nil unless the operator gave certificates

	mu        sync.Mutex        // guards what follows
	authority *x509.Certificate // the one whose fingerprint tokens carry
	leaf      *tls.Certificate  // node certificate, then authority
	pool      *x509.CertPool    // authorities that peers may be certified by
}

const (
	authorityLifetime = 50 * 365 * 24 * time.Hour
	// A node renews its certificate itself, at start and once a day, when less
	// than renewBelow of its life is left.
	leafLifetime = 365 * 24 * time.Hour
	renewBelow   = leafLifetime * 2 / 3
)

// issuedNotBefore is when every certificate that Weir issues becomes valid:
// long ago, because an earlier date protects nobody and a node whose clock is
// behind must not be locked out.
var issuedNotBefore = time.Date(2000, 1, 1, 0, 0, 0, 0, time.UTC)

// NewIdentity creates a cluster's authority and the certificate of its first
// node. clusterID is 32 lower-case hex digits.
func NewIdentity(clusterID string, node model.NodeID, now time.Time) (*Identity, error) {
	if !validClusterID(clusterID) || node == 0 {
		return nil, fmt.Errorf("cannot create identity: %q, %v is not a cluster and node id", clusterID, node)
	}
	_, caKey, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		return nil, fmt.Errorf("cannot create authority key: %w", err)
	}
	template := &x509.Certificate{
		SerialNumber:          newSerial(),
		Subject:               pkix.Name{CommonName: "weir cluster " + clusterID},
		NotBefore:             issuedNotBefore,
		NotAfter:              now.Add(authorityLifetime),
		KeyUsage:              x509.KeyUsageCertSign | x509.KeyUsageDigitalSignature,
		BasicConstraintsValid: true,
		IsCA:                  true,
		MaxPathLenZero:        true,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, caKey.Public(), caKey)
	if err != nil {
		return nil, fmt.Errorf("cannot create authority: %w", err)
	}
	_, key, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		return nil, fmt.Errorf("cannot create node key: %w", err)
	}
	return newIssuedIdentity(clusterID, node, der, caKey, key, nil, now)
}

// newIssuedIdentity puts an identity together whose authority's key is known.
// leafDER is nil to have a certificate issued.
func newIssuedIdentity(clusterID string, node model.NodeID, caDER []byte, caKey, key crypto.Signer, leafDER []byte, now time.Time) (*Identity, error) {
	authority, err := x509.ParseCertificate(caDER)
	if err != nil {
		return nil, fmt.Errorf("cannot read authority certificate: %w", err)
	}
	if !samePublicKey(authority.PublicKey, caKey.Public()) {
		return nil, errors.New("cannot use authority: its key and its certificate do not belong together")
	}
	id := &Identity{clusterID: clusterID, node: node, authority: authority, caKey: caKey, pool: x509.NewCertPool()}
	id.pool.AddCert(authority)
	if leafDER == nil {
		if leafDER, err = id.sign(node, key.Public(), now); err != nil {
			return nil, err
		}
	}
	if err := id.setLeaf(leafDER, key); err != nil {
		return nil, err
	}
	return id, id.Renew(now)
}

// setLeaf makes leafDER the certificate that this node shows.
func (id *Identity) setLeaf(leafDER []byte, key crypto.Signer) error {
	leaf, err := x509.ParseCertificate(leafDER)
	if err != nil {
		return fmt.Errorf("cannot read node certificate: %w", err)
	}
	cluster, node, err := nodeOf(leaf)
	if err != nil {
		return fmt.Errorf("cannot use node certificate: %w", err)
	}
	if cluster != id.clusterID || node != id.node {
		return fmt.Errorf("cannot use node certificate: it is of node %v in cluster %s, not of %v in %s", node, cluster, id.node, id.clusterID)
	}
	if !samePublicKey(leaf.PublicKey, key.Public()) {
		return errors.New("cannot use node certificate: it is not of this node's key")
	}
	authority := id.authorityCertificate()
	id.mu.Lock()
	defer id.mu.Unlock()
	id.leaf = &tls.Certificate{Certificate: [][]byte{leafDER, authority.Raw}, PrivateKey: key, Leaf: leaf}
	return nil
}

// ClusterID is the cluster's id, 32 hex digits.
func (id *Identity) ClusterID() string { return id.clusterID }

// Node is this node's id.
func (id *Identity) Node() model.NodeID { return id.node }

// CanIssue reports whether this node can certify other nodes; it cannot when
// the operator gave certificates.
func (id *Identity) CanIssue() bool { return id.caKey != nil }

// ExpiresAt is when this node's certificate expires, for metrics and warnings.
func (id *Identity) ExpiresAt() time.Time { return id.certificate().Leaf.NotAfter }

// Renew issues a new certificate for this node when the present one has used
// up a third of its life, or, when the operator gave certificates, reads them
// again when the files have changed. Connections made from then on use it. A
// transport calls it about once a minute; an error leaves the old one in use.
func (id *Identity) Renew(now time.Time) error {
	if id.given != nil {
		return id.reloadGiven()
	}
	leaf := id.certificate()
	if leaf.Leaf.NotAfter.Sub(now) > renewBelow {
		return nil
	}
	key := leaf.PrivateKey.(crypto.Signer)
	der, err := id.sign(id.node, key.Public(), now)
	if err != nil {
		return fmt.Errorf("cannot renew node certificate: %w", err)
	}
	return id.setLeaf(der, key)
}

// certificate is what this node shows to a peer.
func (id *Identity) certificate() *tls.Certificate {
	id.mu.Lock()
	defer id.mu.Unlock()
	return id.leaf
}

func (id *Identity) authorityCertificate() *x509.Certificate {
	id.mu.Lock()
	defer id.mu.Unlock()
	return id.authority
}

func (id *Identity) authorities() *x509.CertPool {
	id.mu.Lock()
	defer id.mu.Unlock()
	return id.pool
}

// Issue certifies another node for the public key in a PKCS #10 request, of
// which nothing else is used.
func (id *Identity) Issue(node model.NodeID, csrDER []byte, now time.Time) ([]byte, error) {
	if !id.CanIssue() {
		return nil, errors.New("cannot issue certificate: this cluster's certificates are given by the operator")
	}
	csr, err := x509.ParseCertificateRequest(csrDER)
	if err != nil {
		return nil, fmt.Errorf("cannot read certificate request: %w", err)
	}
	if err := csr.CheckSignature(); err != nil {
		return nil, fmt.Errorf("cannot accept certificate request: %w", err)
	}
	return id.sign(node, csr.PublicKey, now)
}

func (id *Identity) sign(node model.NodeID, pub crypto.PublicKey, now time.Time) ([]byte, error) {
	template := &x509.Certificate{
		SerialNumber: newSerial(),
		Subject:      pkix.Name{CommonName: node.String()},
		NotBefore:    issuedNotBefore,
		NotAfter:     now.Add(leafLifetime),
		KeyUsage:     x509.KeyUsageDigitalSignature,
		ExtKeyUsage:  []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth, x509.ExtKeyUsageServerAuth},
		URIs:         []*url.URL{nodeURI(id.clusterID, node)},
	}
	der, err := x509.CreateCertificate(rand.Reader, template, id.authorityCertificate(), pub, id.caKey)
	if err != nil {
		return nil, fmt.Errorf("cannot sign certificate of %v: %w", node, err)
	}
	return der, nil
}

// nodeURI is the subject alternative name that names a node:
// weir://CLUSTER/NODE, as in weir://0123…ef/n00000000000000ff.
func nodeURI(clusterID string, node model.NodeID) *url.URL {
	return &url.URL{Scheme: "weir", Host: clusterID, Path: "/" + node.String()}
}

// nodeOf reads the one weir:// name of a certificate.
func nodeOf(cert *x509.Certificate) (clusterID string, node model.NodeID, err error) {
	found := 0
	for _, uri := range cert.URIs {
		if uri.Scheme != "weir" {
			continue
		}
		found++
		digits, ok := strings.CutPrefix(uri.Path, "/n")
		n, perr := strconv.ParseUint(digits, 16, 64)
		node = model.NodeID(n)
		clusterID = uri.Host
		if !ok || perr != nil || n == 0 || !validClusterID(clusterID) || *uri != *nodeURI(clusterID, node) {
			return "", 0, fmt.Errorf("malformed node name %q", uri)
		}
	}
	if found != 1 {
		return "", 0, fmt.Errorf("the certificate has %d names of the form weir://CLUSTER/NODE, not one", found)
	}
	return clusterID, node, nil
}

func validClusterID(s string) bool {
	if len(s) != 32 {
		return false
	}
	for _, c := range s {
		if (c < '0' || c > '9') && (c < 'a' || c > 'f') {
			return false
		}
	}
	return true
}

func newSerial() *big.Int {
	var b [16]byte
	_, _ = rand.Read(b[:]) // crypto/rand.Read never fails: it ends the process instead
	b[0] &= 0x7f
	b[0] |= 0x40 // positive, and never shorter than 16 bytes
	return new(big.Int).SetBytes(b[:])
}

func samePublicKey(a, b crypto.PublicKey) bool {
	eq, ok := a.(interface{ Equal(crypto.PublicKey) bool })
	return ok && eq.Equal(b)
}
