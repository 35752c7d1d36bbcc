//go:build !weirbug_falselag

package cluster

// bugFalseLag is a planted bug; see docs/testing.md.
const bugFalseLag = false
