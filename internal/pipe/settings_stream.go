package pipe

import (
	"context"
	"strings"
	"time"

	"weir.dev/weir/internal/model"
	"weir.dev/weir/internal/service"
)

// sourceTraits is what of a source matters to the rest of a pipe's settings.
type sourceTraits struct {
	fifo bool // a FIFO queue
}

// findSource finds the pipe's source, what kind the target is, and fills in what
// goes without saying.
func (e *Engine) findSource(ctx context.Context, s *Settings, spec *model.PipeSpec) (sourceTraits, error) {
	into, _, _ := strings.Cut(s.To, ":")
	switch into {
	case "stream":
		spec.TargetKind = model.KindStream
	case "queue":
		spec.TargetKind = model.KindQueue
	}
	if strings.HasPrefix(s.From, "stream:") {
		return sourceTraits{}, e.findStream(ctx, s, spec)
	}
	var err error
	spec.SourceKind = model.KindQueue
	switch {
	case s.Start != "":
		return sourceTraits{}, model.Errorf(model.ErrValidation, "only a pipe from a stream has a start: from a queue it takes what is there")
	case spec.TargetKind == model.KindQueue:
		return sourceTraits{}, model.Errorf(model.ErrValidation, "a pipe from a queue leads to table:NAME or stream:NAME, not to a queue")
	}
	if spec.Source, err = e.find(ctx, s.From, "queue", model.KindQueue); err != nil {
		return sourceTraits{}, err
	}
	q, err := e.service.GetQueue(ctx, strings.TrimPrefix(s.From, "queue:"))
	if err != nil {
		return sourceTraits{}, err
	}
	spec.SourceSlots = q.Spec.Partitions
	return sourceTraits{fifo: q.Spec.Fifo}, nil
}

func (e *Engine) findStream(ctx context.Context, s *Settings, spec *model.PipeSpec) (err error) {
	spec.SourceKind = model.KindStream
	if spec.Source, err = e.find(ctx, s.From, "stream", model.KindStream); err != nil {
		return err
	}
	if spec.TargetKind == model.KindStream && s.PartitionKey == "" {
		s.PartitionKey = "$key"
	}
	switch s.Start {
	case "":
		s.Start = "oldest"
	case "oldest":
	case "latest":
		spec.StartMs = spec.CreatedMs
	default:
		at, err := time.Parse(time.RFC3339, s.Start)
		if err != nil || at.UnixMilli() < 0 {
			return model.Errorf(model.ErrValidation, "a pipe starts at oldest, latest, or a time such as 2026-01-31T12:00:00Z, not at %q", s.Start)
		}
		spec.StartMs = at.UnixMilli()
	}
	return nil
}

// aimAtQueue finds a target queue. A FIFO queue's messages need a group.
func (e *Engine) aimAtQueue(ctx context.Context, s *Settings, spec *model.PipeSpec) (err error) {
	if spec.Target, err = e.find(ctx, s.To, "queue", model.KindQueue); err != nil {
		return err
	}
	q, err := e.service.GetQueue(ctx, strings.TrimPrefix(s.To, "queue:"))
	if err != nil {
		return err
	}
	spec.TargetSlots = q.Spec.Partitions
	if q.Spec.Fifo && s.Group == "" {
		s.Group = "$key"
	}
	return nil
}

// progressOfStream tells how far a pipe from a stream is.
func (e *Engine) progressOfStream(ctx context.Context, p *service.Pipe) (*Progress, error) {
	lag, err := e.service.PipeLag(ctx, p)
	if err != nil {
		return nil, err
	}
	return &Progress{Backlog: lag.Records, UnderWay: lag.UnderWay, LagSeconds: float64(lag.LagMs) / 1000}, nil
}
