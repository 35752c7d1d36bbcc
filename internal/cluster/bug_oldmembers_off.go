//go:build !weirbug_oldmembers

package cluster

// bugOldMembers is a planted bug; see docs/testing.md.
const bugOldMembers = false
