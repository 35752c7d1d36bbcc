package service

import (
	"context"
	"encoding/json"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"weir.dev/weir/internal/model"
)

// Kinesis' limits on tags and policies.
const (
	maxStreamTags        = 50
	maxStreamPolicyBytes = 20 << 10
)

// addStreamTags returns old with more added, by key; it changes neither.
func addStreamTags(old, more []model.Tag, ref *StreamRef) ([]model.Tag, error) {
	merged := slices.Clone(old)
	for _, t := range more {
		if n := utf8.RuneCountInString(t.Key); n < 1 || n > 128 || utf8.RuneCountInString(t.Value) > 256 || strings.ContainsFunc(t.Key+t.Value, notInTag) {
			return nil, streamFault(FaultStreamArgument, "Some tags contain invalid characters. Valid characters: Unicode letters, digits, white space, _ . / = + - %% @ :")
		}
		at, found := slices.BinarySearchFunc(merged, t.Key, func(t model.Tag, key string) int { return strings.Compare(t.Key, key) })
		if found {
			merged[at] = t
		} else {
			merged = slices.Insert(merged, at, t)
		}
	}
	if len(merged) > maxStreamTags {
		return nil, streamFault(FaultStreamArgument, "Failed to add tags to stream %s under account %s because a given stream cannot have more than %d tags associated with it.",
			ref.Name, ref.account(), maxStreamTags)
	}
	return merged, nil
}

func notInTag(r rune) bool {
	return !unicode.IsLetter(r) && !unicode.IsDigit(r) && !unicode.IsSpace(r) && !strings.ContainsRune("_./=+-%@:", r)
}

func withoutTags(tags []model.Tag, keys []string) []model.Tag {
	return slices.DeleteFunc(slices.Clone(tags), func(t model.Tag) bool { return slices.Contains(keys, t.Key) })
}

// TagStream adds tags, replacing those of the same key. Errors: *StreamError.
func (s *Service) TagStream(ctx context.Context, ref StreamRef, tags []model.Tag) error {
	_, err := s.changeStream(ctx, &ref, func(_ *Stream, spec *model.StreamSpec) (err error) {
		spec.Tags, err = addStreamTags(spec.Tags, tags, &ref)
		return err
	})
	return err
}

// UntagStream removes the tags of those keys; absent ones are no error.
func (s *Service) UntagStream(ctx context.Context, ref StreamRef, keys []string) error {
	_, err := s.changeStream(ctx, &ref, func(_ *Stream, spec *model.StreamSpec) error {
		spec.Tags = withoutTags(spec.Tags, keys)
		return nil
	})
	return err
}

// ListStreamTags returns a stream's tags by key.
func (s *Service) ListStreamTags(ctx context.Context, req *ListStreamTagsRequest) (*ListStreamTagsResult, error) {
	st, err := s.stream(ctx, &req.StreamRef)
	if err != nil {
		return nil, err
	}
	res := &ListStreamTagsResult{}
	for _, t := range st.Spec.Tags {
		switch {
		case req.Start != "" && t.Key <= req.Start:
		case req.Limit > 0 && len(res.Tags) == req.Limit:
			res.More = true
		default:
			res.Tags = append(res.Tags, t)
		}
	}
	return res, nil
}

// checkStreamPolicy refuses what is not a JSON object, and what is too long.
func checkStreamPolicy(policy string) error {
	var fields map[string]json.RawMessage
	if len(policy) > maxStreamPolicyBytes || json.Unmarshal([]byte(policy), &fields) != nil || fields == nil {
		return streamFault(FaultStreamArgument, "The policy is not a JSON object of at most %d bytes.", maxStreamPolicyBytes)
	}
	if _, ok := fields["Statement"]; !ok {
		return streamFault(FaultStreamArgument, "The policy has no Statement.")
	}
	return nil
}

// PutStreamPolicy keeps a resource policy; Weir does not act on it. Errors:
// *StreamError.
func (s *Service) PutStreamPolicy(ctx context.Context, ref StreamRef, policy string) error {
	if err := checkStreamPolicy(policy); err != nil {
		return err
	}
	return s.setStreamPolicy(ctx, ref, policy)
}

// DeleteStreamPolicy removes a resource policy. Errors: *StreamError, also
// when there is none.
func (s *Service) DeleteStreamPolicy(ctx context.Context, ref StreamRef) error {
	if _, err := s.GetStreamPolicy(ctx, ref); err != nil {
		return err
	}
	return s.setStreamPolicy(ctx, ref, "")
}

func (s *Service) setStreamPolicy(ctx context.Context, ref StreamRef, policy string) error {
	_, err := s.changeStream(ctx, &ref, func(_ *Stream, spec *model.StreamSpec) error {
		spec.Policy = policy
		return nil
	})
	return err
}

// GetStreamPolicy returns a stream's resource policy. Errors: *StreamError,
// also when there is none.
func (s *Service) GetStreamPolicy(ctx context.Context, ref StreamRef) (string, error) {
	st, err := s.stream(ctx, &ref)
	if err != nil {
		return "", err
	}
	return shownPolicy(st.Spec.Policy, "stream "+st.Name)
}

func shownPolicy(policy, what string) (string, error) {
	if policy == "" {
		return "", streamFault(FaultStreamNotFound, "No resource policy found for %s.", what)
	}
	return policy, nil
}
