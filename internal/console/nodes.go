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

// changeSettings changes the cluster's settings.
func (c *console) changeSettings(ctx context.Context, _ *http.Request, body []byte) (any, error) {
	var change struct {
		ReplaceAfterMs int64 `json:"replace_after_ms"`
	}
	if err := json.Unmarshal(body, &change); err != nil {
		return nil, model.Errorf(model.ErrValidation, "cannot read the request: %v", err)
	}
	if change.ReplaceAfterMs < 0 {
		return nil, model.Errorf(model.ErrValidation, "a time cannot be negative")
	}
	settings := c.admin.Status(ctx).Settings // the others stay as they are
	settings.ReplaceAfterMs = change.ReplaceAfterMs
	return struct{}{}, c.admin.SetSettings(ctx, settings)
}
