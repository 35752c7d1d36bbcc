package transport

import (
	"bytes"
	"context"
	"crypto/tls"
	"encoding/pem"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"crypto/x509"

	"weir.dev/weir/internal/model"
)

// tokens is a Joiner with the catalog's part of the work.
type tokens struct {
	mu    sync.Mutex // guards hash, used and asked
	hash  [32]byte
	used  bool
	asked []*JoinRequest
}

func (k *tokens) Join(_ context.Context, req *JoinRequest) (*JoinGrant, error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.asked = append(k.asked, req)
	if k.used || !req.Proves(k.hash) {
		return nil, errTestRefused
	}
	k.used = true
	node := req.Node
	if node == 0 {
		node = 0xabc
	}
	return &JoinGrant{Node: node, Body: []byte("members")}, nil
}

// memberWorld is a world whose node 1 admits others.
func memberWorld(t *testing.T) (w *world, k *tokens, token, addr string) {
	w = newWorld(t)
	k = &tokens{}
	token, k.hash = w.root.NewToken()
	w.start(1, newRecorder(), func(o *Options) { o.Joiner = k })
	addr, _ = w.addr(1)
	return w, k, token, addr
}

func TestJoin(t *testing.T) {
	w, k, token, addr := memberWorld(t)
	ctx := context.Background()
	ask := JoinAsk{PeerAddr: "127.0.0.1:99", Body: []byte("hi")}
	id, body, err := Join(ctx, addr, " "+strings.ToUpper(token)+"\n", ask)
	if err != nil || string(body) != "members" || id.Node() != 0xabc || id.ClusterID() != testCluster || !id.CanIssue() {
		t.Fatalf("joined as %+v with %q: %v", id, body, err)
	}
	if r := k.asked[0]; r.PeerAddr != "127.0.0.1:99" || string(r.Body) != "hi" || r.Node != 0 {
		t.Fatalf("asked %+v", r)
	}
	var remote *RemoteError
	if _, _, err := Join(ctx, addr, token, ask); !errors.As(err, &remote) || remote.Message != errTestRefused.Error() {
		t.Fatalf("second use: %v", err)
	}

	// The new node is a full member: it talks, and certifies further ones.
	n := w.start(0xabc, newRecorder(), func(o *Options) { o.Identity = id })
	mustCall(t, n, 1, []byte("x"))
	third, hash := id.NewToken()
	k2 := &tokens{hash: hash}
	w.start(3, newRecorder(), func(o *Options) { o.Identity = id; o.Joiner = k2 })
	through, _ := w.addr(3)
	if _, _, err := Join(ctx, through, third, ask); err != nil {
		t.Fatal(err)
	}
}

func TestJoinIsRefused(t *testing.T) {
	w, k, token, addr := memberWorld(t)
	ctx := context.Background()
	ask := JoinAsk{PeerAddr: "127.0.0.1:99"}
	other, _ := newWorld(t).root.NewToken()
	forged, _ := w.root.NewToken() // of this cluster, but not in its catalog
	for _, c := range []struct{ token, want string }{
		{"", "malformed"}, {"weir1-abc", "malformed"}, {token[:len(token)-1], "malformed"},
		{other, "another cluster"}, {forged, errTestRefused.Error()},
	} {
		_, _, err := Join(ctx, addr, c.token, ask)
		wantError(t, err, c.want)
	}
	if _, _, err := Join(ctx, addr, token, JoinAsk{PeerAddr: "nowhere"}); err == nil || k.used {
		t.Fatalf("bad address: %v, token used %v", err, k.used)
	}
	w.start(2, newRecorder(), nil)
	through, _ := w.addr(2)
	_, _, err := Join(ctx, through, token, ask)
	wantError(t, err, "admits no others")
}

