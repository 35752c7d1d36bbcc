package kinesis

import (
	"strconv"
	"strings"

	"weir.dev/weir/internal/awsapi"
	"weir.dev/weir/internal/service"
)

// A stream's ARN is
//
//	arn:aws:kinesis:<region>:<account>:stream/<name>
//
// and a registered consumer's adds when it was registered, in Unix seconds:
//
//	.../consumer/<name>:<seconds>

func (c *call) arnPrefix() string {
	return "arn:aws:kinesis:" + c.req.Region + ":" + c.req.Account + ":stream/"
}

func (c *call) streamARN(name string) string { return c.arnPrefix() + name }

func (c *call) consumerARN(co *service.Consumer) string {
	return c.arnPrefix() + co.Stream.Name + "/consumer/" + co.Name + ":" + strconv.FormatInt(co.CreatedMs/1000, 10)
}

type text = awsapi.Opt[string]

// stream is the stream that a request names, in one way or several.
func (c *call) stream(name, arn, id text) (ref service.StreamRef, err error) {
	if !name.Set && !arn.Set && !id.Set {
		return ref, errInvalidArgument.error("Either StreamName, StreamARN or StreamId must be specified.")
	}
	ref = service.StreamRef{Name: name.V, ID: id.V, Account: c.req.Account}
	if !arn.Set {
		return ref, nil
	}
	named, err := c.nameIn(arn.V)
	if err != nil {
		return ref, err
	}
	if name.Set && name.V != named {
		return ref, errInvalidArgument.error("StreamName %s and StreamARN %s name different streams.", name.V, arn.V)
	}
	ref.Name = named
	return ref, nil
}

// nameIn is the name in a stream's ARN, of this region and account.
func (c *call) nameIn(arn string) (string, error) {
	name, ok := strings.CutPrefix(arn, c.arnPrefix())
	if !ok || name == "" || strings.ContainsAny(name, "/:") {
		return "", c.notHere(arn)
	}
	return name, nil
}

// notHere refuses an ARN that names nothing of this region and account.
func (c *call) notHere(arn string) error {
	return errNotFound.error("%s does not exist in account %s and region %s.", arn, c.req.Account, c.req.Region)
}

// resource is a stream, or a consumer of one, by its ARN.
func (c *call) resource(arn, id text) (ref service.ConsumerRef, isConsumer bool, err error) {
	if stream, rest, ok := strings.Cut(arn.V, "/consumer/"); ok {
		ref.StreamRef, err = c.stream(text{}, awsapi.Some(stream), id)
		if err != nil {
			return ref, true, err
		}
		name, created, ok := strings.Cut(rest, ":")
		seconds, bad := strconv.ParseInt(created, 10, 48)
		if !ok || bad != nil || name == "" {
			return ref, true, c.notHere(arn.V)
		}
		ref.Consumer, ref.CreatedMs = name, seconds*1000
		return ref, true, nil
	}
	ref.StreamRef, err = c.stream(text{}, arn, id)
	return ref, false, err
}

// consumer is the registered consumer that a request names by its own ARN, or
// by its name and the stream.
func (c *call) consumer(arn, streamARN, streamID, name text) (ref service.ConsumerRef, err error) {
	switch {
	case arn.Set:
		var isConsumer bool
		ref, isConsumer, err = c.resource(arn, streamID)
		if err == nil && !isConsumer {
			err = errInvalidArgument.error("%s is not the ARN of a consumer.", arn.V)
		}
		if err == nil && (name.Set && name.V != ref.Consumer || streamARN.Set && streamARN.V != c.streamARN(ref.Name)) {
			err = errInvalidArgument.error("ConsumerARN %s names another consumer than StreamARN and ConsumerName.", arn.V)
		}
		return ref, err
	case !name.Set || !streamARN.Set && !streamID.Set:
		return ref, errInvalidArgument.error("Either ConsumerARN, or StreamARN and ConsumerName must be specified.")
	}
	ref.Consumer = name.V
	ref.StreamRef, err = c.stream(text{}, streamARN, streamID)
	return ref, err
}

// optional is a text that is left out when it is empty.
func optional(s string) text { return text{V: s, Set: s != ""} }

// set is a pointer to a number that was sent.
func set(o awsapi.Opt[int64]) *int64 {
	if !o.Set {
		return nil
	}
	return &o.V
}
