package transport

import (
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"os"
	"time"
)

// givenFiles are an operator's own certificates, watched for changes.
type givenFiles struct {
	cert, key, ca string
	seen          [3]time.Time // modification times of what is in use
}

// LoadGivenIdentity reads an operator's own certificates, all PEM: this node's
// certificate (with intermediate ones behind it), its key, and the authority's
// certificate, the first of the file when there are several. The node's
// certificate names it in a URI of the form weir://CLUSTER/NODE, for client
// and server use.
func LoadGivenIdentity(certFile, keyFile, caFile string) (*Identity, error) {
	files := &givenFiles{cert: certFile, key: keyFile, ca: caFile}
	leaf, authority, pool, err := files.read()
	if err != nil {
		return nil, err
	}
	cluster, node, err := nodeOf(leaf.Leaf)
	if err != nil {
		return nil, fmt.Errorf("cannot use certificate %s: %w", certFile, err)
	}
	return &Identity{clusterID: cluster, node: node, authority: authority, given: files, leaf: leaf, pool: pool}, nil
}

// read loads the files and notes how old they are.
func (g *givenFiles) read() (*tls.Certificate, *x509.Certificate, *x509.CertPool, error) {
	seen, err := g.modified()
	if err != nil {
		return nil, nil, nil, err
	}
	leaf, err := tls.LoadX509KeyPair(g.cert, g.key)
	if err != nil {
		return nil, nil, nil, fmt.Errorf("cannot load node certificate: %w", err)
	}
	text, err := os.ReadFile(g.ca)
	if err != nil {
		return nil, nil, nil, fmt.Errorf("cannot load authority certificate: %w", err)
	}
	authorities, err := parseCertificates(text)
	if err != nil || len(authorities) == 0 {
		return nil, nil, nil, fmt.Errorf("cannot load authority certificate %s: no certificate in it (%v)", g.ca, err)
	}
	pool := x509.NewCertPool()
	for _, c := range authorities {
		pool.AddCert(c)
	}
	// A joining node checks the authority by its fingerprint, so it is shown too.
	leaf.Certificate = append(leaf.Certificate, authorities[0].Raw)
	g.seen = seen
	return &leaf, authorities[0], pool, nil
}

func (g *givenFiles) modified() (times [3]time.Time, err error) {
	for i, name := range []string{g.cert, g.key, g.ca} {
		info, err := os.Stat(name)
		if err != nil {
			return times, fmt.Errorf("cannot find certificate file: %w", err)
		}
		times[i] = info.ModTime()
	}
	return times, nil
}

// reloadGiven takes up changed files; the node and cluster must stay the same.
func (id *Identity) reloadGiven() error {
	id.mu.Lock()
	defer id.mu.Unlock()
	now, err := id.given.modified()
	if err != nil || now == id.given.seen {
		return err
	}
	leaf, authority, pool, err := id.given.read()
	if err != nil {
		return err
	}
	cluster, node, err := nodeOf(leaf.Leaf)
	if err == nil && (cluster != id.clusterID || node != id.node) {
		err = errors.New("it is of another node or cluster")
	}
	if err != nil {
		return fmt.Errorf("cannot use changed certificate %s: %w", id.given.cert, err)
	}
	id.leaf, id.authority, id.pool = leaf, authority, pool
	return nil
}

// parseCertificates returns the certificates of a PEM text, in order.
func parseCertificates(text []byte) (certs []*x509.Certificate, err error) {
	for {
		var block *pem.Block
		if block, text = pem.Decode(text); block == nil {
			return certs, nil
		}
		if block.Type != "CERTIFICATE" {
			continue
		}
		c, err := x509.ParseCertificate(block.Bytes)
		if err != nil {
			return nil, err
		}
		certs = append(certs, c)
	}
}
