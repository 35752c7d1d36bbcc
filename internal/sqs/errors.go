package sqs

import (
	"errors"
	"fmt"
	"log/slog"

	"weir.dev/weir/internal/awsapi"
	"weir.dev/weir/internal/model"
	"weir.dev/weir/internal/service"
)

// wire is how one error looks to a client. The Query protocol has codes of its
// own, and for one error words of its own; an empty query code is the code. A
// status of 0 is 400. An empty message shows the error's own.
type wire struct {
	code         string
	namespace    string // "" is the service's own
	query        string
	status       int
	message      string
	queryMessage string // "" is message
}

// coral is the namespace of errors that AWS's request framework has in common
// for many services.
const coral = "com.amazon.coral.service"

// The errors of SQS that handlers and rules speak of. Codes of the Query
// protocol and statuses are those that AWS's own model gives for compatibility;
// AWS answers with the same status in both protocols.
var (
	errInvalidParameter  = wire{code: "InvalidParameterValueException", namespace: coral, query: "InvalidParameterValue"}
	errMissingParameter  = wire{code: "MissingRequiredParameterException", namespace: coral, query: "MissingParameter"}
	errInvalidAttrName   = wire{code: "InvalidAttributeName"}
	errInvalidAttrValue  = wire{code: "InvalidAttributeValue"}
	errInvalidContents   = wire{code: "InvalidMessageContents"}
	errInvalidAddress    = wire{code: "InvalidAddress", status: 404}
	errEmptyBatch        = wire{code: "EmptyBatchRequest", query: "AWS.SimpleQueueService.EmptyBatchRequest"}
	errTooManyEntries    = wire{code: "TooManyEntriesInBatchRequest", query: "AWS.SimpleQueueService.TooManyEntriesInBatchRequest"}
	errRepeatedEntryID   = wire{code: "BatchEntryIdsNotDistinct", query: "AWS.SimpleQueueService.BatchEntryIdsNotDistinct"}
	errInvalidEntryID    = wire{code: "InvalidBatchEntryId", query: "AWS.SimpleQueueService.InvalidBatchEntryId"}
	errBatchTooLong      = wire{code: "BatchRequestTooLong", query: "AWS.SimpleQueueService.BatchRequestTooLong"}
	errQueueDoesNotExist = wire{code: "QueueDoesNotExist", query: "AWS.SimpleQueueService.NonExistentQueue", message: msgNoQueue, queryMessage: msgNoQueueQuery}
	errQueueNameExists   = wire{code: "QueueNameExists", query: "QueueAlreadyExists"}
	errNoResource        = wire{code: "ResourceNotFoundException", status: 404}
	errThrottled         = wire{code: "RequestThrottled", status: 403}
	errReceiptHandle     = wire{code: "ReceiptHandleIsInvalid", status: 404}
	errNotInflight       = wire{code: "MessageNotInflight", query: "AWS.SimpleQueueService.MessageNotInflight"}
	errOverLimit         = wire{code: "OverLimit", status: 403}
	errPurgeInProgress   = wire{code: "PurgeQueueInProgress", query: "AWS.SimpleQueueService.PurgeQueueInProgress", status: 403}
	errUnsupported       = wire{code: "UnsupportedOperation", query: "AWS.SimpleQueueService.UnsupportedOperation"}
	errAccessDenied      = wire{code: "AccessDeniedException", namespace: coral, query: "AccessDenied", status: 403}
	errInternal          = wire{code: "InternalFailure", namespace: coral, query: "InternalError", status: 500, message: msgInternal}
	errUnavailable       = wire{code: "ServiceUnavailable", namespace: coral, query: "ServiceUnavailable", status: 503}
	errNotAbroad         = wire{code: "InternalFailure", namespace: coral, query: "InternalError", status: 500}
	errNotOnAll          = wire{code: "InternalFailure", namespace: coral, query: "InternalError", status: 500}
	errUnknownOutcome    = wire{code: "InternalFailure", namespace: coral, query: "InternalError", status: 500, message: msgUnknownOutcome}
)

