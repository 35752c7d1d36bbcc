//go:build !weirbug_allatquorum

package tablet

// bugAllAtQuorum is a planted bug; see docs/testing.md.
const bugAllAtQuorum = false
