//go:build weirbug_nofsync

package journal

const skipSync = true
