//go:build weirbug_snapshotbare

package cluster

const bugSnapshotBare = true
