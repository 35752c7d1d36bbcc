package transport

import (
	"bytes"
	"crypto/rand"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"strings"
	"testing"
	"time"

	"weir.dev/weir/internal/base"
	"weir.dev/weir/internal/model"
)

// quickClock makes the handshake's time limit short enough for a test, and
// tells of each timer.
type quickClock struct{ base.SystemClock }

func (c quickClock) AfterFunc(d time.Duration, f func()) base.Timer {
	if d == handshakeTimeout {
		d = 50 * time.Millisecond
	}
	return c.SystemClock.AfterFunc(d, f)
}

// closedSoon reads until the other side closes.
func closedSoon(t *testing.T, c net.Conn) []byte {
	t.Helper()
	_ = c.SetReadDeadline(time.Now().Add(20 * time.Second))
	got, err := io.ReadAll(c)
	var timeout net.Error
	if errors.As(err, &timeout) && timeout.Timeout() {
		t.Fatal("the connection stays open")
	}
	return got
}

func dialRaw(t *testing.T, addr string) net.Conn {
	c, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	return c
}

func TestGarbageIsTurnedAway(t *testing.T) {
	w := newWorld(t)
	a := w.start(1, newRecorder(), func(o *Options) { o.Clock = quickClock{} })
	b := w.start(2, newRecorder(), nil)
	addr, _ := w.addr(1)
	noise := make([]byte, 64<<10)
	_, _ = rand.Read(noise)
	for name, sent := range map[string][]byte{
		"nothing": nil, "half a record": {0x16, 3, 1, 2, 0}, "HTTP": []byte("GET / HTTP/1.1\r\n\r\n"), "noise": noise,
	} {
		c := dialRaw(t, addr)
		_, _ = c.Write(sent) // fails when the other side is quicker
		closedSoon(t, c)
		t.Log(name, "is closed")
	}
	mustCall(t, b, 1, []byte("x"))
	eventually(t, "all are counted", func() bool { return a.Stats().AcceptsRefused >= 4 })
}

func TestUnprovenConnectionsAreBounded(t *testing.T) {
	w := newWorld(t)
	a := w.start(1, newRecorder(), nil)
	addr, _ := w.addr(1)
	for range maxUnproven {
		dialRaw(t, addr)
	}
	eventually(t, "all are taken in", func() bool {
		a.mu.Lock()
		defer a.mu.Unlock()
		return len(a.raw) == maxUnproven
	})
	closedSoon(t, dialRaw(t, addr))
}

// dialTLS speaks to node 1 with any certificate and protocol.
func dialTLS(t *testing.T, addr, alpn string, cert *tls.Certificate) *tls.Conn {
	config := &tls.Config{
		InsecureSkipVerify: true, NextProtos: []string{alpn},
		GetClientCertificate: func(*tls.CertificateRequestInfo) (*tls.Certificate, error) {
			if cert == nil {
				return &tls.Certificate{}, nil
			}
			return cert, nil
		},
	}
	c, err := tls.Dial("tcp", addr, config)
	if err != nil {
		return nil
	}
	t.Cleanup(func() { _ = c.Close() })
	return c
}

func TestCertificatesAreChecked(t *testing.T) {
	w := newWorld(t)
	w.start(1, newRecorder(), nil)
	addr, _ := w.addr(1)
	other := newWorld(t) // the same cluster id under another authority
	foreign, err := NewIdentity("ffffffffffffffffffffffffffffffff", 2, time.Now())
	if err != nil {
		t.Fatal(err)
	}
	for name, cert := range map[string]*tls.Certificate{
		"none": nil, "another authority": other.identity(2).certificate(), "another cluster": foreign.certificate(),
		"the authority's own": {Certificate: [][]byte{w.root.authorityCertificate().Raw}, PrivateKey: w.root.caKey},
	} {
		c := dialTLS(t, addr, alpnPeer, cert)
		if c == nil {
			continue
		}
		_, _ = c.Write(appendFrame(nil, frameHello, (&hello{oldest: 1, newest: 1, purpose: purposePeer,
			clusterID: testCluster, node: 2, to: 1}).append(nil)))
		if got := closedSoon(t, c); len(got) != 0 {
			t.Errorf("%s: the answer was %q", name, got)
		}
	}
	if c := dialTLS(t, addr, "h2", w.identity(2).certificate()); c != nil {
		t.Error("another protocol was negotiated")
	}
}

