package service

import (
	"context"
	"fmt"
	"testing"

	"weir.dev/weir/internal/model"
)

func TestQueueBacklogs(t *testing.T) {
	s, c := newQueue(t)
	ctx := context.Background()
	for i := range 3 {
		if _, err := s.CreateQueue(ctx, &CreateQueueRequest{Name: fmt.Sprint("r", i)}); err != nil {
			t.Fatal(err)
		}
	}
	mustSend(t, s, "a", "b")
	list, all := s.QueueBacklogs(ctx, 10)
	if all != 4 || len(list) != 4 || list[0].Name != "q" || list[0].Counts.Visible != 2 || list[3].Name != "r2" {
		t.Errorf("%d queues: %+v", all, list)
	}
	if list, all = s.QueueBacklogs(ctx, 2); all != 4 || len(list) != 2 {
		t.Errorf("at most two: %d of %d", len(list), all)
	}
	ended, cancel := context.WithCancel(ctx)
	cancel()
	if list, all = s.QueueBacklogs(ended, 10); all != 4 || len(list) != 0 {
		t.Errorf("without time: %d of %d", len(list), all)
	}
	c.Led = func(model.TabletID) bool { return false }
	if list, all = s.QueueBacklogs(ctx, 10); all != 0 || len(list) != 0 {
		t.Errorf("another node looks after them, yet: %d of %d", len(list), all)
	}
}
