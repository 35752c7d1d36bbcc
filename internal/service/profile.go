package service

import "fmt"

// Profile is a set of limits that Weir does not need and AWS has: with them an
// application meets what it will meet there. The zero Profile has none.
type Profile struct {
	// FifoCalls is how many calls of each kind (send, receive, delete) one node
	// takes for a FIFO queue without high throughput in a second, and FifoMessages
	// how many messages in those of a batch. Zero is no limit.
	FifoCalls, FifoMessages int
	// MoveTasks is how many tasks that move messages may run at once. Zero is no
	// limit.
	MoveTasks int
	// Streams says that Kinesis' quotas hold: see stream_limits.go.
	Streams bool
}

// AWSProfile has the quotas of AWS. Source: Amazon SQS Developer Guide, "Amazon
// SQS message quotas" and "Dead-letter queue redrive".
var AWSProfile = Profile{FifoCalls: 300, FifoMessages: 3000, MoveTasks: 100, Streams: true}

// ParseProfile is the profile of that name: "none" or "aws".
func ParseProfile(name string) (Profile, error) {
	switch name {
	case "", "none":
		return Profile{}, nil
	case "aws":
		return AWSProfile, nil
	}
	return Profile{}, fmt.Errorf("there are no limits named %q, only none and aws", name)
}

// SetProfile sets the limits; before the service is used.
func (s *Service) SetProfile(p Profile) { s.profile = p }
