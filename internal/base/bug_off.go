//go:build !weirbug

package base

// Bug reports whether a planted bug is in effect: in programs that are built
// with the tag weirbug, which nobody runs but the simulator; docs/testing.md
// lists the bugs. Here none is, and the compiler leaves them all out.
func Bug(string) bool { return false }
