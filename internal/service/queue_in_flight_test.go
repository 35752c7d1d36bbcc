package service

import (
	"context"
	"testing"

	"weir.dev/weir/internal/model"
)

// TestInFlightOfWholeQueue: the slots of a queue count together, whichever node
// is asked, to about a sixteenth of what is left for each node.
func TestInFlightOfWholeQueue(t *testing.T) {
	const most = 1000
	inCluster(t, func(t *testing.T, nodes []*Service, _ []*liveCluster) {
		ctx := context.Background()
		for _, s := range nodes {
			s.mostInFlight = most
			for range 50 {
				req := SendRequest{Queue: "q", Batch: true}
				for range 10 {
					req.Messages = append(req.Messages, OutgoingMessage{Body: "b"})
				}
				if _, err := s.SendMessages(ctx, &req); err != nil {
					t.Fatal(err)
				}
			}
		}
		take := func(at int, wait int64) ([]model.Received, error) {
			return nodes[at%len(nodes)].ReceiveMessages(ctx, &ReceiveRequest{Invocation: model.RequestID(nodes[0].rand.Bytes16()), Queue: "q", Max: 10, Wait: &wait})
		}
		var handles []string
		for at, refused := 0, 0; refused < len(nodes) && at < 1000; at++ {
			got, err := take(at, 0)
			switch {
			case isKind(err, model.ErrOverLimit):
				refused++
			case err != nil:
				t.Fatal(err)
			default:
				refused = 0
				for i := range got {
					handles = append(handles, got[i].Receipt)
				}
			}
		}
		taken := len(handles)
		if taken < most || taken > most+most/countShare*len(nodes) {
			t.Errorf("%d messages were in flight when all nodes refused, want about %d", taken, most)
		}
		if got, err := take(0, 1); err != nil || len(got) != 0 {
			t.Errorf("a long poll beyond the limit: %d, %v", len(got), err)
		}
		for left := taken; left > most-100; left -= 10 {
			req := DeleteMessagesRequest{Queue: "q", Handles: handles[left-10 : left]}
			if _, err := nodes[1].DeleteMessages(ctx, &req); err != nil {
				t.Fatal(err)
			}
		}
		for at := range nodes {
			if got, err := take(at, 0); err != nil || len(got) == 0 {
				t.Errorf("node %d, when some were deleted: %d, %v", at, len(got), err)
			}
		}
	})
}
