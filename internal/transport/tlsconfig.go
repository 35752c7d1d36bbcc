package transport

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"time"

	"weir.dev/weir/internal/model"
)

// The protocols on the peer port, told apart by ALPN. Only the first one needs a
// certificate; the second has the join token instead, the third the key of a
// link between regions.
const (
	alpnPeer   = "weir-peer/1"
	alpnJoin   = "weir-join/1"
	alpnRegion = "weir-region/1"
)

var errNoCertificate = errors.New("the peer shows no certificate")

// serverConfig is the accepting side's TLS: 1.3 only, no session resumption
// (each connection proves its certificate anew).
func (id *Identity) serverConfig(now func() time.Time) *tls.Config {
	return &tls.Config{
		MinVersion:                  tls.VersionTLS13,
		NextProtos:                  []string{alpnPeer, alpnJoin, alpnRegion},
		ClientAuth:                  tls.RequestClientCert,
		SessionTicketsDisabled:      true,
		DynamicRecordSizingDisabled: true,
		Time:                        now,
		GetCertificate:              func(*tls.ClientHelloInfo) (*tls.Certificate, error) { return id.certificate(), nil },
		VerifyConnection: func(cs tls.ConnectionState) error {
			switch {
			case cs.NegotiatedProtocol == alpnJoin && len(cs.PeerCertificates) == 0, cs.NegotiatedProtocol == alpnRegion:
				return nil
			case cs.NegotiatedProtocol != alpnPeer && cs.NegotiatedProtocol != alpnJoin:
				return errors.New("the peer does not speak Weir's protocol")
			}
			_, err := id.verify(cs.PeerCertificates, x509.ExtKeyUsageClientAuth, now())
			return err
		},
	}
}

// clientConfig is the dialling side's TLS to a certain node.
func (id *Identity) clientConfig(to model.NodeID, now func() time.Time) *tls.Config {
	return &tls.Config{
		MinVersion:                  tls.VersionTLS13,
		NextProtos:                  []string{alpnPeer},
		InsecureSkipVerify:          true, // host names mean nothing here: VerifyConnection checks authority and node
		DynamicRecordSizingDisabled: true,
		Time:                        now,
		GetClientCertificate:        func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return id.certificate(), nil },
		VerifyConnection: func(cs tls.ConnectionState) error {
			node, err := id.verify(cs.PeerCertificates, x509.ExtKeyUsageServerAuth, now())
			if err == nil && node != to {
				err = fmt.Errorf("node %v answers at the address of %v", node, to)
			}
			return err
		},
	}
}

// verify checks a peer's certificates against the authorities and returns the
// node that they name.
func (id *Identity) verify(certs []*x509.Certificate, usage x509.ExtKeyUsage, now time.Time) (model.NodeID, error) {
	if len(certs) == 0 {
		return 0, errNoCertificate
	}
	intermediates := x509.NewCertPool()
	for _, c := range certs[1:] {
		intermediates.AddCert(c)
	}
	_, err := certs[0].Verify(x509.VerifyOptions{
		Roots:         id.authorities(),
		Intermediates: intermediates,
		CurrentTime:   now,
		KeyUsages:     []x509.ExtKeyUsage{usage},
	})
	if err != nil {
		return 0, fmt.Errorf("the peer's certificate is not one of this cluster: %w", err)
	}
	cluster, node, err := nodeOf(certs[0])
	if err != nil {
		return 0, fmt.Errorf("the peer's certificate names no node: %w", err)
	}
	if cluster != id.clusterID {
		return 0, fmt.Errorf("the peer's certificate is of cluster %s, this is %s", cluster, id.clusterID)
	}
	return node, nil
}
