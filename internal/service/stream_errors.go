package service

import (
	"fmt"

	"weir.dev/weir/internal/model"
)

// StreamFault says which rule of the stream operations a request breaks;
// Kinesis has an error of its own for each.
type StreamFault uint8

// The faults.
const (
	FaultStreamNotFound   StreamFault = 1 + iota // ResourceNotFoundException
	FaultStreamInUse                             // ResourceInUseException
	FaultStreamArgument                          // InvalidArgumentException
	FaultStreamValidation                        // ValidationException
	FaultStreamLimit                             // LimitExceededException
	FaultStreamThroughput                        // ProvisionedThroughputExceededException
	FaultExpiredIterator                         // ExpiredIteratorException
	FaultExpiredToken                            // ExpiredNextTokenException
)

// StreamFaults are all faults, for tables that must have a row for each.
var StreamFaults = []StreamFault{
	FaultStreamNotFound, FaultStreamInUse, FaultStreamArgument, FaultStreamValidation,
	FaultStreamLimit, FaultStreamThroughput, FaultExpiredIterator, FaultExpiredToken,
}

// StreamError is a broken rule of the stream operations, in AWS's words. It is
// also a *model.Error, by errors.As, of the kind nearest to its fault.
type StreamError struct {
	Fault   StreamFault
	Message string
}

func (e *StreamError) Error() string { return e.Message }

// As implements the interface that errors.As looks for.
func (e *StreamError) As(target any) bool {
	t, ok := target.(**model.Error)
	if ok {
		*t = &model.Error{Kind: e.kind(), Message: e.Message}
	}
	return ok
}

func (e *StreamError) kind() model.ErrorKind {
	switch e.Fault {
	case FaultStreamNotFound:
		return model.ErrNotFound
	case FaultStreamInUse:
		return model.ErrInUse
	case FaultStreamLimit, FaultStreamThroughput:
		return model.ErrOverLimit
	default:
		return model.ErrValidation
	}
}

func streamFault(fault StreamFault, format string, args ...any) error {
	return &StreamError{Fault: fault, Message: fmt.Sprintf(format, args...)}
}

// account is the account of a request's messages.
func (r *StreamRef) account() string {
	if r.Account == "" {
		return "000000000000"
	}
	return r.Account
}

func noStream(ref *StreamRef) error {
	name := ref.Name
	if name == "" {
		name = ref.ID
	}
	return streamFault(FaultStreamNotFound, "Stream %s under account %s not found.", name, ref.account())
}

func noShard(ref *StreamRef, stream, shard string) error {
	return streamFault(FaultStreamNotFound, "Could not find shard %s in stream %s under account %s.", shard, stream, ref.account())
}

func streamBusy(ref *StreamRef, stream string, status StreamStatus) error {
	return streamFault(FaultStreamInUse, "Stream %s under account %s not ACTIVE, instead in state %s", stream, ref.account(), status)
}
