//go:build weirbug_maporder

package machine

const bugMapOrder = true
