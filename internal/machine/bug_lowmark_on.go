//go:build weirbug_lowmark

package machine

const bugLowMark = true
