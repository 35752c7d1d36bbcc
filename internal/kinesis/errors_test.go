package kinesis

import (
	"encoding/base64"
	"errors"
	"fmt"
	"maps"
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
	for _, f := range service.StreamFaults {
		if _, ok := wireFaults[f]; !ok {
			t.Errorf("fault %d has no row", f)
		}
	}
	if len(wireFaults) != len(service.StreamFaults) {
		t.Errorf("%d rows for %d faults", len(wireFaults), len(service.StreamFaults))
	}
}

// TestOperations: all of the model's operations are served, and no others.
func TestOperations(t *testing.T) {
	if got := slices.Sorted(maps.Keys(operations)); !slices.Equal(got, operationNames) {
		t.Errorf("served: %v, want %v", got, operationNames)
	}
}

func TestWireErrors(t *testing.T) {
	for _, c := range []struct {
		err            error
		code           string
		status         int
		sender, hidden bool
	}{
		{&service.StreamError{Fault: service.FaultStreamNotFound, Message: "no"}, "ResourceNotFoundException", 400, true, false},
		{&service.StreamError{Fault: service.FaultStreamThroughput, Message: "slow"}, "ProvisionedThroughputExceededException", 400, true, false},
		{&service.StreamError{Fault: 99, Message: "odd"}, "InvalidArgumentException", 400, true, false},
		{fmt.Errorf("cannot put: %w", model.Errorf(model.ErrUnavailable, "no leader")), "ServiceUnavailable", 503, false, false},
		{model.Errorf(model.ErrUnknownOutcome, "timeout"), "InternalFailure", 500, false, true},
		{model.Errorf(model.ErrNotOnAll, "put, not on all"), "InternalFailure", 500, false, false},
		{model.Errorf(model.ErrNotAbroad, "put, not abroad"), "InternalFailure", 500, false, false},
		{errors.New("secret"), "InternalFailure", 500, false, true},
		{model.Errorf(200, "secret"), "InternalFailure", 500, false, true},
	} {
		e := wireError(&awsapi.Request{}, c.err)
		if e.Code != c.code || e.HTTPStatus != c.status || e.Sender != c.sender {
			t.Errorf("%v: %+v", c.err, e)
		}
		if hidden := e.Message != c.err.Error() && errors.Unwrap(c.err) == nil; hidden != c.hidden {
			t.Errorf("%v: the message is %q", c.err, e.Message)
		}
	}
}

var base64std = base64.StdEncoding

func sortedKeys(m map[string]any) []string { return slices.Sorted(maps.Keys(m)) }
