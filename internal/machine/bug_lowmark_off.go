//go:build !weirbug_lowmark

package machine

// bugLowMark is a planted bug; see docs/testing.md.
const bugLowMark = false
