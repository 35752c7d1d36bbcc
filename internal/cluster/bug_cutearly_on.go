//go:build weirbug_cutearly

package cluster

const bugCutEarly = true
