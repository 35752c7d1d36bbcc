//go:build weirbug_oldmembers

package cluster

const bugOldMembers = true
