//go:build !weirbug_ackearly

package tablet

// bugAckEarly is a planted bug; see docs/testing.md.
const bugAckEarly = false
