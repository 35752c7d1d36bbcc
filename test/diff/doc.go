// Package diff sends the same requests to Weir and to other implementations of
// the same AWS API, and compares what they answer. The requests are in
// testdata/API.requests; every difference is in testdata/API.differences with a
// sentence that says who is right. A difference that is not listed fails the
// test, and so does a listed one that is gone: neither Weir nor the list can
// change unnoticed.
//
// It must not judge by what the others do: they are wrong as often as not. AWS's
// documentation decides, and the list says so.
//
// The package has no code but tests. Start with compare in diff_test.go; `make
// clients` runs it, and WEIR_DIFF_WRITE=1 rewrites the lists, with "why ?" for
// what is new.
package diff
