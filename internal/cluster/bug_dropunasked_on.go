//go:build weirbug_dropunasked

package cluster

const bugDropUnasked = true