const (
	msgNoQueue        = "The specified queue does not exist."
	msgNoQueueQuery   = "The specified queue does not exist for this wsdl version."
	msgInternal       = "We encountered an internal error. Please try again."
	msgUnknownOutcome = "The outcome of the request is unknown: it may or may not have taken effect. Retrying with the same amz-sdk-invocation-id is safe."
)

// wireErrors has one row for each model.ErrorKind. SDKs try again, with the
// same invocation id, after a 500 or 503.
var wireErrors = map[model.ErrorKind]wire{
	model.ErrInternal:        errInternal,
	model.ErrUnavailable:     errUnavailable,
	model.ErrUnknownOutcome:  errUnknownOutcome,
	model.ErrNotAbroad:       errNotAbroad,
	model.ErrNotOnAll:        errNotOnAll,
	model.ErrValidation:      errInvalidParameter,
	model.ErrNotFound:        errQueueDoesNotExist,
	model.ErrInUse:           errQueueNameExists,
	model.ErrConditionFailed: errInternal, // no operation of SQS has a condition
	model.ErrItemTooLarge:    errInternal, // nor an item
	model.ErrOverLimit:       errOverLimit,
	model.ErrReceiptInvalid:  errReceiptHandle,
	model.ErrNotInflight:     errNotInflight,
	model.ErrPurgeInProgress: errPurgeInProgress,
	model.ErrAccessDenied:    errAccessDenied,
	model.ErrUnsupported:     errUnsupported,
}

// wireFaults has one row for each service.QueueFault.
var wireFaults = map[service.QueueFault]wire{
	service.FaultParameter:      errInvalidParameter,
	service.FaultMissing:        errMissingParameter,
	service.FaultAttributeName:  errInvalidAttrName,
	service.FaultAttributeValue: errInvalidAttrValue,
	service.FaultContents:       errInvalidContents,
	service.FaultBatchTooLong:   errBatchTooLong,
	service.FaultNoResource:     errNoResource,
	service.FaultThrottled:      errThrottled,
}

// fault is an error that the door itself finds in a request.
type fault struct {
	wire
	text string
}

func (f *fault) Error() string { return f.text }

// error makes a fault with a message.
func (w wire) error(format string, args ...any) error {
	return &fault{wire: w, text: fmt.Sprintf(format, args...)}
}

// missing is the error for a parameter that must be there.
func missing(name string) error {
	return errMissingParameter.error("The request must contain the parameter %s.", name)
}

// wireError is the client's view of an error.
func wireError(r *awsapi.Request, err error) *awsapi.Error {
	switch e := err.(type) {
	case *awsapi.Error:
		return e
	case *fault:
		return e.wire.toClient(r.Protocol, e.text)
	case *service.QueueError:
		if w, ok := wireFaults[e.Fault]; ok {
			return w.toClient(r.Protocol, e.Message)
		}
	}
	var e *model.Error
	if !errors.As(err, &e) {
		if r.Log != nil {
			r.Log.Error("request failed", slog.String("operation", r.Operation), slog.Any("error", err))
		}
		return errInternal.toClient(r.Protocol, "")
	}
	w, known := wireErrors[e.Kind]
	if !known {
		w = errInternal
	}
	return w.toClient(r.Protocol, e.Message)
}

// toClient is the error in the words of a protocol.
func (w wire) toClient(p awsapi.Protocol, message string) *awsapi.Error {
	e := &awsapi.Error{Code: w.code, Namespace: w.namespace, QueryCode: w.query, Message: message, HTTPStatus: w.status}
	if e.HTTPStatus == 0 {
		e.HTTPStatus = 400
	}
	e.Sender = e.HTTPStatus < 500
	if w.message != "" {
		e.Message = w.message
	}
	if w.queryMessage != "" && p == awsapi.Query {
		e.Message = w.queryMessage
	}
	return e
}

func isNotFound(err error) bool {
	var e *model.Error
	return errors.As(err, &e) && e.Kind == model.ErrNotFound
}
