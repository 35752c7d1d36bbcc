package keys

// Keys of the node itself: 'n' | type byte. They outlive every tablet.
const (
	nodeSpace   = 'n'
	typeFounded = 'G' // there once this node has written a cluster's first state
)

// Founded is the key that tells that this node has founded its cluster. It has no
// value.
func Founded() []byte { return []byte{nodeSpace, typeFounded} }
