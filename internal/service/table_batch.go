package service

import (
	"errors"
	"sync"

	"weir.dev/weir/internal/model"
)

// DynamoDB's limits of batches.
const (
	maxBatchWrites   = 25
	maxBatchGets     = 100
	maxBatchGetBytes = 16 << 20
	// maxRegroups bounds how often a batch follows tablets that change.
	maxRegroups = 3
)

// AWS's words for batches.
const (
	msgTooManyWrites = "Too many items requested for the BatchWriteItem call"
	msgTooManyGets   = "Too many items requested for the BatchGetItem call"
	msgDuplicates    = "Provided list of item keys contains duplicates"
)

// batchItem is one write or key of a batch, by its place in the request.
type batchItem struct {
	table, at int
	key       []byte
	slot      model.Slot
}

// batchGroup is what goes to one tablet as one command or query.
type batchGroup struct {
	table  *table
	tablet model.TabletID
	items  []*batchItem
	err    error // once done
	stale  bool  // the tablets had changed; nothing was done
}

// group divides items, which are in the request's order, by table and tablet.
func (s *Service) group(tables []*table, items []*batchItem) ([]*batchGroup, error) {
	type place struct {
		table  int
		tablet model.TabletID
	}
	var groups []*batchGroup
	known := map[place]*batchGroup{}
	catalog := s.cluster.Catalog()
	for _, it := range items {
		tablet, ok := catalog.TabletOf(it.slot)
		if !ok {
			return nil, model.Errorf(model.ErrUnavailable, "no tablet owns slot %d", it.slot)
		}
		at := place{it.table, tablet.ID}
		g := known[at]
		if g == nil {
			g = &batchGroup{table: tables[it.table], tablet: tablet.ID}
			known[at] = g
			groups = append(groups, g)
		}
		g.items = append(g.items, it)
	}
	return groups, nil
}

// inParallel runs f for each group and waits for all of them.
func inParallel(groups []*batchGroup, f func(i int)) {
	var wait sync.WaitGroup
	for i := 1; i < len(groups); i++ {
		wait.Go(func() { f(i) })
	}
	if len(groups) > 0 {
		f(0)
	}
	wait.Wait()
}

// checkDuplicates refuses a key that occurs twice in one table.
func checkDuplicates(items []*batchItem) error {
	type place struct {
		table int
		key   string
	}
	seen := make(map[place]bool, len(items))
	for _, it := range items {
		at := place{it.table, string(it.key)}
		if seen[at] {
			return invalidf(msgDuplicates)
		}
		seen[at] = true
	}
	return nil
}

// retriable are the errors after which a part of a batch is worth another try:
// it is answered as unprocessed.
var retriable = map[model.ErrorKind]bool{model.ErrUnavailable: true, model.ErrUnknownOutcome: true, model.ErrOverLimit: true, model.ErrNotAbroad: true, model.ErrNotOnAll: true}

// batchError is the error of a batch of which nothing was done: the first
// group's. It is nil when something was done. A table that is gone or a fault
// of ours is the whole batch's error in any case.
func batchError(groups []*batchGroup) error {
	failed := 0
	for _, g := range groups {
		if g.err == nil {
			continue
		}
		failed++
		var e *model.Error
		if !errors.As(g.err, &e) || !retriable[e.Kind] {
			return g.err
		}
	}
	if failed > 0 && failed == len(groups) {
		return groups[0].err
	}
	return nil
}
