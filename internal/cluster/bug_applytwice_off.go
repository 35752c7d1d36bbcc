//go:build !weirbug_applytwice

package cluster

// bugApplyTwice is a planted bug; see docs/testing.md.
const bugApplyTwice = false
