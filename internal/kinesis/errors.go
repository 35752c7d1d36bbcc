package kinesis

import (
	"errors"
	"fmt"
	"log/slog"

	"weir.dev/weir/internal/awsapi"
	"weir.dev/weir/internal/model"
	"weir.dev/weir/internal/service"
)

// wire is how one error looks to a client; a status of 0 is 400. An empty
// message shows the error's own.
type wire struct {
	code    string
	status  int
	message string
}

const (
	msgInternal       = "Internal Service Failure."
	msgUnknownOutcome = "The outcome of the request is unknown: it may or may not have taken effect. Retrying with the same amz-sdk-invocation-id is safe."
)

var (
	errInternal        = wire{"InternalFailure", 500, msgInternal}
	errInvalidArgument = wire{code: "InvalidArgumentException"}
	errNotFound        = wire{code: "ResourceNotFoundException"}
	errInUse           = wire{code: "ResourceInUseException"}
	errLimitExceeded   = wire{code: "LimitExceededException"}
	errThroughput      = wire{code: "ProvisionedThroughputExceededException"}
)

// wireErrors has one row for each model.ErrorKind. SDKs try again, with the
// same invocation id, after a 500 or 503.
var wireErrors = map[model.ErrorKind]wire{
	model.ErrInternal:        errInternal,
	model.ErrUnavailable:     {code: "ServiceUnavailable", status: 503},
	model.ErrUnknownOutcome:  {"InternalFailure", 500, msgUnknownOutcome},
	model.ErrNotAbroad:       {code: "InternalFailure", status: 500},
	model.ErrNotOnAll:        {code: "InternalFailure", status: 500},
	model.ErrValidation:      errInvalidArgument,
	model.ErrNotFound:        errNotFound,
	model.ErrInUse:           errInUse,
	model.ErrConditionFailed: errInternal, // no operation of Kinesis has a condition
	model.ErrItemTooLarge:    errInternal, // nor an item
	model.ErrOverLimit:       errLimitExceeded,
	model.ErrReceiptInvalid:  errInternal, // nor a message
	model.ErrNotInflight:     errInternal,
	model.ErrPurgeInProgress: errInternal,
	model.ErrAccessDenied:    {code: "AccessDeniedException"},
	model.ErrUnsupported:     errInvalidArgument,
}

// wireFaults has one row for each service.StreamFault.
var wireFaults = map[service.StreamFault]wire{
	service.FaultStreamNotFound:   errNotFound,
	service.FaultStreamInUse:      errInUse,
	service.FaultStreamArgument:   errInvalidArgument,
	service.FaultStreamValidation: {code: "ValidationException"},
	service.FaultStreamLimit:      errLimitExceeded,
	service.FaultStreamThroughput: errThroughput,
	service.FaultExpiredIterator:  {code: "ExpiredIteratorException"},
	service.FaultExpiredToken:     {code: "ExpiredNextTokenException"},
}

// error is an error that the door itself finds in a request.
func (w wire) error(format string, args ...any) error {
	return w.toClient(fmt.Sprintf(format, args...))
}

// wireError is the client's view of an error.
func wireError(r *awsapi.Request, err error) *awsapi.Error {
	switch e := err.(type) {
	case *awsapi.Error:
		return e
	case *service.StreamError:
		if w, ok := wireFaults[e.Fault]; ok {
			return w.toClient(e.Message)
		}
	}
	var e *model.Error
	if !errors.As(err, &e) {
		if r.Log != nil {
			r.Log.Error("request failed", slog.String("operation", r.Operation), slog.Any("error", err))
		}
		return errInternal.toClient("")
	}
	w, known := wireErrors[e.Kind]
	if !known {
		w = errInternal
	}
	return w.toClient(e.Message)
}

func (w wire) toClient(message string) *awsapi.Error {
	e := &awsapi.Error{Code: w.code, Message: message, HTTPStatus: w.status}
	if e.HTTPStatus == 0 {
		e.HTTPStatus = 400
	}
	e.Sender = e.HTTPStatus < 500
	if w.message != "" {
		e.Message = w.message
	}
	return e
}
