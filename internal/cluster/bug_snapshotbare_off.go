//go:build !weirbug_snapshotbare

package cluster

// bugSnapshotBare is a planted bug; see docs/testing.md.
const bugSnapshotBare = false
