// Package deptest holds the import graph to its written form, and the pages of
// the documentation to what is there: the names, files and operations that
// they speak of. It has only tests.
package deptest
