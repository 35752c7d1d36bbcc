//go:build !weirbug_groupopen

package machine

// bugGroupOpen is a planted bug; see docs/testing.md.
const bugGroupOpen = false
