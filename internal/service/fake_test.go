package service

import (
	"testing"

	"weir.dev/weir/internal/base"
	"weir.dev/weir/internal/fakecluster"
)

// newFake returns a service on a fake cluster whose slots are shared by that
// many tablets.
func newFake(t testing.TB, tablets int) (*Service, *fakecluster.Cluster) {
	t.Helper()
	c := fakecluster.New(t, tablets)
	return New(c, c, base.NewRand(1)), c
}
