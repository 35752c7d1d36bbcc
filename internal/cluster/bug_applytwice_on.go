//go:build weirbug_applytwice

package cluster

const bugApplyTwice = true
