package dynamo

import (
	"errors"
	"fmt"
	"log/slog"

	"weir.dev/weir/internal/awsapi"
	"weir.dev/weir/internal/model"
)

// wire is how one kind of error looks to a client. An empty message shows the
// error's own.
type wire struct {
	code    string
	status  int
	message string
}

// wireErrors has one row for each model.ErrorKind. SDKs try again, with the
// same invocation id, after a 500 or 503 and after throttling.
var wireErrors = map[model.ErrorKind]wire{
	model.ErrInternal:        {"InternalServerError", 500, "The request could not be processed because of an internal error"},
	model.ErrUnavailable:     {"ServiceUnavailable", 503, ""},
	model.ErrUnknownOutcome:  {"InternalServerError", 500, msgUnknownOutcome},
	model.ErrNotAbroad:       {"InternalServerError", 500, ""},
	model.ErrNotOnAll:        {"InternalServerError", 500, ""},
	model.ErrValidation:      {"ValidationException", 400, ""},
	model.ErrNotFound:        {"ResourceNotFoundException", 400, msgNotFound},
	model.ErrInUse:           {"ResourceInUseException", 400, ""},
	model.ErrConditionFailed: {"ConditionalCheckFailedException", 400, "The conditional request failed"},
	model.ErrItemTooLarge:    {"ValidationException", 400, ""},
	model.ErrOverLimit:       {"LimitExceededException", 400, ""},
	model.ErrReceiptInvalid:  {"InternalServerError", 500, "The request could not be processed because of an internal error"},
	model.ErrNotInflight:     {"InternalServerError", 500, "The request could not be processed because of an internal error"},
	model.ErrPurgeInProgress: {"InternalServerError", 500, "The request could not be processed because of an internal error"},
	model.ErrAccessDenied:    {"AccessDeniedException", 400, ""},
	model.ErrUnsupported:     {"ValidationException", 400, ""},
}

const (
	msgNotFound       = "Requested resource not found"
	msgUnknownOutcome = "The outcome of the request is unknown: it may or may not have taken effect. Retrying with the same amz-sdk-invocation-id is safe."
)

// namespaces that differ from the service's own, as AWS sends them.
var wireNamespaces = map[string]string{
	"ValidationException":   "com.amazon.coral.validate",
	"AccessDeniedException": "com.amazon.coral.service",
	"ServiceUnavailable":    "com.amazon.coral.service",
}

// notFound is a missing table, named as operations on tables name it.
type notFound struct{ what string }

func (e notFound) Error() string { return msgNotFound + ": " + e.what + " not found" }

// missingTable names the table in the error of an operation on tables.
func missingTable(name string, err error) error {
	var e *model.Error
	if errors.As(err, &e) && e.Kind == model.ErrNotFound {
		return notFound{"Table: " + name}
	}
	return err
}

// wireError is the client's view of an error.
func wireError(r *awsapi.Request, table bool, err error) *awsapi.Error {
	if e, ok := err.(*awsapi.Error); ok {
		return e
	}
	if e, ok := err.(notFound); ok && table {
		return &awsapi.Error{Code: "ResourceNotFoundException", Message: e.Error(), HTTPStatus: 400, Sender: true}
	}
	e, ok := err.(*model.Error)
	if !ok && !errors.As(err, &e) {
		if r.Log != nil {
			r.Log.Error("request failed", slog.String("operation", r.Operation), slog.Any("error", err))
		}
		e = &model.Error{Kind: model.ErrInternal}
	}
	w, known := wireErrors[e.Kind]
	if !known {
		w = wireErrors[model.ErrInternal]
	}
	out := &awsapi.Error{Code: w.code, Namespace: wireNamespaces[w.code], Message: w.message, HTTPStatus: w.status, Sender: w.status < 500}
	if out.Message == "" {
		out.Message = e.Message
	}
	if e.Kind == model.ErrConditionFailed {
		out.Extra = failedItem(e.Item)
	}
	return out
}

// failedItem is the item that a condition refused, for the error's body; nil
// when the client did not ask for it or there is none.
func failedItem(stored []byte) []byte {
	if len(stored) == 0 {
		return nil
	}
	d := model.NewDecoder(stored)
	item := model.DecodeItem(d)
	if d.Done() != nil || len(item) == 0 {
		return nil
	}
	return appendItem([]byte(`"Item":`), item)
}

// invalid is a ValidationException.
func invalid(format string, args ...any) error {
	if len(args) == 0 {
		return awsapi.Validation(format)
	}
	return awsapi.Validation(fmt.Sprintf(format, args...))
}

// badParameter is a ValidationException with AWS's usual beginning.
func badParameter(format string, args ...any) error {
	return awsapi.Validation(msgInvalid + fmt.Sprintf(format, args...))
}
