package pipe

import (
	"context"
	"encoding/json"
	"errors"
	"math"
	"regexp"
	"strings"

	"weir.dev/weir/internal/model"
	"weir.dev/weir/internal/service"
)

// Settings describe a pipe as its author does.
type Settings struct {
	Name   string            // letters, digits, - and _, at most 64
	From   string            // queue:NAME or stream:NAME
	To     string            // table:NAME or stream:NAME; from a stream queue:NAME, too
	Key    map[string]string // the item's key attributes, each from a Source
	Update string            // the update expression for each message
	Names  map[string]string // of the expression
	Values map[string]string // of the expression, each from a Source
	// PartitionKey and Data are of the records that go into a stream, Data and Group
	// of the messages that go into a queue, each from a Source. Data "" is the body.
	// From a stream, PartitionKey and the Group of a FIFO queue are $key unless set.
	PartitionKey, Data string
	Group              string `json:",omitempty"`
	// Start is where a pipe from a stream begins: oldest, latest, or a time by RFC
	// 3339; "" is oldest.
	Start      string  `json:",omitempty"`
	Rate       float64 // messages per second; 0 is no limit
	DeadLetter string  // queue:NAME; made when missing; "" is queue:PIPE-dead
	Paused     bool
}

// Progress tells how far a pipe is.
type Progress struct {
	Backlog      uint64  // messages that wait at the source
	UnderWay     uint64  // messages claimed, received by others or delayed
	DrainSeconds float64 // at the set rate; 0 without a limit
	LagSeconds   float64 // from a stream: how long the oldest record has waited
}

// maxRate is the highest rate that can be set: far above what a node does.
const maxRate = 1e7

var pipeName = regexp.MustCompile(`^[A-Za-z0-9_-]{1,64}$`)

// Create makes a pipe. Errors: ErrValidation, ErrNotFound (source or target),
// ErrInUse (the name).
func (e *Engine) Create(ctx context.Context, s *Settings) error {
	if !pipeName.MatchString(s.Name) {
		return model.Errorf(model.ErrValidation, "a pipe's name has 1 to 64 letters, digits, hyphens and underscores, not %q", s.Name)
	}
	spec := model.PipeSpec{TargetKind: model.KindTable, Paused: s.Paused, MaxClaims: maxDriving, BatchMax: maxPortion, CreatedMs: e.clock.Now().UnixMilli()}
	var err error
	if spec.RateMilli, err = rateMilli(s.Rate); err != nil {
		return err
	}
	source, err := e.findSource(ctx, s, &spec)
	if err != nil {
		return err
	}
	text := mappingText{Key: s.Key, Update: s.Update, Names: s.Names, Values: s.Values, PartitionKey: s.PartitionKey, Data: s.Data, Group: s.Group}
	if spec.Mapping, err = json.Marshal(text); err != nil {
		return err
	}
	m, err := compileMapping(spec.Mapping)
	if err != nil {
		return err
	}
	if err := m.check(spec.TargetKind); err != nil {
		return err
	}
	if err := e.aim(ctx, s, &spec); err != nil {
		return err
	}
	if s.DeadLetter == "" {
		s.DeadLetter = "queue:" + s.Name + "-dead"
	}
	if spec.DeadLetters, err = e.findOrMakeQueue(ctx, s.DeadLetter); err != nil {
		return err
	}
	letters, err := e.service.GetQueue(ctx, strings.TrimPrefix(s.DeadLetter, "queue:"))
	if err != nil {
		return err
	}
	if letters.Spec.Fifo && !source.fifo {
		return model.Errorf(model.ErrValidation, "the messages of a standard queue, and records, have no groups, which a FIFO queue needs: choose a standard queue for the dead letters")
	}
	if spec.DeadLetters == spec.Source {
		return model.Errorf(model.ErrValidation, "a pipe's dead letters cannot go back into its source")
	}
	shown, err := json.Marshal(s)
	if err != nil {
		return err
	}
	spec.Text = string(shown)
	if len(plan(&spec)) > model.MaxMappingBytes {
		return model.Errorf(model.ErrValidation, "the pipe's mapping is larger than %d bytes", model.MaxMappingBytes)
	}
	_, err = e.service.CreatePipe(ctx, s.Name, &spec)
	return err
}

// aim finds the pipe's target.
func (e *Engine) aim(ctx context.Context, s *Settings, spec *model.PipeSpec) (err error) {
	switch spec.TargetKind {
	case model.KindStream:
		spec.Target, err = e.find(ctx, s.To, "stream", model.KindStream)
		if err == nil && spec.Target == spec.Source {
			err = model.Errorf(model.ErrValidation, "a pipe cannot lead from a stream into itself")
		}
		return err
	case model.KindQueue:
		return e.aimAtQueue(ctx, s, spec)
	}
	if spec.Target, err = e.find(ctx, s.To, "table", model.KindTable); err != nil {
		return err
	}
	for _, t := range e.cluster.Catalog().Tablets {
		if t.ID != model.CatalogTablet {
			spec.Bounds = append(spec.Bounds, model.Slot(t.Lo))
		}
	}
	return e.checkKey(ctx, s.To, s.Key)
}

func rateMilli(rate float64) (uint64, error) {
	if math.IsNaN(rate) || rate < 0 || rate > maxRate {
		return 0, model.Errorf(model.ErrValidation, "a rate is between 0 (no limit) and %v messages per second", maxRate)
	}
	if rate > 0 && rate < 0.001 {
		return 0, model.Errorf(model.ErrValidation, "the lowest rate is 0.001 messages per second")
	}
	return uint64(math.Round(rate * 1000)), nil
}

