//go:build !weirbug_dropunasked

package cluster

// bugDropUnasked is a planted bug; see docs/testing.md.
const bugDropUnasked = false
