//go:build !weirbug_putclosed

package machine

// bugPutClosed is a planted bug; see docs/testing.md.
const bugPutClosed = false
