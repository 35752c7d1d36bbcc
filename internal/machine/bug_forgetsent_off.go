//go:build !weirbug_forgetsent

package machine

// bugForgetSent is a planted bug; see docs/testing.md.
const bugForgetSent = false
