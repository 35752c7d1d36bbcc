//go:build !weirbug_maporder

package machine

// bugMapOrder is a planted bug; see docs/testing.md.
const bugMapOrder = false
