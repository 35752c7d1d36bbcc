//go:build !weirbug_settleearly

package pipe

// bugSettleEarly is a planted bug; see docs/testing.md.
const bugSettleEarly = false
