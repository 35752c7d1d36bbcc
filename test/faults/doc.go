// Package faults breaks a cluster of three real processes while clients use it:
// it kills, freezes and cuts off nodes, and then proves that nothing was lost
// or counted twice. `make faults` runs it; docs/testing.md says what it covers.
//
// The simulator finds the rare orders of events; this finds what the simulator
// cannot see: sockets, processes, the kernel, the command line. The package has
// no code but tests. Start with TestFaults.
package faults
