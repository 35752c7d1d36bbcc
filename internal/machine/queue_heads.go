package machine

import (
	"sync"

	"weir.dev/weir/internal/keys"
	"weir.dev/weir/internal/model"
)

// maxHeads is how many heads a machine keeps in memory, of about 600 bytes each.
const maxHeads = 256

// queueName names a queue's slot.
type queueName struct {
	id   model.ResourceID
	slot model.Slot
}

// knownHead is a queue's head as it is stored, and what else is known of the
// queue.
type knownHead struct {
	keys.QueueRecord
	// stillMs is before or at the time of the first entry under Hidden, so that
	// nobody looks there earlier; zero when it is not known. It changes nothing
	// that is stored: not every replica knows it.
	stillMs int64
}

// queueHeads are the heads of the queues that commands worked on lately: nobody
// else writes them. Its zero value is ready.
type queueHeads struct {
	known   map[queueName]*knownHead
	changed []queueName // since they were published
	forgot  bool        // and all before those were forgotten
}

func (h *queueHeads) read(r Reader, name queueName, head *knownHead) error {
	if known, ok := h.known[name]; ok {
		*head = *known
		return nil
	}
	*head = knownHead{}
	if err := readQueueHead(r, name.id, name.slot, &head.QueueRecord); err != nil {
		return err
	}
	h.put(name, head)
	return nil
}

// put keeps a head.
func (h *queueHeads) put(name queueName, head *knownHead) {
	known, ok := h.known[name]
	if !ok {
		if h.known == nil || len(h.known) >= maxHeads {
			h.forget()
		}
		known = &knownHead{}
		h.known[name] = known
	}
	*known = *head
}

// change is put for a head that the command under way writes.
func (h *queueHeads) change(name queueName, head *knownHead) {
	h.put(name, head)
	h.changed = append(h.changed, name)
}

func (h *queueHeads) forget() {
	*h = queueHeads{known: map[queueName]*knownHead{}, changed: h.changed[:0], forgot: true}
}

// Heads are heads of queues as they are in the state, for Ready, which may run
// beside the machine that writes them. What it does not have is read from the
// state. Its zero value is ready.
type Heads struct {
	mu    sync.RWMutex // guards known
	known map[queueName]*knownHead
}

// Forget empties it: the state is another one.
func (h *Heads) Forget() {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.known = nil
}

// read finds a head, or else reads it. A nil Heads has none.
func (h *Heads) read(r Reader, name queueName, head *knownHead) error {
	if h != nil {
		h.mu.RLock()
		known, ok := h.known[name]
		if ok {
			*head = *known
		}
		h.mu.RUnlock()
		if ok {
			return nil
		}
	}
	return readQueueHead(r, name.id, name.slot, &head.QueueRecord)
}

// Publish brings heads up to date. It is called when the changes of the commands
// applied so far have been committed, by whoever applies them.
func (m *Machine) Publish(to *Heads) {
	h := &m.heads
	if len(h.changed) == 0 && !h.forgot {
		return
	}
	to.mu.Lock()
	defer to.mu.Unlock()
	if h.forgot || to.known == nil {
		to.known = map[queueName]*knownHead{}
	}
	for _, name := range h.changed {
		known, ok := to.known[name]
		if !ok {
			known = &knownHead{}
			to.known[name] = known
		}
		*known = *h.known[name]
	}
	h.changed, h.forgot = h.changed[:0], false
}
