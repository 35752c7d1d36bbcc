//go:build weirbug_forwardtwice

package cluster

const bugNewRequestID = true
