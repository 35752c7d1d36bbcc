//go:build weirbug_ignoretoken

package cluster

const bugIgnoreToken = true
