//go:build weirbug_uncounted

package machine

const bugUncounted = true
