package machine

// Machine applies one tablet's commands. It is used by one goroutine at a time.
type Machine struct{}
