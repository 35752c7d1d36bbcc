package service

import "slices"

// HasQueueAttribute reports whether queues have an attribute of that name that
// can be set, extensions included. Only FIFO queues have some of them.
func HasQueueAttribute(name string) bool {
	return slices.ContainsFunc(queueAttributes, func(a queueAttribute) bool { return a.name == name })
}
