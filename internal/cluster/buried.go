package cluster

import (
	"maps"
	"slices"
	"sync"

	"weir.dev/weir/internal/model"
)

// burials are the queues of which messages died since they were last asked for,
// in any replica here. There are at most as many as queues.
type burials struct {
	mu     sync.Mutex // guards queues
	queues map[model.ResourceID]bool
}

func (b *burials) note(queue model.ResourceID) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.queues == nil {
		b.queues = map[model.ResourceID]bool{}
	}
	b.queues[queue] = true
}

// Buried are the queues of which messages died since it was last called, by id.
func (n *Node) Buried() []model.ResourceID {
	b := &n.buried
	b.mu.Lock()
	defer b.mu.Unlock()
	queues := slices.Sorted(maps.Keys(b.queues))
	b.queues = nil
	return queues
}
