package service

import (
	"bytes"
	"context"
	"encoding/json"
	"slices"
	"strconv"
	"strings"

	"weir.dev/weir/internal/model"
)

const redrivePolicy = "RedrivePolicy"

// redriveText is a redrive policy as SQS writes it.
type redriveText struct {
	Target   string      `json:"deadLetterTargetArn"`
	Receives json.Number `json:"maxReceiveCount"`
}

// redriveValue is the attribute of a spec; "" when it is off.
func redriveValue(spec *model.QueueSpec) string {
	r := &spec.Redrive
	if r.MaxReceives == 0 {
		return ""
	}
	text, err := json.Marshal(redriveText{Target: r.TargetArn, Receives: json.Number(strconv.FormatUint(uint64(r.MaxReceives), 10))})
	if err != nil {
		return "" // a text and a number always have a JSON form
	}
	return string(text)
}

// setRedrive reads a redrive policy, but for the queue that its target names:
// that is resolveRedrive's. An empty one turns it off.
func setRedrive(spec *model.QueueSpec, v string) error {
	if v == "" {
		spec.Redrive = model.RedrivePolicy{}
		return nil
	}
	fields, ok := parseDocument(v)
	if !ok {
		return badRedrive(v, "Redrive policy is not a valid JSON map.")
	}
	for _, name := range []string{"maxReceiveCount", "deadLetterTargetArn"} {
		if _, ok := fields[name]; !ok {
			return badRedrive(v, "Redrive policy does not contain mandatory attribute: "+name+".")
		}
	}
	if len(fields) > 2 {
		return badRedrive(v, "Only following attributes are supported: [maxReceiveCount, deadLetterTargetArn].")
	}
	count := string(bytes.Trim(fields["maxReceiveCount"], `"`)) // SQS takes "5" for 5
	receives, err := strconv.ParseUint(count, 10, 32)
	if err != nil || receives < 1 || receives > model.MaxRedriveReceives {
		return badRedrive(v, "Invalid value for maxReceiveCount: "+count+", valid values are from 1 to 1000 both inclusive.")
	}
	var arn string
	if err := json.Unmarshal(fields["deadLetterTargetArn"], &arn); err != nil {
		return badRedrive(v, "Invalid value for deadLetterTargetArn.")
	}
	parts := strings.Split(arn, ":")
	switch {
	case len(parts) != 6 || parts[0] != "arn":
		return badRedrive(v, "Invalid value for deadLetterTargetArn.")
	case parts[2] != "sqs":
		return badRedrive(v, "Only SQS queues are valid resources for deadLetterTargetArn.")
	case strings.HasSuffix(parts[5], fifoSuffix) != spec.Fifo:
		return badRedrive(v, "Dead-letter queue must be same type of queue as the source.")
	}
	spec.Redrive = model.RedrivePolicy{TargetArn: arn, MaxReceives: uint32(receives)}
	return nil
}

func badRedrive(value, reason string) error {
	return badParameter(redrivePolicy, shortDocument(value), reason)
}

// resolveRedrive finds the queue that a redrive policy names, if a request
// sets one. name is the queue that gets the policy.
func (s *Service) resolveRedrive(ctx context.Context, name string, spec *model.QueueSpec, attrs []QueueAttribute) error {
	set := slices.ContainsFunc(attrs, func(a QueueAttribute) bool { return a.Name == redrivePolicy })
	if !set || spec.Redrive.MaxReceives == 0 {
		return nil
	}
	arn := spec.Redrive.TargetArn
	target, err := s.GetQueue(ctx, nameOfARN(arn))
	if isKind(err, model.ErrNotFound) {
		return badRedrive(redriveValue(spec), "Dead letter target does not exist.")
	}
	if err != nil {
		return err
	}
	if target.Name == name {
		return badRedrive(redriveValue(spec), "A queue cannot be its own dead-letter queue.")
	}
	if !redriveAllowed(target.Spec, name) {
		return badRedrive(redriveValue(spec), "The RedriveAllowPolicy of the dead-letter queue does not allow this queue as its source.")
	}
	spec.Redrive.DeadLetters = target.ID
	return nil
}

// ListDeadLetterSources returns the names of the queues whose dead letters go
// to the queue, in order. Errors: ErrNotFound.
func (s *Service) ListDeadLetterSources(ctx context.Context, queue string, req *ListQueuesRequest) (*ListQueuesResult, error) {
	target, err := s.GetQueue(ctx, queue)
	if err != nil {
		return nil, err
	}
	return s.listQueues(ctx, req, func(r *model.Resource) (bool, error) {
		var spec model.QueueSpec
		d := model.NewDecoder(r.Spec)
		spec.Decode(d)
		return spec.Redrive.DeadLetters == target.ID && spec.Redrive.MaxReceives > 0, d.Done()
	})
}
