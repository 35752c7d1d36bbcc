//go:build !weirbug_cutearly

package cluster

// bugCutEarly is a planted bug; see docs/testing.md.
const bugCutEarly = false