func TestHellosAreChecked(t *testing.T) {
	w := newWorld(t)
	w.start(1, newRecorder(), func(o *Options) {
		o.Removed = func(id model.NodeID) bool { return id == 6 }
		o.Known = func(model.NodeID) model.Start { return 3<<24 + 1 }
	})
	w.remove(5)
	addr, _ := w.addr(1)
	good := hello{oldest: 1, newest: 1, purpose: purposePeer, clusterID: testCluster, node: 2, to: 1, incarnation: 3<<24 + 1}
	for _, c := range []struct {
		name   string
		change func(*hello)
		code   refuseCode
	}{
		{"later version", func(h *hello) { h.oldest, h.newest = 2, 3 }, refuseVersion},
		{"wrong cluster", func(h *hello) { h.clusterID = "ffffffffffffffffffffffffffffffff" }, refuseCluster},
		{"stolen id", func(h *hello) { h.node = 3 }, refuseIdentity},
		{"wrong address", func(h *hello) { h.to = 3 }, refuseAddress},
		{"odd purpose", func(h *hello) { h.purpose = 9 }, refuseVersion},
		{"older copy", func(h *hello) { h.incarnation = 2<<24 + 9 }, refuseCopy},
		{"copy of the last start", func(h *hello) { h.incarnation = 3<<24 + 2 }, refuseCopy},
	} {
		h := good
		c.change(&h)
		tc := dialTLS(t, addr, alpnPeer, w.identity(2).certificate())
		_, _ = tc.Write(appendFrame(nil, frameHello, h.append(nil)))
		kind, payload, err := newFrameReader(bytes.NewReader(closedSoon(t, tc)), maxHelloBytes).next()
		var refused *RefusedError
		if err != nil || kind != frameRefuse || !errors.As(decodeRefusal(payload), &refused) || refused.code != c.code {
			t.Errorf("%s: frame %d %q, %v", c.name, kind, payload, err)
		}
	}
	for node, want := range map[model.NodeID]refuseCode{5: refuseMember, 6: refuseRemoved} {
		other := dialTLS(t, addr, alpnPeer, w.identity(node).certificate())
		h := good
		h.node = node
		_, _ = other.Write(appendFrame(nil, frameHello, h.append(nil)))
		_, payload, _ := newFrameReader(bytes.NewReader(closedSoon(t, other)), maxHelloBytes).next()
		var refused *RefusedError
		if !errors.As(decodeRefusal(payload), &refused) || refused.code != want || refused.Final() != (want == refuseRemoved) {
			t.Errorf("node %v: %v", node, decodeRefusal(payload))
		}
	}
}

// TestMemberFrames: a member that breaks the protocol is cut off.
func TestMemberFrames(t *testing.T) {
	w := newWorld(t)
	w.start(1, newRecorder(), nil)
	addr, _ := w.addr(1)
	id := w.identity(2)
	for name, sent := range map[string][]byte{
		"oversize frame":  frameHeader(nil, frameCall, maxFrameBytes),
		"zero length":     {0},
		"unknown kind":    appendFrame(nil, 99, nil),
		"second hello":    appendFrame(nil, frameHello, nil),
		"bad raft":        appendFrame(nil, frameRaft, []byte{1, 0xff, 0xff}),
		"no call id":      appendFrame(nil, frameCall, nil),
		"empty large":     appendFrame(nil, frameLastPart, nil),
		"snapshot pieces": appendFrame(nil, frameSnapData, []byte("x")),
	} {
		tc := dialTLS(t, addr, alpnPeer, id.certificate())
		h := hello{oldest: 1, newest: 1, purpose: purposePeer, clusterID: testCluster, node: 2, to: 1, incarnation: 1}
		_, _ = tc.Write(append(appendFrame(nil, frameHello, h.append(nil)), sent...))
		kind, _, err := newFrameReader(bytes.NewReader(closedSoon(t, tc)), maxHelloBytes).next()
		if err != nil || kind != frameHello {
			t.Errorf("%s: frame %d, %v", name, kind, err)
		}
	}
	large := appendFrame(nil, framePart, make([]byte, 1<<20))
	tc := dialTLS(t, addr, alpnPeer, id.certificate())
	h := hello{oldest: 1, newest: 1, purpose: purposePeer, clusterID: testCluster, node: 2, to: 1, incarnation: 1}
	_, _ = tc.Write(appendFrame(nil, frameHello, h.append(nil)))
	for n := 0; n < 2*maxFrameBytes; n += len(large) {
		if _, err := tc.Write(large); err != nil {
			return // cut off, as it should be
		}
	}
	t.Error("a frame without end was taken in")
}

// TestImpostorAnswers: the dialling side checks who answers.
func TestImpostorAnswers(t *testing.T) {
	w := newWorld(t)
	a := w.start(1, newRecorder(), nil)
	w.start(3, newRecorder(), nil)
	addr, _ := w.addr(3)
	w.setAddr(2, addr)
	_, err := call(a, 2, nil, 5*time.Second)
	if !errors.Is(err, ErrNotSent) {
		t.Fatal(err)
	}
	wantError(t, err, "answers at the address of "+model.NodeID(2).String())
}

// TestSilentCopyIsTold: a node on an older copy of its directory that has nothing
// to send learns it from whoever dials it.
func TestSilentCopyIsTold(t *testing.T) {
	w := newWorld(t)
	told := make(chan error, 8)
	w.start(2, newRecorder(), func(o *Options) {
		o.Incarnation = 2<<24 + 9
		o.Refused = func(err *RefusedError) { told <- err }
	})
	a := w.start(1, newRecorder(), func(o *Options) {
		o.Known = func(model.NodeID) model.Start { return 3<<24 + 1 }
		o.Refused = func(err *RefusedError) { t.Errorf("the node that dialled was refused: %v", err) }
	})
	if _, err := call(a, 2, []byte("anybody there?"), time.Second); err == nil {
		t.Error("the copy answers calls")
	}
	select {
	case err := <-told:
		if !strings.Contains(err.Error(), "older copy") {
			t.Error(err)
		}
	case <-time.After(10 * time.Second):
		t.Error("it was not told")
	}
}
