package cluster

import (
	"sync"

	"weir.dev/weir/internal/machine"
	"weir.dev/weir/internal/model"
)

// queueHeads are the heads of queues as committed.
type queueHeads struct {
	mu    sync.RWMutex // guards heads
	heads machine.Heads
}

func (h *queueHeads) forget() {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.heads.Forget()
}

// publish brings them up to date, after a commit.
func (h *queueHeads) publish(m *machine.Machine) {
	if !m.Stale() {
		return
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	m.Publish(&h.heads)
}

func (h *queueHeads) of(cmd *model.Command, room *machine.Head) *machine.Head {
	h.mu.RLock()
	defer h.mu.RUnlock()
	return h.heads.Of(cmd, room)
}
