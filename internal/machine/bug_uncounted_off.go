//go:build !weirbug_uncounted

package machine

// bugUncounted is a planted bug; see docs/testing.md.
const bugUncounted = false
