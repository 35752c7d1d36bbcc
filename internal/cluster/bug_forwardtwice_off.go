//go:build !weirbug_forwardtwice

package cluster

// bugNewRequestID is a planted bug; see docs/testing.md.
const bugNewRequestID = false
