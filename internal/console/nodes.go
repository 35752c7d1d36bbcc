package console

import (
	"context"
	"encoding/json"
	"net/http"

	"weir.dev/weir/internal/model"
)

// changeNode lets a member drain or leave.
func (c *console) changeNode(ctx context.Context, r *http.Request, body []byte) (any, error) {
	var id model.NodeID
	if err := id.UnmarshalText([]byte(r.PathValue("id"))); err != nil {
		return nil, model.Errorf(model.ErrValidation, "%v", err)
	}
	var change struct {
		Drain bool `json:"drain"`
		Leave bool `json:"leave"`
	}
	if err := json.Unmarshal(body, &change); err != nil {
		return nil, model.Errorf(model.ErrValidation, "cannot read the request: %v", err)
	}
	return struct{}{}, c.admin.DrainNode(ctx, id, change.Drain, change.Leave)
}

// changeSettings changes those of the cluster's settings that are named.
func (c *console) changeSettings(ctx context.Context, _ *http.Request, body []byte) (any, error) {
	var change struct {
		ReplaceAfterMs *int64 `json:"replace_after_ms"`
		AsyncWindowMs  *int64 `json:"async_window_ms"`
		AsyncWrites    *int64 `json:"async_writes"`
	}
	if err := json.Unmarshal(body, &change); err != nil {
		return nil, model.Errorf(model.ErrValidation, "cannot read the request: %v", err)
	}
	settings := c.admin.Status(ctx).Settings // the others stay as they are
	if ms := change.ReplaceAfterMs; ms != nil {
		if *ms < 0 {
			return nil, model.Errorf(model.ErrValidation, "a time cannot be negative")
		}
		settings.ReplaceAfterMs = *ms
	}
	if ms := change.AsyncWindowMs; ms != nil {
		if *ms < model.MinAsyncWindow.Milliseconds() || *ms > model.MaxAsyncWindow.Milliseconds() {
			return nil, model.Errorf(model.ErrValidation, "the window of async writes is %v to %v", model.MinAsyncWindow, model.MaxAsyncWindow)
		}
		settings.AsyncWindowMs = *ms
	}
	if n := change.AsyncWrites; n != nil {
		if *n < 1 || *n > model.MaxAsyncWrites {
			return nil, model.Errorf(model.ErrValidation, "the number of async writes ahead is 1 to %d", model.MaxAsyncWrites)
		}
		settings.AsyncWrites = *n
	}
	return struct{}{}, c.admin.SetSettings(ctx, settings)
}
