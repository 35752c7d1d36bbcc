package cluster

import (
	"time"

	"weir.dev/weir/internal/model"
	"weir.dev/weir/internal/terms"
)

// Regions is what a node asks of the room that ties its cluster to others. Its
// methods do not block.
type Regions interface {
	// LagOf tells how far a resource is behind the region that ships it here, as
	// was heard last: for how long, counting the time since, and by how many
	// changes. ok is false when nothing is shipped to it, or nothing was heard.
	LagOf(id model.ResourceID) (lag time.Duration, changes uint64, ok bool)
	// Told hands over what the engine of another node has told with Tell.
	Told(body []byte)
}

// SetRegions says whom to ask, once it is there.
func (n *Node) SetRegions(r Regions) { n.regions.Store(&r) }

// tellTimeout bounds the telling of one node; what does not arrive is told again.
const tellTimeout = time.Second

// Tell hands a short message to the Regions of every other member that can be
// reached. It does not block.
func (n *Node) Tell(body []byte) {
	for _, m := range n.Catalog().Nodes {
		if m.ID != n.opts.Node {
			n.ask(m.ID, &call{kind: callTell, query: model.Query{Body: body}}, tellTimeout, func(answer) {})
		}
	}
}

func (n *Node) told(body []byte) {
	if r := n.regions.Load(); r != nil {
		(*r).Told(body)
	}
}

// noteRegionLag notes for a read how far what it read is behind another region.
func (n *Node) noteRegionLag(t *terms.Terms, id model.ResourceID) {
	r := n.regions.Load()
	if t == nil || r == nil {
		return
	}
	if lag, changes, ok := (*r).LagOf(id); ok {
		t.ReadFromRegion(lag, changes)
	}
}
