package service

import (
	"context"
	"errors"
	"reflect"
	"testing"

	"weir.dev/weir/internal/model"
)

// TestReplication sets the level of each kind of resource by its tag at
// creation and by SetReplication, and finds tag and level agreeing.
func TestReplication(t *testing.T) {
	s, _ := newFake(t, 2)
	ctx := context.Background()
	all := []model.Tag{{Key: "a", Value: "b"}, {Key: ReplicationTag, Value: "all"}}
	table := hashTable()
	table.Tags = all
	tab := must[*Table](t)(s.CreateTable(ctx, table))
	if _, err := s.CreateQueue(ctx, &CreateQueueRequest{Name: "q", Tags: all}); err != nil {
		t.Fatal(err)
	}
	shards := int64(1)
	if err := s.CreateStream(ctx, &CreateStreamRequest{StreamRef: StreamRef{Name: "st"}, ShardCount: &shards}); err != nil {
		t.Fatal(err)
	}
	levels := func(want ...model.Level) {
		t.Helper()
		list := must[[]Replication](t)(s.ListReplication(ctx))
		expected := []Replication{{model.KindTable, tab.Name, want[0]}, {model.KindQueue, "q", want[1]}, {model.KindStream, "st", want[2]}}
		if !reflect.DeepEqual(list, expected) {
			t.Errorf("levels %v, want %v", list, expected)
		}
		for _, r := range expected {
			if one := must[*Replication](t)(s.GetReplication(ctx, r.Kind, r.Name)); *one != r {
				t.Errorf("%v, want %v", *one, r)
			}
		}
	}
	levels(model.LevelAll, model.LevelAll, model.LevelQuorum)
	for _, c := range []struct {
		kind  model.ResourceKind
		name  string
		level model.Level
	}{{model.KindTable, tab.Name, model.LevelQuorum}, {model.KindQueue, "q", model.LevelAllIfUp}, {model.KindStream, "st", model.LevelAll}} {
		if err := s.SetReplication(ctx, c.kind, c.name, c.level); err != nil {
			t.Fatal(err)
		}
	}
	levels(model.LevelQuorum, model.LevelAllIfUp, model.LevelAll)
	if err := s.SetReplication(ctx, model.KindTable, tab.Name, model.LevelAsync); err != nil {
		t.Fatal(err)
	}
	for kind, name := range map[model.ResourceKind]string{model.KindQueue: "q", model.KindStream: "st"} {
		var known *model.Error
		if err := s.SetReplication(ctx, kind, name, model.LevelAsync); !errors.As(err, &known) || known.Kind != model.ErrValidation {
			t.Errorf("%s at level async: %v", name, err)
		}
	}
	levels(model.LevelAsync, model.LevelAllIfUp, model.LevelAll)
	q, err := s.GetQueue(ctx, "q")
	if want := []model.Tag{{Key: "a", Value: "b"}, {Key: ReplicationTag, Value: "all-if-up"}}; err != nil || !reflect.DeepEqual(q.Spec.Tags, want) {
		t.Errorf("tags of the queue %v, %v", q.Spec.Tags, err)
	}
	var known *model.Error
	if err := s.SetReplication(ctx, model.KindTable, "nobody", model.LevelAll); !errors.As(err, &known) || known.Kind != model.ErrNotFound {
		t.Errorf("a table that is not there: %v", err)
	}
}
