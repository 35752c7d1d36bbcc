package transport

import (
	"bytes"
	"crypto"
	"crypto/aes"
	"crypto/cipher"
	"crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"weir.dev/weir/internal/model"
)

// The files of an issued identity in a node's data directory; see
// docs/security-peers.md.
const (
	identityFile = "identity.pem" // node certificate, authority, sealed keys
	sealFile     = "seal.key"     // 32 bytes, unless the operator keeps the seal elsewhere
	sealedBlock  = "WEIR SEALED KEYS"
	sealVersion  = 1
	sealKeyBytes = 32
)

// Save writes the identity to dir, at once or not at all, with both keys
// sealed by AES-256-GCM under seal, which is 32 bytes that the operator keeps
// elsewhere; with a nil seal one is made and kept in dir. Files are for the
// owner only. Identities from the operator's certificates are not saved.
func (id *Identity) Save(dir string, seal []byte) error {
	if id.given != nil {
		return nil
	}
	seal, err := sealKey(dir, seal, true)
	if err != nil {
		return err
	}
	leaf := id.certificate()
	nodeKey, err := x509.MarshalPKCS8PrivateKey(leaf.PrivateKey)
	if err != nil {
		return fmt.Errorf("cannot encode node key: %w", err)
	}
	caKey, err := x509.MarshalPKCS8PrivateKey(id.caKey)
	if err != nil {
		return fmt.Errorf("cannot encode authority key: %w", err)
	}
	secrets := model.AppendBytes(model.AppendBytes(nil, nodeKey), caKey)
	sealed, err := sealBytes(seal, secrets, id.sealContext())
	if err != nil {
		return err
	}
	var text bytes.Buffer
	for _, b := range []*pem.Block{
		{Type: "CERTIFICATE", Bytes: leaf.Certificate[0]},
		{Type: "CERTIFICATE", Bytes: id.authorityCertificate().Raw},
		{Type: sealedBlock, Bytes: sealed},
	} {
		if err := pem.Encode(&text, b); err != nil {
			return fmt.Errorf("cannot encode identity: %w", err)
		}
	}
	return writePrivate(filepath.Join(dir, identityFile), text.Bytes())
}

// LoadIdentity reads what Save wrote. The error is fs.ErrNotExist when dir
// holds no identity.
func LoadIdentity(dir string, seal []byte, now time.Time) (*Identity, error) {
	path := filepath.Join(dir, identityFile)
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("cannot load identity: %w", err)
	}
	certs, err := parseCertificates(text)
	if err != nil || len(certs) != 2 {
		return nil, fmt.Errorf("cannot load identity %s: it holds %d certificates, not 2 (%v)", path, len(certs), err)
	}
	id := &Identity{}
	if id.clusterID, id.node, err = nodeOf(certs[0]); err != nil {
		return nil, fmt.Errorf("cannot load identity %s: %w", path, err)
	}
	if seal, err = sealKey(dir, seal, false); err != nil {
		return nil, err
	}
	secrets, err := openBytes(seal, sealedOf(text), id.sealContext())
	if err != nil {
		return nil, fmt.Errorf("cannot open the keys in %s: %w", path, err)
	}
	d := model.NewDecoder(secrets)
	nodeDER, caDER := d.Bytes(), d.Bytes()
	nodeKey, err := parseKey(nodeDER)
	if err != nil || d.Done() != nil {
		return nil, fmt.Errorf("cannot read the node key in %s: %w", path, errors.Join(err, d.Err()))
	}
	caKey, err := parseKey(caDER)
	if err != nil {
		return nil, fmt.Errorf("cannot read the authority key in %s: %w", path, err)
	}
	return newIssuedIdentity(id.clusterID, id.node, certs[1].Raw, caKey, nodeKey, certs[0].Raw, now)
}

// sealContext ties sealed bytes to their purpose and node.
func (id *Identity) sealContext() []byte {
	return []byte("weir identity 1 " + nodeURI(id.clusterID, id.node).String())
}

