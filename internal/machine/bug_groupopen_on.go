//go:build weirbug_groupopen

package machine

const bugGroupOpen = true
