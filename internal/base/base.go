// Package base holds what every other package may lean on: the clock, seeded
// randomness and the checks of invariants.
//
// It imports the standard library only and knows nothing of Weir. Code that
// needs the time or a random number takes a Clock or a Rand; it never asks the
// operating system, so that a simulation can decide both.
package base

import "fmt"

// Check panics with "BUG:" when an invariant is broken. It is for conditions
// that only a programming error can make false; bad input and failing disks
// are errors, not broken invariants.
func Check(holds bool, format string, args ...any) {
	if !holds {
		panic("BUG: " + fmt.Sprintf(format, args...))
	}
}