// TestReplayedProof sends one session's request in another.
func TestReplayedProof(t *testing.T) {
	_, k, token, addr := memberWorld(t)
	hash, fp, err := parseToken(token)
	if err != nil {
		t.Fatal(err)
	}
	ask := &JoinAsk{PeerAddr: "127.0.0.1:99", Now: time.Now}
	session := func() *tls.Conn {
		tc, err := tls.Dial("tcp", addr, joinConfig(fp, ask))
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = tc.Close() })
		return tc
	}
	request, err := joinRequest(session(), hash, newTestKey(t), ask)
	if err != nil {
		t.Fatal(err)
	}
	replay := session()
	_, _ = replay.Write(appendFrame(nil, frameJoin, request))
	kind, payload, err := newFrameReader(bytes.NewReader(closedSoon(t, replay)), maxFrameBytes).next()
	if err != nil || kind != frameFault || !bytes.Contains(payload, []byte(errTestRefused.Error())) || k.used {
		t.Fatalf("frame %d %q, %v, token used %v", kind, payload, err, k.used)
	}
	if len(k.asked) != 1 || k.asked[0].Proves(hash) {
		t.Fatal("a proof of another session holds")
	}
}

func TestHostileJoin(t *testing.T) {
	_, k, _, addr := memberWorld(t)
	for name, sent := range map[string][]byte{
		"oversize": frameHeader(nil, frameJoin, maxJoinBytes), "hello": appendFrame(nil, frameHello, nil),
		"short": appendFrame(nil, frameJoin, []byte("x")), "garbage": bytes.Repeat([]byte{0xff}, 100),
	} {
		tc := dialTLS(t, addr, alpnJoin, nil)
		_, _ = tc.Write(sent)
		if got := closedSoon(t, tc); bytes.Contains(got, []byte{byte(frameGrant)}) {
			t.Errorf("%s: %q", name, got)
		}
	}
	if len(k.asked) != 0 {
		t.Fatal("the cluster was asked")
	}
}

