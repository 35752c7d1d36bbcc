//go:build !weirbug_childearly

package service

// bugChildEarly is a planted bug; see docs/testing.md.
const bugChildEarly = false
