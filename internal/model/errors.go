package model

import "fmt"

// ErrorKind classifies what went wrong for the layers that decide by it; each
// door has one table from ErrorKind to its wire errors.
type ErrorKind uint8

// The kinds of error that inner rooms report to a door.
const (
	ErrInternal        ErrorKind = 1 + iota // a fault of ours; details are in the log
	ErrUnavailable                          // surely not applied: no leader, node stopping, disk full; try again
	ErrUnknownOutcome                       // a timeout after proposing: applied or not; a retry with the same request id is safe
	ErrValidation                           // the request breaks a rule; Message is in AWS's words
	ErrNotFound                             // no such resource
	ErrInUse                                // the resource exists or is changing
	ErrConditionFailed                      // Item holds the item when it was asked for
	ErrItemTooLarge                         // an item collection or item grew over its limit
	ErrOverLimit                            // a stated limit was reached
	ErrReceiptInvalid                       // a receipt handle is malformed or not this queue's
	ErrNotInflight                          // the message is not in flight (deleted, or visible again)
	ErrPurgeInProgress                      // a queue was purged less than 60 seconds ago
	ErrAccessDenied                         // the principal may not
	ErrNotAbroad                            // carried out here, but not as many other regions have it as must; a retry with the same request id is safe
	ErrNotOnAll                             // carried out, and on the disks of a majority, but not of every replica as level all asks; a retry with the same request id is safe
	ErrUnsupported                          // honest: this operation or option is not there
)

// Partly reports whether an error of this kind says that the write was carried
// out, or may have been, though not as it had to be: whoever sends it again must
// do so under the same request id.
func (k ErrorKind) Partly() bool {
	return k == ErrUnknownOutcome || k == ErrNotAbroad || k == ErrNotOnAll
}

// Error is an error with a kind. Inner rooms return *Error for everything a
// client may see; any other error is shown to clients as ErrInternal.
type Error struct {
	Kind    ErrorKind
	Message string // safe to show to a client
	Item    []byte // ErrConditionFailed: the encoded item, when asked for
}

func (e *Error) Error() string { return e.Message }

// Errorf makes an *Error.
func Errorf(kind ErrorKind, format string, args ...any) *Error {
	return &Error{Kind: kind, Message: fmt.Sprintf(format, args...)}
}
