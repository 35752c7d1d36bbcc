//go:build !weirbug_firstreceive

package machine

// bugFirstReceive is a planted bug; see docs/testing.md.
const bugFirstReceive = false
