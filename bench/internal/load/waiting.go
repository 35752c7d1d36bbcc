package load

import (
	"bytes"
	"fmt"
	"strconv"
	"time"
)

// Messages is how many messages a queue has ready.
func (a *AWS) Messages(url string) (int64, error) {
	answer, err := a.Once("sqs", "GetQueueAttributes", `{"QueueUrl":"`+url+`","AttributeNames":["ApproximateNumberOfMessages"]}`)
	if err != nil {
		return 0, err
	}
	_, rest, ok := bytes.Cut(answer, []byte(`"ApproximateNumberOfMessages":"`))
	digits, _, ok2 := bytes.Cut(rest, []byte(`"`))
	if !ok || !ok2 {
		return 0, fmt.Errorf("a queue does not say how many messages it has: %.200s", answer)
	}
	return strconv.ParseInt(string(digits), 10, 64)
}

// waitSeconds is how long a Waiter waits at a time: the longest that SQS allows.
const waitSeconds = 20

// Waiter waits for messages of a queue through one node, waitSeconds at a time,
// and sends some.
type Waiter struct{ *cycle }

// Waiter opens a connection to the node of that number.
func (a *AWS) Waiter(url string, node int) (*Waiter, error) {
	c, err := a.cycle(node, url, 1, 0, "")
	if err != nil {
		return nil, err
	}
	c.receiveBody = []byte(`{"QueueUrl":"` + url + `","MaxNumberOfMessages":1,"WaitTimeSeconds":` + strconv.Itoa(waitSeconds) + `}`)
	return &Waiter{c}, nil
}

// Wait waits until a message is there, which it does not delete; false when none
// came.
func (w *Waiter) Wait() (bool, error) {
	w.conn.allow(waitSeconds*time.Second + callTimeout)
	answer, err := w.call(w.receive, w.receiveBody)
	return err == nil && w.takeHandles(answer) > 0, err
}

// Delete deletes what Wait was given.
func (w *Waiter) Delete() error {
	_, err := w.call(w.remove, w.removeBody())
	return err
}

// Send sends a message.
func (w *Waiter) Send() error { return w.sendBatch() }
