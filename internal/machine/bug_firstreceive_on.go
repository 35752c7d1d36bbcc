//go:build weirbug_firstreceive

package machine

const bugFirstReceive = true