// find looks up what kind:NAME names.
func (e *Engine) find(ctx context.Context, ref, word string, kind model.ResourceKind) (model.ResourceID, error) {
	name, ok := strings.CutPrefix(ref, word+":")
	if !ok || name == "" {
		return 0, model.Errorf(model.ErrValidation, "%q does not name a %s; write %s:NAME", ref, word, word)
	}
	id, err := e.service.ResourceID(ctx, kind, name)
	var known *model.Error
	if errors.As(err, &known) && known.Kind == model.ErrNotFound {
		return 0, model.Errorf(model.ErrNotFound, "there is no %s named %s", word, name)
	}
	return id, err
}

// checkKey holds the mapping's key to the table's: every key attribute has a
// source, and no other has.
func (e *Engine) checkKey(ctx context.Context, to string, key map[string]string) error {
	t, err := e.service.DescribeTable(ctx, strings.TrimPrefix(to, "table:"))
	if err != nil {
		return err
	}
	wanted := []string{t.Spec.Partition.Name}
	if t.Spec.HasSort() {
		wanted = append(wanted, t.Spec.Sort.Name)
	}
	for _, name := range wanted {
		if key[name] == "" {
			return model.Errorf(model.ErrValidation, "the table's key attribute %s has no source: add --key '%s=$.path'", name, name)
		}
	}
	if len(key) != len(wanted) {
		return model.Errorf(model.ErrValidation, "the table's key is %s and nothing else", strings.Join(wanted, " and "))
	}
	return nil
}

func (e *Engine) findOrMakeQueue(ctx context.Context, ref string) (model.ResourceID, error) {
	id, err := e.find(ctx, ref, "queue", model.KindQueue)
	var known *model.Error
	if !errors.As(err, &known) || known.Kind != model.ErrNotFound {
		return id, err
	}
	if _, err := e.service.CreateQueue(ctx, &service.CreateQueueRequest{Name: strings.TrimPrefix(ref, "queue:")}); err != nil {
		return 0, err
	}
	return e.find(ctx, ref, "queue", model.KindQueue)
}

// remakeDeadLetters makes a pipe's dead-letter queue again when it was deleted.
func (e *Engine) remakeDeadLetters(ctx context.Context, j *job) error {
	if j.mover {
		return nil // a redrive policy names one queue only: it waits for its owner
	}
	s, err := settingsOf(&j.spec)
	if err != nil {
		return err
	}
	id, err := e.findOrMakeQueue(ctx, s.DeadLetter)
	if err != nil {
		return err
	}
	_, err = e.service.UpdatePipe(ctx, j.name, func(p *model.PipeSpec) { p.DeadLetters = id })
	return err
}

// settingsOf reads back what the author wrote, with what was changed since.
func settingsOf(spec *model.PipeSpec) (*Settings, error) {
	s := &Settings{}
	if err := json.Unmarshal([]byte(spec.Text), s); err != nil {
		return nil, err
	}
	s.Rate, s.Paused = float64(spec.RateMilli)/1000, spec.Paused
	return s, nil
}

// List returns all pipes by name.
func (e *Engine) List(ctx context.Context) ([]*Settings, error) {
	pipes, err := e.service.ListPipes(ctx)
	if err != nil {
		return nil, err
	}
	all := make([]*Settings, len(pipes))
	for i, p := range pipes {
		if all[i], err = settingsOf(&p.Spec); err != nil {
			return nil, err
		}
	}
	return all, nil
}

// progressOfQueue tells how far a pipe from a queue is.
func (e *Engine) progressOfQueue(ctx context.Context, s *Settings) (*Progress, error) {
	q, err := e.service.GetQueue(ctx, strings.TrimPrefix(s.From, "queue:"))
	if err != nil {
		return nil, err
	}
	counts, err := e.service.CountQueue(ctx, q)
	if err != nil {
		return nil, err
	}
	return &Progress{Backlog: counts.Visible, UnderWay: counts.InFlight + counts.Claimed + counts.Delayed + counts.Dead}, nil
}

// Describe returns a pipe and how far it is. Errors: ErrNotFound.
func (e *Engine) Describe(ctx context.Context, name string) (*Settings, *Progress, error) {
	p, err := e.service.GetPipe(ctx, name)
	if err != nil {
		return nil, nil, err
	}
	s, err := settingsOf(&p.Spec)
	if err != nil {
		return nil, nil, err
	}
	var pr *Progress
	if p.Spec.SourceKind == model.KindStream {
		pr, err = e.progressOfStream(ctx, p)
	} else {
		pr, err = e.progressOfQueue(ctx, s)
	}
	if err != nil {
		return s, nil, err
	}
	if s.Rate > 0 {
		pr.DrainSeconds = float64(pr.Backlog+pr.UnderWay) / s.Rate
	}
	return s, pr, nil
}

// Change changes a pipe while it runs; nil leaves a setting as it is. Errors:
// ErrNotFound, ErrValidation.
func (e *Engine) Change(ctx context.Context, name string, rate *float64, paused *bool) error {
	milli := uint64(0)
	if rate != nil {
		var err error
		if milli, err = rateMilli(*rate); err != nil {
			return err
		}
	}
	_, err := e.service.UpdatePipe(ctx, name, func(p *model.PipeSpec) {
		if rate != nil {
			p.RateMilli = milli
		}
		if paused != nil {
			p.Paused = *paused
		}
		p.ModifiedMs = e.clock.Now().UnixMilli()
	})
	return err
}

// Delete removes a pipe. Messages that it has claimed are applied; all others
// stay in the queue. Errors: ErrNotFound.
func (e *Engine) Delete(ctx context.Context, name string) error {
	return e.service.DeletePipe(ctx, name)
}

// requestID names a command of the engine's own.
func (e *Engine) requestID() model.RequestID { return model.RequestID(e.rand.Bytes16()) }
