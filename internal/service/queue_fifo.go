package service

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"

	"weir.dev/weir/internal/model"
)

// maxMessageIDBytes is SQS's limit on group and deduplication ids.
const maxMessageIDBytes = 128

// notForQueueType is SQS's reason against a parameter that the other type of
// queue has.
const notForQueueType = "The request include parameter that is not valid for this queue type."

// checkOrder holds the message's group, deduplication id and delay to the rules
// of the queue's type, in SQS's order.
func (m *OutgoingMessage) checkOrder(spec *model.QueueSpec) error {
	if err := checkMessageID("MessageGroupId", m.Group); err != nil {
		return err
	}
	if !spec.Fifo {
		if m.Dedup != "" {
			return badParameter("MessageDeduplicationId", shortHandle(m.Dedup), notForQueueType)
		}
		return nil
	}
	if m.Group == "" {
		return queueFault(FaultMissing, "The request must contain the parameter MessageGroupId.")
	}
	if err := checkMessageID("MessageDeduplicationId", m.Dedup); err != nil {
		return err
	}
	if m.Dedup == "" && !spec.ContentDedup {
		return queueFault(FaultParameter, "The queue should either have ContentBasedDeduplication enabled or MessageDeduplicationId provided explicitly")
	}
	if m.Delay != nil && *m.Delay != 0 {
		return badParameter("DelaySeconds", *m.Delay, notForQueueType)
	}
	return nil
}

// CheckGroup refuses texts that are no group of a message. Errors: those of
// SendMessage.
func CheckGroup(group string) error {
	if group == "" {
		return queueFault(FaultMissing, "The request must contain the parameter MessageGroupId.")
	}
	return checkMessageID("MessageGroupId", group)
}

// checkMessageID holds an id to 1 to 128 alphanumeric and punctuation
// characters; an empty one is none.
func checkMessageID(name, id string) error {
	for i := range len(id) {
		if id[i] <= ' ' || id[i] > '~' || i == maxMessageIDBytes {
			return badParameter(name, shortHandle(id), name+" can only include alphanumeric and punctuation characters. 1 to 128 in length.")
		}
	}
	return nil
}

// dedupID is what a FIFO queue knows the message by: the id that the client
// gave, else the SHA-256 of the body.
func (m *OutgoingMessage) dedupID(spec *model.QueueSpec) string {
	if !spec.Fifo || m.Dedup != "" {
		return m.Dedup
	}
	sum := sha256.Sum256([]byte(m.Body))
	return hex.EncodeToString(sum[:])
}

// SequenceNumber is FIFO's SequenceNumber of the message with that number: 20
// digits that grow as texts, too.
func SequenceNumber(seq uint64) string { return fmt.Sprintf("188%017d", seq) }
