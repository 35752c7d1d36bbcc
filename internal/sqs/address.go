package sqs

import (
	"strings"

	"weir.dev/weir/internal/awsapi"
)

// queueURL is the URL of a queue as this client reaches it: clients send their
// next requests to it.
func (c *call) queueURL(name string) string {
	r := c.req
	return r.Scheme + "://" + r.Host + "/" + r.Account + "/" + name
}

// queueARN is the queue's Amazon Resource Name.
func (c *call) queueARN(name string) string {
	return arnPrefix + c.req.Region + ":" + c.req.Account + ":" + name
}

const arnPrefix = "arn:aws:sqs:"

// queue finds the name of the queue that a request is for: QueueUrl, or for
// clients of the Query protocol the path of the URL that they called.
func (c *call) queue(url awsapi.Opt[string]) (string, error) {
	if !url.Set && c.req.Protocol == awsapi.Query && strings.Trim(c.req.Path, "/") != "" {
		url = awsapi.Some(c.req.Path)
	}
	if url.V == "" {
		return "", missing("QueueUrl")
	}
	name, ok := queueName(url.V)
	if !ok {
		return "", errInvalidAddress.error("The address %s is not valid for this endpoint.", shortened(url.V))
	}
	return name, nil
}

// queueName takes the name from a queue's URL, whatever its host: a queue is
// reached under every name that its cluster has. A bare name will do, too.
func queueName(url string) (name string, ok bool) {
	url, _, _ = strings.Cut(url, "?")
	url = strings.TrimSuffix(url, "/")
	at := strings.LastIndexByte(url, '/')
	if at < 0 {
		return url, url != ""
	}
	name = url[at+1:]
	account := url[strings.LastIndexByte(url[:at], '/')+1 : at]
	return name, name != "" && isAccount(account)
}

func isAccount(s string) bool {
	if len(s) != 12 {
		return false
	}
	for i := range len(s) {
		if s[i]-'0' > 9 {
			return false
		}
	}
	return true
}

// maxShownBytes bounds how much of a refused value an error repeats.
const maxShownBytes = 512

// shortened is a refused value as an error repeats it.
func shortened(s string) string {
	if len(s) <= maxShownBytes {
		return s
	}
	return strings.ToValidUTF8(s[:maxShownBytes], "") + "..."
}
