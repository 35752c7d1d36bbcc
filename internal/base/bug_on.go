//go:build weirbug

package base

import "os"

var planted = os.Getenv("WEIR_BUG")

// Bug reports whether this planted bug is the one that WEIR_BUG names.
func Bug(name string) bool { return name == planted }
