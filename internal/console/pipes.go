package console

import (
	"context"
	"encoding/json"
	"net/http"

	"weir.dev/weir/internal/model"
	"weir.dev/weir/internal/pipe"
)

// Pipe is a pipe in the admin API.
type Pipe struct {
	Name   string            `json:"name"`
	From   string            `json:"from"`             // queue:NAME or stream:NAME
	To     string            `json:"to"`               // table:NAME or stream:NAME; from a stream queue:NAME, too
	Key    map[string]string `json:"key"`              // attribute: source
	Update string            `json:"update"`           // update expression
	Names  map[string]string `json:"names,omitempty"`  // #name: attribute
	Values map[string]string `json:"values,omitempty"` // :value: source
	// PartitionKey and Data are sources of a record's parts, Data and Group of a
	// message's; Data "" is the body.
	PartitionKey string        `json:"partition_key,omitempty"`
	Data         string        `json:"data,omitempty"`
	Group        string        `json:"group,omitempty"`
	Start        string        `json:"start,omitempty"`       // from a stream: oldest, latest, or a time
	Rate         float64       `json:"rate"`                  // messages per second; 0 is no limit
	DeadLetter   string        `json:"dead_letter,omitempty"` // queue:NAME
	Paused       bool          `json:"paused"`
	Progress     *PipeProgress `json:"progress,omitempty"` // of GET /api/pipes/NAME
}

// PipeProgress tells how far a pipe is.
type PipeProgress struct {
	Backlog      uint64  `json:"backlog"`       // messages that wait at the source
	UnderWay     uint64  `json:"under_way"`     // claimed, in flight elsewhere, or delayed
	DrainSeconds float64 `json:"drain_seconds"` // at the set rate; 0 without a limit
	LagSeconds   float64 `json:"lag_seconds"`   // from a stream: how long the oldest record has waited
}

// PipeChange is the body of PATCH /api/pipes/NAME; nil leaves a setting.
type PipeChange struct {
	Rate   *float64 `json:"rate,omitempty"`
	Paused *bool    `json:"paused,omitempty"`
}

func fromSettings(s *pipe.Settings) Pipe {
	return Pipe{
		Name: s.Name, From: s.From, To: s.To, Key: s.Key, Update: s.Update, Names: s.Names, Values: s.Values,
		PartitionKey: s.PartitionKey, Data: s.Data, Group: s.Group, Start: s.Start, Rate: s.Rate, DeadLetter: s.DeadLetter, Paused: s.Paused,
	}
}

func (c *console) listPipes(ctx context.Context, _ *http.Request, _ []byte) (any, error) {
	all, err := c.pipes.List(ctx)
	if err != nil {
		return nil, err
	}
	list := make([]Pipe, len(all))
	for i, s := range all {
		list[i] = fromSettings(s)
	}
	return list, nil
}

func (c *console) createPipe(ctx context.Context, _ *http.Request, body []byte) (any, error) {
	var p Pipe
	if err := json.Unmarshal(body, &p); err != nil {
		return nil, model.Errorf(model.ErrValidation, "malformed JSON: %v", err)
	}
	s := &pipe.Settings{
		Name: p.Name, From: p.From, To: p.To, Key: p.Key, Update: p.Update, Names: p.Names, Values: p.Values,
		PartitionKey: p.PartitionKey, Data: p.Data, Group: p.Group, Start: p.Start, Rate: p.Rate, DeadLetter: p.DeadLetter, Paused: p.Paused,
	}
	if err := c.pipes.Create(ctx, s); err != nil {
		return nil, err
	}
	return fromSettings(s), nil
}

func (c *console) describePipe(ctx context.Context, r *http.Request, _ []byte) (any, error) {
	s, progress, err := c.pipes.Describe(ctx, r.PathValue("name"))
	if err != nil {
		return nil, err
	}
	p := fromSettings(s)
	p.Progress = &PipeProgress{Backlog: progress.Backlog, UnderWay: progress.UnderWay, DrainSeconds: progress.DrainSeconds, LagSeconds: progress.LagSeconds}
	return p, nil
}

func (c *console) updatePipe(ctx context.Context, r *http.Request, body []byte) (any, error) {
	var change PipeChange
	if err := json.Unmarshal(body, &change); err != nil {
		return nil, model.Errorf(model.ErrValidation, "malformed JSON: %v", err)
	}
	return struct{}{}, c.pipes.Change(ctx, r.PathValue("name"), change.Rate, change.Paused)
}

func (c *console) deletePipe(ctx context.Context, r *http.Request, _ []byte) (any, error) {
	return struct{}{}, c.pipes.Delete(ctx, r.PathValue("name"))
}
