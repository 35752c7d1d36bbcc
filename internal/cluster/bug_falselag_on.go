//go:build weirbug_falselag

package cluster

const bugFalseLag = true
