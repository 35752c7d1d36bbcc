//go:build weirbug_putclosed

package machine

const bugPutClosed = true
