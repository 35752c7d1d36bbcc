package service

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"hash"
	"sync"

	"weir.dev/weir/internal/model"
)

// maxQueueTries bounds how often a command is sent again because its queue was
// deleted, and perhaps created anew, while this node's catalog was behind.
const maxQueueTries = 3

// errDropped says that a tablet has dropped the queue.
var errDropped = errors.New("the queue was dropped")

// onQueue does something with the queue of that name: again, with another queue
// of the name or ErrNotFound, when the tablets say that it is gone (errDropped).
func (s *Service) onQueue(ctx context.Context, name string, do func(q *Queue) error) error {
	for range maxQueueTries {
		q, err := s.GetQueue(ctx, name)
		if err != nil {
			return err
		}
		if err := do(q); !errors.Is(err, errDropped) {
			return err
		}
		if err := s.cluster.SyncCatalog(ctx); err != nil {
			return err
		}
	}
	return model.Errorf(model.ErrNotFound, "%s is being deleted", name)
}

// propose sends a command to one of the queue's slots. Errors: errDropped, and
// the cluster's.
func (s *Service) propose(ctx context.Context, q *Queue, at int, kind model.CommandKind, id model.RequestID, body []byte) (model.Result, error) {
	cmd := model.Command{Kind: kind, ID: id, Resource: q.ID, Slot: q.slots[at], Body: body}
	res, err := s.cluster.Propose(ctx, &cmd)
	if err == nil && res.Status == model.StatusGone {
		err = errDropped
	}
	if isKind(err, model.ErrUnavailable) {
		s.noteFailure(q, at)
	}
	return res, err
}

// queueCall says what a command does and for which call of a client.
type queueCall struct {
	kind       model.CommandKind
	invocation model.RequestID
}

// requestDigest makes a command's id of the client's invocation id and of what
// the request asks. The id alone would not do: a client that sends one id with
// different requests, by mistake or on purpose, must not be told that the
// second one was done, nor be given a result that was another command's.
type requestDigest struct {
	said *digestRoom // nil when the client names no invocation
}

// digestRoom is what a digest is made of.
type digestRoom struct {
	text []byte    // not hashed yet
	h    hash.Hash // of what came before it; nil: nothing did
}

// maxDigestText is how much is gathered before it is hashed: most requests are hashed at once.
const maxDigestText = 8 << 10

var digestRooms = sync.Pool{New: func() any { return &digestRoom{text: make([]byte, 0, 1<<10)} }}

func newRequestDigest(call queueCall, queue model.ResourceID) (d requestDigest) {
	if call.invocation.IsZero() {
		return d
	}
	d.said = digestRooms.Get().(*digestRoom)
	d.said.text = append(append(d.said.text, call.invocation[:]...), byte(call.kind))
	d.said.text = binary.BigEndian.AppendUint64(d.said.text, uint64(queue))
	return d
}

// addTo adds bytes that end where they end to a digest: "ab", "c" is not "a", "bc".
func addTo[T string | []byte](d *requestDigest, b T) {
	if d.said == nil {
		return
	}
	d.number(int64(len(b)))
	r := d.said
	if len(r.text)+len(b) > maxDigestText {
		if r.h == nil {
			r.h = sha256.New()
		}
		r.h.Write(r.text)
		r.text = r.text[:0]
		for ; len(b) > maxDigestText; b = b[maxDigestText:] {
			r.h.Write([]byte(b[:maxDigestText]))
		}
	}
	r.text = append(r.text, b...)
}

func (d *requestDigest) number(v int64) {
	if d.said != nil {
		d.said.text = binary.BigEndian.AppendUint64(d.said.text, uint64(v))
	}
}

// sum makes the request's id, once. Without an invocation it is random: nobody but
// the cluster tries the command again.
func (d *requestDigest) sum(s *Service) (id callID) {
	r := d.said
	if r == nil {
		return callID(s.newRequestID())
	}
	var sum [sha256.Size]byte
	if r.h == nil {
		sum = sha256.Sum256(r.text)
	} else {
		r.h.Write(r.text)
		r.h.Sum(sum[:0])
	}
	copy(id[:], sum[:])
	d.said, r.text, r.h = nil, r.text[:0], nil
	digestRooms.Put(r)
	return id
}

// callID names one request through all its retries; each of the commands that
// it is made of has an id of its own.
type callID model.RequestID

// at is the id of the request's command in a slot. A queue's slots may lie in
// one tablet, and what a request does in one slot is not what it does in
// another. part tells two commands in one slot from each other.
func (c callID) at(slot model.Slot, part byte) model.RequestID {
	id := model.RequestID(c)
	id[0], id[1], id[2] = id[0]^byte(slot>>8), id[1]^byte(slot), id[2]^part
	return id
}

// home is the one of n slots that a retried request goes to, whichever node it
// comes to.
func (c callID) home(n int) int { return int(binary.BigEndian.Uint32(c[12:]) % uint32(n)) }

// decodeResult reads the body of a result that must be StatusOK.
func decodeResult(res model.Result, into interface{ Decode(d *model.Decoder) }) error {
	if res.Status != model.StatusOK {
		return fmt.Errorf("cannot read a queue's answer: unexpected status %d", res.Status)
	}
	d := model.NewDecoder(res.Body)
	into.Decode(d)
	if err := d.Done(); err != nil {
		return fmt.Errorf("cannot read a queue's answer: %w", err)
	}
	return nil
}

// errMiscounted is a broken promise of the machine.
var errMiscounted = errors.New("a queue's answer has another number of entries than the request")

// decodeQueue decodes a queue's spec. before is the queue in another version, nil
// when there is none.
func decodeQueue(r *model.Resource, before *Queue) (*Queue, error) {
	q := &Queue{ID: r.ID, Name: r.Name, CreatedMs: r.CreatedMs, version: r.Version}
	var spec model.QueueSpec
	d := model.NewDecoder(r.Spec)
	spec.Decode(d)
	if err := d.Done(); err != nil {
		return nil, fmt.Errorf("cannot decode the spec of queue %s: %w", r.Name, err)
	}
	q.Spec, q.slots = &spec, model.QueueSlots(r.ID, spec.Partitions)
	if before != nil {
		q.traffic = before.traffic
	} else {
		q.traffic = newTraffic(len(q.slots))
	}
	return q, nil
}

// queueOf is the queue that the catalog's resource describes.
func (s *Service) queueOf(r *model.Resource) (*Queue, error) {
	return s.queues.of(s.cluster.Catalog(), r, func(before *Queue) (*Queue, error) { return decodeQueue(r, before) })
}
