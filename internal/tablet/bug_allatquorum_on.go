//go:build weirbug_allatquorum

package tablet

const bugAllAtQuorum = true
