package console

import (
	"context"
	"net/http"
	"time"

	"weir.dev/weir/internal/service"
)

// Move is a task that moves the messages of a dead-letter queue, in the admin API.
type Move struct {
	Handle      string    `json:"handle,omitempty"` // names it while it runs
	Status      string    `json:"status"`           // RUNNING, COMPLETED, CANCELLING, CANCELLED or FAILED
	Source      string    `json:"source"`
	Destination string    `json:"destination,omitempty"` // "": each message to the queue that it died in
	Rate        int64     `json:"rate"`                  // messages per second; 0: as fast as it goes
	Moved       uint64    `json:"moved"`
	ToMove      uint64    `json:"to_move"`
	Started     time.Time `json:"started"`
	Reason      string    `json:"reason,omitempty"` // of a failure
}

// NewMove is the body of POST /api/queues/NAME/moves.
type NewMove struct {
	Destination string `json:"destination,omitempty"`
	Rate        int64  `json:"rate"`
}

// StartedMove is its answer.
type StartedMove struct {
	Handle string `json:"handle"`
}

// CancelledMove is the answer of DELETE /api/queues/NAME/moves.
type CancelledMove struct {
	Moved uint64 `json:"moved"` // messages, before it was cancelled
}

// maxMovesShown is how many tasks a queue remembers for lists.
const maxMovesShown = 10

func (c *console) listMoves(ctx context.Context, r *http.Request, _ []byte) (any, error) {
	tasks, err := c.queues.ListMoveTasks(ctx, r.PathValue("name"), maxMovesShown)
	if err != nil {
		return nil, err
	}
	list := make([]Move, len(tasks))
	for i := range tasks {
		t := &tasks[i]
		list[i] = Move{
			Handle: t.Handle, Status: t.Status, Source: t.Source, Destination: t.Destination, Rate: t.MaxPerSec,
			Moved: t.Moved, ToMove: t.ToMove, Started: atMs(t.StartedMs), Reason: t.Reason,
		}
	}
	return list, nil
}

func (c *console) startMove(ctx context.Context, r *http.Request, body []byte) (any, error) {
	var n NewMove
	if err := unmarshal(body, &n); err != nil {
		return nil, err
	}
	handle, err := c.queues.StartMoveTask(ctx, &service.MoveTaskRequest{Source: r.PathValue("name"), Destination: n.Destination, MaxPerSec: n.Rate})
	return StartedMove{Handle: handle}, err
}

// cancelMove cancels the task that the parameter handle names.
func (c *console) cancelMove(ctx context.Context, r *http.Request, _ []byte) (any, error) {
	moved, err := c.queues.CancelMoveTask(ctx, r.URL.Query().Get("handle"))
	return CancelledMove{Moved: moved}, err
}
