//go:build !weirbug_nofsync

package journal

// skipSync is a planted bug; see docs/testing.md.
const skipSync = false
