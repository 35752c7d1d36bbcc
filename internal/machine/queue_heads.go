package machine

import (
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

// Head is a queue's head as it is stored, and what else is known of the
// queue, for Ready.
type Head struct {
	keys.QueueRecord
	// stillMs is before or at the time of the first entry under Hidden, so that
	// nobody looks there earlier; zero when it is not known. It changes nothing
	// that is stored: not every replica knows it.
	stillMs int64
}

// queueHeads are the heads of the queues that commands worked on lately: nobody
// else writes them. Its zero value is ready.
type queueHeads struct {
	known   map[queueName]*Head
	changed []queueName // since they were published
	forgot  bool        // and all before those were forgotten
}

func (h *queueHeads) read(r Reader, name queueName, head *Head) error {
	if known, ok := h.known[name]; ok {
		*head = *known
		return nil
	}
	*head = Head{}
	if err := readQueueHead(r, name.id, name.slot, &head.QueueRecord); err != nil {
		return err
	}
	h.put(name, head)
	return nil
}

// put keeps a head.
func (h *queueHeads) put(name queueName, head *Head) {
	known, ok := h.known[name]
	if !ok {
		if h.known == nil || len(h.known) >= maxHeads {
			h.forget()
		}
		known = &Head{}
		h.known[name] = known
	}
	*known = *head
}

// change is put for a head that the command under way writes.
func (h *queueHeads) change(name queueName, head *Head) {
	h.put(name, head)
	h.changed = append(h.changed, name)
}

func (h *queueHeads) forget() {
	*h = queueHeads{known: map[queueName]*Head{}, changed: h.changed[:0], forgot: true}
}

// Heads are heads of queues as they are in the state, for those who call Ready
// beside the machine that writes them, under a lock of theirs. Its zero value is
// ready.
type Heads struct{ known map[queueName]*Head }

// Forget empties it: the state is another one.
func (h *Heads) Forget() { h.known = nil }

// Of copies the head of the queue that the command is on to room, and returns that;
// nil when it is not there, and is to be read from the state.
func (h *Heads) Of(cmd *model.Command, room *Head) *Head {
	known, ok := h.known[queueName{cmd.Resource, cmd.Slot}]
	if !ok {
		return nil
	}
	*room = *known
	return room
}

// Stale reports whether Publish has something to do.
func (m *Machine) Stale() bool { return len(m.heads.changed) > 0 || m.heads.forgot }

// Publish brings heads up to date. It is called when the changes of the commands
// applied so far have been committed, by whoever applies them.
func (m *Machine) Publish(to *Heads) {
	h := &m.heads
	if h.forgot || to.known == nil {
		to.known = map[queueName]*Head{}
	}
	for _, name := range h.changed {
		known, ok := to.known[name]
		if !ok {
			known = &Head{}
			to.known[name] = known
		}
		*known = *h.known[name]
	}
	h.changed, h.forgot = h.changed[:0], false
}
