package console

import (
	"context"
	"encoding/json"
	"net/http"
	"time"

	"weir.dev/weir/internal/model"
	"weir.dev/weir/internal/region"
)

// DefaultVerifyEvery is how often the sides of a link are compared.
const DefaultVerifyEvery = region.DefaultVerifyEvery

// Verification is a comparison of the two sides of a link:
// GET /api/region/links/NAME/verify.
type Verification struct {
	Started time.Time `json:"started"`
	Done    bool      `json:"done"`
	Seconds float64   `json:"seconds"`
	// What was compared so far, and what was read of it here.
	Tables      int          `json:"tables"`
	Queues      int          `json:"queues"`
	Streams     int          `json:"streams"`
	Items       uint64       `json:"items"`
	Messages    uint64       `json:"messages"`
	Records     uint64       `json:"records"`   // consumers' positions count, too
	Exchanges   int          `json:"exchanges"` // requests to the other region
	Found       int          `json:"found"`
	Repaired    int          `json:"repaired"`
	Unsettled   int          `json:"unsettled,omitempty"` // places that changed at every look
	Differences []Difference `json:"differences"`         // at most 1,000
	Error       string       `json:"error,omitempty"`
}

// Difference is an item, a message, a record or a position that the two sides do
// not both have, or have different.
type Difference struct {
	Kind     string    `json:"kind"` // table, queue or stream
	Name     string    `json:"name"`
	Key      string    `json:"key"`            // the item's key, the message's id, the shard and sequence number or the group
	What     string    `json:"what"`           // missing there, missing here, differs
	Here     time.Time `json:"here,omitzero"`  // when what is here of an item was written
	There    time.Time `json:"there,omitzero"` // when what is there was written
	Repaired bool      `json:"repaired,omitempty"`
}

func (c *console) verifyLink(ctx context.Context, r *http.Request, body []byte) (any, error) {
	var req struct {
		Repair bool `json:"repair"`
	}
	if err := json.Unmarshal(body, &req); err != nil {
		return nil, model.Errorf(model.ErrValidation, "malformed JSON: %v", err)
	}
	return struct{}{}, c.regions.Verify(ctx, r.PathValue("name"), req.Repair)
}

func (c *console) showVerification(ctx context.Context, r *http.Request, _ []byte) (any, error) {
	v, err := c.regions.Verified(ctx, r.PathValue("name"))
	if err != nil {
		return nil, err
	}
	view := Verification{
		Started: v.Started.UTC(), Done: !v.Ended.IsZero(), Seconds: time.Since(v.Started).Seconds(),
		Tables: v.Tables, Queues: v.Queues, Streams: v.Streams, Items: v.Items, Messages: v.Messages, Records: v.Records, Exchanges: v.Exchanges,
		Found: v.Found, Repaired: v.Repaired, Unsettled: v.Unsettled, Differences: []Difference{}, Error: v.Err,
	}
	if view.Done {
		view.Seconds = v.Ended.Sub(v.Started).Seconds()
	}
	for i := range v.Differences {
		view.Differences = append(view.Differences, differenceView(&v.Differences[i]))
	}
	return view, nil
}

var kindNames = map[model.ResourceKind]string{model.KindTable: "table", model.KindQueue: "queue", model.KindStream: "stream"}

func differenceView(d *region.Difference) Difference {
	view := Difference{Kind: kindNames[d.Kind], Name: d.Name, Key: d.Key, What: d.What, Repaired: d.Repaired}
	if d.Here.Stamp != 0 {
		view.Here = d.Here.Stamp.Time().UTC()
	}
	if d.There.Stamp != 0 {
		view.There = d.There.Stamp.Time().UTC()
	}
	return view
}