func TestIdentityIsStoredSealed(t *testing.T) {
	dir := t.TempDir()
	now := time.Now()
	if _, err := LoadIdentity(dir, nil, now); !errors.Is(err, fs.ErrNotExist) {
		t.Fatal(err)
	}
	id, err := NewIdentity(testCluster, 5, now)
	if err != nil {
		t.Fatal(err)
	}
	if err := id.Save(dir, nil); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{identityFile, sealFile} {
		info, err := os.Stat(filepath.Join(dir, name))
		if err != nil || info.Mode().Perm() != 0o600 {
			t.Fatalf("%s: %v, %v", name, info.Mode(), err)
		}
	}
	text, _ := os.ReadFile(filepath.Join(dir, identityFile))
	der, _ := x509.MarshalPKCS8PrivateKey(id.caKey)
	if bytes.Contains(sealedOf(text), der[16:]) || bytes.Contains(text, []byte("PRIVATE KEY")) {
		t.Fatal("a key is readable")
	}
	again, err := LoadIdentity(dir, nil, now)
	if err != nil || again.Node() != 5 || again.ClusterID() != testCluster || !again.CanIssue() {
		t.Fatalf("%+v, %v", again, err)
	}
	if !bytes.Equal(again.certificate().Certificate[0], id.certificate().Certificate[0]) {
		t.Fatal("the certificate changed")
	}

	// With the operator's seal the directory alone opens nothing.
	sealed := t.TempDir()
	seal := bytes.Repeat([]byte{7}, sealKeyBytes)
	if err := id.Save(sealed, seal); err != nil {
		t.Fatal(err)
	}
	if _, err := LoadIdentity(sealed, seal, now); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(filepath.Join(sealed, sealFile)); !errors.Is(err, fs.ErrNotExist) {
		t.Fatal("the seal was written")
	}
	_, err = LoadIdentity(sealed, bytes.Repeat([]byte{8}, sealKeyBytes), now)
	wantError(t, err, "the seal key is another one")
	_, err = LoadIdentity(sealed, seal[1:], now)
	wantError(t, err, "31 bytes")
	if err := os.WriteFile(filepath.Join(sealed, identityFile), text[:len(text)/2], 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := LoadIdentity(sealed, seal, now); err == nil {
		t.Fatal("half a file was loaded")
	}
}

func TestCertificatesAreRenewed(t *testing.T) {
	now := time.Now()
	id, err := NewIdentity(testCluster, 5, now)
	if err != nil {
		t.Fatal(err)
	}
	first := id.ExpiresAt()
	if err := id.Renew(now.Add(24 * time.Hour)); err != nil || !id.ExpiresAt().Equal(first) {
		t.Fatalf("renewed too early: %v, %v", id.ExpiresAt(), err)
	}
	later := now.Add(leafLifetime / 2)
	if err := id.Renew(later); err != nil || !id.ExpiresAt().After(first) {
		t.Fatalf("not renewed: %v, %v", id.ExpiresAt(), err)
	}
	if _, err := id.verify([]*x509.Certificate{id.certificate().Leaf}, x509.ExtKeyUsageServerAuth, later); err != nil {
		t.Fatal(err)
	}
}

// writeGiven stores an identity as an operator's files.
func writeGiven(t *testing.T, dir string, id *Identity) (cert, key, ca string) {
	cert, key, ca = filepath.Join(dir, "node.pem"), filepath.Join(dir, "node.key"), filepath.Join(dir, "ca.pem")
	leaf := id.certificate()
	keyDER, err := x509.MarshalPKCS8PrivateKey(leaf.PrivateKey)
	if err != nil {
		t.Fatal(err)
	}
	for path, b := range map[string]*pem.Block{
		cert: {Type: "CERTIFICATE", Bytes: leaf.Certificate[0]}, key: {Type: "PRIVATE KEY", Bytes: keyDER},
		ca: {Type: "CERTIFICATE", Bytes: id.authorityCertificate().Raw},
	} {
		if err := os.WriteFile(path, pem.EncodeToMemory(b), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return cert, key, ca
}

func TestGivenCertificates(t *testing.T) {
	w := newWorld(t)
	given := func(node model.NodeID) (*Identity, string) {
		dir := t.TempDir()
		id, err := LoadGivenIdentity(writeGiven(t, dir, w.identity(node)))
		if err != nil || id.Node() != node || id.CanIssue() {
			t.Fatalf("%+v, %v", id, err)
		}
		return id, dir
	}
	first, dir := given(1)
	token, hash := first.NewToken()
	k := &tokens{hash: hash}
	w.start(1, newRecorder(), func(o *Options) { o.Identity = first; o.Joiner = k })
	addr, _ := w.addr(1)

	ask := JoinAsk{PeerAddr: "127.0.0.1:99"}
	_, _, err := Join(context.Background(), addr, token, ask)
	wantError(t, err, "given by its operator")
	ask.Given, _ = given(2)
	id, _, err := Join(context.Background(), addr, token, ask)
	if err != nil || id.Node() != 2 || k.asked[0].Node != 2 {
		t.Fatalf("%+v, %v", id, err)
	}
	n := w.start(2, newRecorder(), func(o *Options) { o.Identity = id })
	mustCall(t, n, 1, []byte("x"))

	// Changed files are taken up; those of another node are not.
	old := first.ExpiresAt()
	later, err := newIssuedIdentity(testCluster, 1, w.root.authorityCertificate().Raw, w.root.caKey, newTestKey(t), nil, time.Now().Add(time.Hour))
	if err != nil {
		t.Fatal(err)
	}
	touch := func(id *Identity, age time.Duration) {
		cert, key, ca := writeGiven(t, dir, id)
		for _, f := range []string{cert, key, ca} {
			if err := os.Chtimes(f, time.Time{}, time.Now().Add(age)); err != nil {
				t.Fatal(err)
			}
		}
	}
	touch(later, time.Minute)
	if err := first.Renew(time.Now()); err != nil || !first.ExpiresAt().After(old) {
		t.Fatalf("not reloaded: %v", err)
	}
	touch(w.identity(9), 2*time.Minute)
	wantError(t, first.Renew(time.Now()), "another node or cluster")
}
