package service

import (
	"fmt"

	"weir.dev/weir/internal/model"
)

// QueueFault says which rule of the queue operations a request breaks; SQS has
// an error of its own for each.
type QueueFault uint8

// The faults.
const (
	FaultParameter      QueueFault = 1 + iota // a parameter has a value that is not allowed
	FaultMissing                              // a parameter must be there and is not
	FaultAttributeName                        // a queue has no attribute of that name
	FaultAttributeValue                       // a queue's attribute cannot have that value
	FaultContents                             // a message holds characters that are not allowed
	FaultBatchTooLong                         // a batch's messages are too large together
	FaultNoResource                           // a task that moves messages names a queue or a task that is not there
	FaultThrottled                            // a quota of requests is used up; see Profile
)

// QueueFaults are all faults, for tables that must have a row for each.
var QueueFaults = []QueueFault{FaultParameter, FaultMissing, FaultAttributeName, FaultAttributeValue, FaultContents, FaultBatchTooLong, FaultNoResource, FaultThrottled}

// QueueError is a broken rule of the queue operations, in AWS's words. It is
// also a *model.Error of kind ErrValidation, by errors.As.
type QueueError struct {
	Fault   QueueFault
	Message string
}

func (e *QueueError) Error() string { return e.Message }

// As implements the interface that errors.As looks for.
func (e *QueueError) As(target any) bool {
	t, ok := target.(**model.Error)
	if ok {
		*t = &model.Error{Kind: model.ErrValidation, Message: e.Message}
	}
	return ok
}

func queueFault(fault QueueFault, format string, args ...any) error {
	return &QueueError{Fault: fault, Message: fmt.Sprintf(format, args...)}
}

// badParameter is a FaultParameter in AWS's usual form.
func badParameter(name string, value any, reason string) error {
	return queueFault(FaultParameter, "Value %v for parameter %s is invalid. Reason: %s", value, name, reason)
}
