// Package deptest holds the import graph to its written form. It has only a
// test.
package deptest
