//go:build !weirbug_dedupe

package machine

// bugForgetRequests is a planted bug; see docs/testing.md.
const bugForgetRequests = false
