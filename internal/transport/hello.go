package transport

import (
	"encoding/hex"
	"errors"
	"fmt"

	"weir.dev/weir/internal/model"
)

// hello is the first frame of each side after the TLS handshake.
type hello struct {
	oldest, newest uint64 // protocol versions spoken
	purpose        purpose
	clusterID      string
	node, to       model.NodeID
	incarnation    uint64
}

// purpose says what a connection is for.
type purpose byte

const (
	purposePeer     purpose = 1 // raft messages and calls
	purposeSnapshot purpose = 2 // one snapshot
)

// protocolVersion is the one version spoken so far.
const protocolVersion = 1

const helloMagic = "WEIR"

var errHello = errors.New("malformed hello")

func (h *hello) append(dst []byte) []byte {
	dst = append(dst, helloMagic...)
	dst = model.AppendUvarint(dst, h.oldest)
	dst = model.AppendUvarint(dst, h.newest)
	dst = append(dst, byte(h.purpose))
	dst, err := hex.AppendDecode(dst, []byte(h.clusterID))
	if err != nil || !validClusterID(h.clusterID) {
		panic("BUG: malformed cluster id " + h.clusterID)
	}
	dst = model.AppendUvarint(dst, uint64(h.node))
	dst = model.AppendUvarint(dst, uint64(h.to))
	return model.AppendUvarint(dst, h.incarnation)
}

// decodeHello ignores what follows, which is for later versions to use.
func decodeHello(b []byte) (h hello, err error) {
	d := model.NewDecoder(b)
	magic := string(d.Fixed(len(helloMagic)))
	h.oldest, h.newest = d.Uvarint(), d.Uvarint()
	h.purpose = purpose(d.Byte())
	h.clusterID = hex.EncodeToString(d.Fixed(16))
	h.node, h.to = model.NodeID(d.Uvarint()), model.NodeID(d.Uvarint())
	h.incarnation = d.Uvarint()
	if d.Err() != nil || magic != helloMagic || h.oldest > h.newest {
		return hello{}, errHello
	}
	return h, nil
}

func (t *TCP) hello(to model.NodeID, p purpose) *hello {
	return &hello{
		oldest: protocolVersion, newest: protocolVersion,
		purpose: p, clusterID: t.id.clusterID, node: t.id.node, to: to, incarnation: t.opts.Incarnation,
	}
}

// refuseCode says why a hello was refused. The numbers are part of the
// protocol.
type refuseCode byte

const (
	refuseVersion     refuseCode = 1
	refuseCluster     refuseCode = 2
	refuseIdentity    refuseCode = 3 // the node id is not the certificate's
	refuseAddress     refuseCode = 4 // another node was meant
	refuseMember      refuseCode = 5 // not a member, or removed
	refuseIncarnation refuseCode = 6 // a later start of that node is known
	refuseBusy        refuseCode = 7
	refuseRemoved     refuseCode = 8 // it was a member and is none any more
	refuseCopy        refuseCode = 9 // its directory is an older copy: the cluster knows of later starts
)

// RefusedError says that a node refused a connection.
type RefusedError struct {
	code   refuseCode
	Reason string
}

func (e *RefusedError) Error() string { return "refused: " + e.Reason }

func refuse(code refuseCode, format string, args ...any) *RefusedError {
	return &RefusedError{code: code, Reason: fmt.Sprintf(format, args...)}
}

// Final reports whether to try again is in vain, whatever time passes: this
// node was removed from the cluster, or runs on an older copy of its directory.
func (e *RefusedError) Final() bool { return e.code == refuseRemoved || e.code == refuseCopy }

func (e *RefusedError) append(dst []byte) []byte {
	return model.AppendString(append(dst, byte(e.code)), e.Reason)
}

func decodeRefusal(b []byte) error {
	d := model.NewDecoder(b)
	e := &RefusedError{code: refuseCode(d.Byte()), Reason: d.String()}
	if d.Done() != nil {
		return errFrame
	}
	return e
}

// check decides on a dialling node's hello; certified is the node of its
// certificate.
func (t *TCP) check(h *hello, certified model.NodeID) *RefusedError {
	switch {
	case h.oldest > protocolVersion || h.newest < protocolVersion:
		return refuse(refuseVersion, "this node speaks protocol version %d, the other %d to %d", protocolVersion, h.oldest, h.newest)
	case h.clusterID != t.id.clusterID:
		return refuse(refuseCluster, "this is cluster %s, not %s", t.id.clusterID, h.clusterID)
	case h.node != certified:
		return refuse(refuseIdentity, "the certificate is of node %v, not %v", certified, h.node)
	case h.to != t.id.node:
		return refuse(refuseAddress, "this is node %v, not %v", t.id.node, h.to)
	case h.purpose != purposePeer && h.purpose != purposeSnapshot:
		return refuse(refuseVersion, "connections for purpose %d are not known here", h.purpose)
	case t.opts.Removed != nil && t.opts.Removed(h.node):
		return refuse(refuseRemoved, "node %v was removed from this cluster", h.node)
	case h.node == t.id.node || !t.opts.Allow(h.node):
		return refuse(refuseMember, "node %v is not a member of this cluster, as far as this node knows", h.node)
	case t.isCopy(h):
		return refuseOldCopy(h.node)
	}
	return nil
}

// refuseOldCopy tells a node that it was started from a copy of its directory;
// either end of a connection may find out.
func refuseOldCopy(node model.NodeID) *RefusedError {
	return refuse(refuseCopy, "the cluster knows of a later start of node %v: its data directory is an older copy", node)
}

// checkAnswer decides on the accepting node's hello.
func (t *TCP) checkAnswer(h *hello, to model.NodeID) error {
	switch {
	case h.oldest > protocolVersion || h.newest < protocolVersion:
		return fmt.Errorf("cannot speak with %v: it speaks protocol versions %d to %d", to, h.oldest, h.newest)
	case h.clusterID != t.id.clusterID || h.node != to:
		return fmt.Errorf("cannot speak with %v: %v of cluster %s answers", to, h.node, h.clusterID)
	case t.isCopy(h):
		return fmt.Errorf("cannot speak with %v: it runs on an older copy of its data directory", to)
	}
	return nil
}

// isCopy reports whether the cluster knows of a later start of the node.
func (t *TCP) isCopy(h *hello) bool {
	return t.opts.Known != nil && !model.Start(h.incarnation).MayFollow(t.opts.Known(h.node))
}
