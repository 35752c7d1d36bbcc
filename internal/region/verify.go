package region

import (
	"context"
	"slices"
	"time"

	"weir.dev/weir/internal/model"
)

// A comparison finds where the two sides of a link differ, while both are
// written. It walks down a tree of sums over ranges of places, a level of all
// tables, queues and streams at a time (verify_walk.go), to places that differ
// now. Most of these are changes on their way. So each is looked at again after
// what was there at the first look has been shipped (verify_settle.go).

// Difference is a place at which the two sides of a link hold different things.
type Difference struct {
	Kind        model.ResourceKind
	Name        string
	Key         string        // of an item as keys.ItemString prints it; else the message, the record or the position
	What        string        // missing there, missing here, or differs
	Here, There model.Version // of items
	Repaired    bool
}

// Verification is what a comparison found.
type Verification struct {
	Started, Ended time.Time // Ended is zero while it runs
	// What was compared so far, and what was read of it here.
	Tables, Queues, Streams  int
	Items, Messages, Records uint64 // Records counts consumers' positions, too
	Exchanges                int    // requests to the other region
	Found                    int    // differences
	Repaired                 int    // of them
	Unsettled                int    // places that changed at every look, or came by way of a third region: nothing can be said of them
	Differences              []Difference
	Err                      string // why it ended early
}

const (
	// maxDifferences bounds those that are listed; the rest is counted.
	maxDifferences = 1000
	// maxLooks is how often a key that changes is looked at again.
	maxLooks = 5
	// maxDrain is how long the links may take to ship what was there at a look.
	maxDrain = 2 * time.Minute
	// drainPause is between two looks.
	drainPause = 20 * time.Millisecond
	// verifyPause lets others work between two requests of a comparison.
	verifyPause = 2 * time.Millisecond
	// maxTries is how often the other region is asked for one thing: an answer that
	// is lost shall not end a long comparison.
	maxTries = 4
	// DefaultVerifyEvery is how often a link's sides are compared.
	DefaultVerifyEvery = 24 * time.Hour
)

// verifying is a comparison under way.
type verifying struct {
	engine *Engine
	link   *model.Resource
	spec   model.LinkSpec
	filter filter
	repair bool
	result *Verification // guarded by the engine's mutex

	levels   [len(grains)][]node
	suspects []suspect
}

// Verify begins to compare the two sides of a link, and with repair to mend what
// differs; Verified tells how it goes. One that runs already is left alone.
// Errors: ErrNotFound, ErrValidation for links that do not ship now.
func (e *Engine) Verify(ctx context.Context, name string, repair bool) error {
	r, err := e.service.GetTied(ctx, model.KindLink, name)
	if err != nil {
		return err
	}
	v := &verifying{engine: e, link: r, repair: repair, result: &Verification{Started: e.clock.Now()}}
	if v.spec, err = decodeLink(r); err != nil {
		return err
	}
	if v.filter, err = newFilter(&v.spec); err != nil {
		return err
	}
	if v.spec.Paused || v.spec.Held || v.spec.Mode == model.LinkManual {
		return model.Errorf(model.ErrValidation, "the link %s does not ship by itself now: its sides are not expected to be equal", name)
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.ctx.Err() != nil {
		return model.Errorf(model.ErrUnavailable, "the node is stopping")
	}
	if last := e.verified[r.ID]; last != nil && last.Ended.IsZero() {
		return nil
	}
	e.verified[r.ID] = v.result
	e.tasks.Go(v.run)
	return nil
}

// Verified is the last comparison that this node made of a link, or makes.
// Errors: ErrNotFound.
func (e *Engine) Verified(ctx context.Context, name string) (Verification, error) {
	r, err := e.service.GetTied(ctx, model.KindLink, name)
	if err != nil {
		return Verification{}, err
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	v := e.verified[r.ID]
	if v == nil {
		return Verification{}, model.Errorf(model.ErrNotFound, "this node has not compared the sides of %s", name)
	}
	found := *v
	found.Differences = slices.Clone(v.Differences)
	return found, nil
}

// note changes the result.
func (v *verifying) note(change func(r *Verification)) {
	v.engine.mu.Lock()
	defer v.engine.mu.Unlock()
	change(v.result)
}

func (v *verifying) run() {
	e := v.engine
	err := v.walk(e.ctx)
	var found int
	v.note(func(r *Verification) {
		r.Ended = e.clock.Now()
		if err != nil {
			r.Err = err.Error()
		}
		found = r.Found - r.Repaired
	})
	if err != nil {
		e.log.Warn("cannot compare the sides of a link", "link", v.link.Name, "error", err)
		return
	}
	if found > 0 {
		e.log.Error("the sides of a link differ; weir region verify shows where, --repair mends it", "link", v.link.Name, "differences", found)
	}
	err = e.service.UpdateLink(e.ctx, v.link.Name, func(s *model.LinkSpec) error {
		s.VerifiedMs, s.Differences = e.clock.Now().UnixMilli(), uint64(found)
		return nil
	})
	if err != nil {
		e.log.Warn("cannot note that the sides of a link were compared", "link", v.link.Name, "error", err)
	}
}

// verifyLook is how often a link's schedule is looked at.
const verifyLook = time.Minute

// verify compares the sides of a link when that is due.
func (r *rounds) verify(ctx context.Context, link model.ResourceID) {
	e := r.engine
	for e.sleep(ctx, verifyLook) {
		res, ok := e.cluster.Catalog().ResourceByID(link)
		if !ok {
			continue
		}
		spec, err := decodeLink(res)
		if err != nil || spec.VerifySeconds == 0 || spec.Mode == model.LinkManual {
			continue
		}
		last := time.UnixMilli(max(spec.VerifiedMs, spec.CreatedMs))
		if e.clock.Now().Sub(last) < time.Duration(spec.VerifySeconds)*time.Second {
			continue
		}
		if err := e.Verify(ctx, res.Name, false); err != nil && ctx.Err() == nil {
			e.log.Warn("cannot compare the sides of a link", "link", res.Name, "error", err)
		}
	}
}
