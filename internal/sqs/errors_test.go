package sqs

import (
	"errors"
	"fmt"
	"slices"
	"testing"

	"weir.dev/weir/internal/awsapi"
	"weir.dev/weir/internal/model"
	"weir.dev/weir/internal/service"
)

// TestErrorTableIsComplete holds the tables to have a row for each kind and
// fault, and none besides.
func TestErrorTableIsComplete(t *testing.T) {
	for k := model.ErrInternal; k <= model.ErrUnsupported; k++ {
		if _, ok := wireErrors[k]; !ok {
			t.Errorf("kind %d has no row", k)
		}
	}
	if len(wireErrors) != int(model.ErrUnsupported) {
		t.Errorf("%d rows for %d kinds", len(wireErrors), model.ErrUnsupported)
	}
	for _, f := range service.QueueFaults {
		if _, ok := wireFaults[f]; !ok {
			t.Errorf("fault %d has no row", f)
		}
	}
	if len(wireFaults) != len(service.QueueFaults) {
		t.Errorf("%d rows for %d faults", len(wireFaults), len(service.QueueFaults))
	}
}

// TestOperationsAreAllThere holds the table of operations to the model's names.
func TestOperationsAreAllThere(t *testing.T) {
	for name := range operations {
		if !slices.Contains(operationNames, name) {
			t.Errorf("%s is no operation of SQS", name)
		}
	}
	for _, name := range operationNames {
		if operations[name] == nil {
			t.Errorf("%s is not served", name)
		}
	}
}

func TestWireErrors(t *testing.T) {
	for _, c := range []struct {
		err            error
		protocol       awsapi.Protocol
		code, query    string
		status         int
		sender, hidden bool
	}{
		{model.Errorf(model.ErrNotFound, "q not found"), awsapi.JSON10, "QueueDoesNotExist", "AWS.SimpleQueueService.NonExistentQueue", 400, true, true},
		{model.Errorf(model.ErrPurgeInProgress, "soon"), awsapi.JSON10, "PurgeQueueInProgress", "AWS.SimpleQueueService.PurgeQueueInProgress", 403, true, false},
		{model.Errorf(model.ErrPurgeInProgress, "soon"), awsapi.Query, "PurgeQueueInProgress", "AWS.SimpleQueueService.PurgeQueueInProgress", 403, true, false},
		{&service.QueueError{Fault: service.FaultMissing, Message: "no"}, awsapi.Query, "MissingRequiredParameterException", "MissingParameter", 400, true, false},
		{fmt.Errorf("cannot send: %w", model.Errorf(model.ErrUnavailable, "no leader")), awsapi.JSON10, "ServiceUnavailable", "ServiceUnavailable", 503, false, false},
		{model.Errorf(model.ErrNotOnAll, "carried out, not on all"), awsapi.JSON10, "InternalFailure", "InternalError", 500, false, false},
		{model.Errorf(model.ErrNotAbroad, "carried out, not abroad"), awsapi.Query, "InternalFailure", "InternalError", 500, false, false},
		{errors.New("secret"), awsapi.JSON10, "InternalFailure", "InternalError", 500, false, true},
		{model.Errorf(200, "secret"), awsapi.Query, "InternalFailure", "InternalError", 500, false, true},
	} {
		e := wireError(&awsapi.Request{Protocol: c.protocol}, c.err)
		if e.Code != c.code || e.QueryCode != c.query || e.HTTPStatus != c.status || e.Sender != c.sender {
			t.Errorf("%v: %+v", c.err, e)
		}
		if hidden := e.Message != c.err.Error() && errors.Unwrap(c.err) == nil; hidden != c.hidden {
			t.Errorf("%v: the message is %q", c.err, e.Message)
		}
	}
}

func TestQueueName(t *testing.T) {
	for url, want := range map[string]string{
		"http://localhost:4566/000000000000/orders":                     "orders",
		"https://sqs.eu-west-1.amazonaws.com/123456789012/orders":       "orders",
		"http://[::1]:4566/000000000000/orders/":                        "orders",
		"/000000000000/orders":                                          "orders",
		"000000000000/orders":                                           "orders",
		"http://localhost:4566/queue/us-east-1/000000000000/orders?x=1": "orders",
		"orders":                             "orders",
		"orders?":                            "orders",
		"":                                   "",
		"/":                                  "",
		"http://localhost:4566/orders":       "",
		"http://localhost:4566/12345/orders": "",
		"http://localhost:4566/00000000000x/orders": "",
		"http://localhost:4566/000000000000/":       "",
	} {
		if got, ok := queueName(url); ok != (want != "") || ok && got != want {
			t.Errorf("%q: %q, %v", url, got, ok)
		}
	}
}
