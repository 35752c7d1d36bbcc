//go:build !weirbug_localreads

package tablet

// bugLocalReads is a planted bug; see docs/testing.md.
const bugLocalReads = false