// sealKey checks the operator's seal, or reads the one in dir, or makes it.
func sealKey(dir string, given []byte, create bool) ([]byte, error) {
	if given != nil {
		if len(given) != sealKeyBytes {
			return nil, fmt.Errorf("cannot use seal key: it has %d bytes, not %d", len(given), sealKeyBytes)
		}
		return given, nil
	}
	path := filepath.Join(dir, sealFile)
	key, err := os.ReadFile(path)
	if create && errors.Is(err, os.ErrNotExist) {
		key = make([]byte, sealKeyBytes)
		_, _ = rand.Read(key) // crypto/rand.Read never fails: it ends the process instead
		return key, writePrivate(path, key)
	}
	if err != nil {
		return nil, fmt.Errorf("cannot read seal key: %w", err)
	}
	if len(key) != sealKeyBytes {
		return nil, fmt.Errorf("cannot use seal key %s: it has %d bytes, not %d", path, len(key), sealKeyBytes)
	}
	return key, nil
}

// sealBytes is a version byte, a 12-byte nonce, and the AES-256-GCM ciphertext.
func sealBytes(key, plain, context []byte) ([]byte, error) {
	aead, err := newSeal(key)
	if err != nil {
		return nil, err
	}
	out := make([]byte, 1+aead.NonceSize())
	out[0] = sealVersion
	_, _ = rand.Read(out[1:]) // crypto/rand.Read never fails: it ends the process instead
	return aead.Seal(out, out[1:], plain, context), nil
}

func openBytes(key, sealed, context []byte) ([]byte, error) {
	aead, err := newSeal(key)
	if err != nil {
		return nil, err
	}
	n := 1 + aead.NonceSize()
	if len(sealed) < n || sealed[0] != sealVersion {
		return nil, errors.New("they are not in a form that this version of Weir knows")
	}
	plain, err := aead.Open(nil, sealed[1:n], sealed[n:], context)
	if err != nil {
		return nil, errors.New("the seal key is another one, or the file was changed")
	}
	return plain, nil
}

func newSeal(key []byte) (cipher.AEAD, error) {
	block, err := aes.NewCipher(key)
	if err != nil {
		return nil, fmt.Errorf("cannot use seal key: %w", err)
	}
	aead, err := cipher.NewGCM(block)
	if err != nil {
		return nil, fmt.Errorf("cannot use seal key: %w", err)
	}
	return aead, nil
}

// sealedOf returns the sealed block of a PEM text, nil when there is none.
func sealedOf(text []byte) []byte {
	for {
		block, rest := pem.Decode(text)
		if block == nil {
			return nil
		}
		if block.Type == sealedBlock {
			return block.Bytes
		}
		text = rest
	}
}

func parseKey(der []byte) (crypto.Signer, error) {
	key, err := x509.ParsePKCS8PrivateKey(der)
	if err != nil {
		return nil, errors.New("malformed private key") // the text of err could show parts of it
	}
	signer, ok := key.(crypto.Signer)
	if !ok {
		return nil, errors.New("the private key cannot sign")
	}
	return signer, nil
}

// checkRequest checks a PKCS #10 request as Issue does.
func checkRequest(csrDER []byte) error {
	csr, err := x509.ParseCertificateRequest(csrDER)
	if err != nil {
		return fmt.Errorf("cannot read certificate request: %w", err)
	}
	if err := csr.CheckSignature(); err != nil {
		return fmt.Errorf("cannot accept certificate request: %w", err)
	}
	return nil
}

// writePrivate replaces a file, readable by its owner only, so that after a
// power cut it is the old one or the new one.
func writePrivate(path string, data []byte) (err error) {
	defer func() {
		if err != nil {
			err = fmt.Errorf("cannot write %s: %w", path, err)
		}
	}()
	f, err := os.OpenFile(path+".new", os.O_CREATE|os.O_WRONLY|os.O_TRUNC, 0o600)
	if err != nil {
		return err
	}
	_, err = f.Write(data)
	if err == nil {
		err = f.Sync()
	}
	if cerr := f.Close(); err == nil {
		err = cerr
	}
	if err == nil {
		err = os.Rename(path+".new", path)
	}
	if err != nil {
		return err
	}
	dir, err := os.Open(filepath.Dir(path))
	if err != nil {
		return err
	}
	defer func() { _ = dir.Close() }()
	return dir.Sync()
}
