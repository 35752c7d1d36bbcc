//go:build !linux

package sim

// stopMonitor is for Linux: elsewhere a loaded machine may make two runs of a
// seed differ.
func stopMonitor() error { return nil }

func stopMonitorOnly() error { return nil }
