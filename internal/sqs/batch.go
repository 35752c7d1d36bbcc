package sqs

import (
	"strconv"

	"weir.dev/weir/internal/awsapi"
)

// maxBatchEntries is SQS's.
const maxBatchEntries = 10

// maxEntryIDBytes is SQS's.
const maxEntryIDBytes = 80

// checkBatch holds the entries of a batch to the rules that fail the whole
// request. element is how AWS calls an entry; given tells whether the list was
// sent at all, which a form cannot tell from an empty one.
func (c *call) checkBatch(element string, given bool, n int, id func(i int) awsapi.Opt[string]) error {
	switch {
	case !given && c.req.Protocol != awsapi.Query:
		return missing("Entries")
	case n == 0:
		return errEmptyBatch.error("There should be at least one %s in the request.", element)
	case n > maxBatchEntries:
		return errTooManyEntries.error("Maximum number of entries per request are %d. You have sent %d.", maxBatchEntries, n)
	}
	for i := range n {
		v := id(i)
		if !v.Set {
			return missing(element + "." + strconv.Itoa(i+1) + ".Id")
		}
		if !isEntryID(v.V) {
			return errInvalidEntryID.error("A batch entry id can only contain alphanumeric characters, hyphens and underscores. " +
				"It can be at most 80 letters long.")
		}
		for j := range i {
			if id(j).V == v.V {
				return errRepeatedEntryID.error("Id %s repeated.", v.V)
			}
		}
	}
	return nil
}

func isEntryID(s string) bool {
	if s == "" || len(s) > maxEntryIDBytes {
		return false
	}
	for i := range len(s) {
		switch c := s[i]; {
		case c-'0' <= 9, c|0x20 >= 'a' && c|0x20 <= 'z', c == '_', c == '-':
		default:
			return false
		}
	}
	return true
}

// failed is the entry of a batch's answer for what went wrong with one entry.
func (c *call) failed(id awsapi.Opt[string], err error) BatchResultErrorEntry {
	e := wireError(c.req, err)
	code := e.QueryCode
	if code == "" {
		code = e.Code
	}
	return BatchResultErrorEntry{Id: id, SenderFault: awsapi.Some(e.Sender), Code: awsapi.Some(code), Message: awsapi.Some(e.Message)}
}
