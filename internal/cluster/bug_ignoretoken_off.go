//go:build !weirbug_ignoretoken

package cluster

// bugIgnoreToken is a planted bug; see docs/testing.md.
const bugIgnoreToken = false
