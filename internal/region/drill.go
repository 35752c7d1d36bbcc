package region

import (
	"context"
	"time"

	"weir.dev/weir/internal/model"
)

// Drill is a planned failover and the way back.
type Drill struct{ There, Back Switch }

// TryFailOver moves the writes of a link's tables to the other region and back
// again, to see that it works and how long it takes. Both links must have copied
// everything before it begins. Errors: those of FailOver; when it fails on the
// way back, the other region has the writes.
func (e *Engine) TryFailOver(ctx context.Context, name string) (d Drill, err error) {
	r, err := e.service.GetTied(ctx, model.KindLink, name)
	if err != nil {
		return d, err
	}
	spec, err := decodeLink(r)
	if err != nil {
		return d, err
	}
	v := &verifying{engine: e, link: r, spec: spec, result: &Verification{}}
	ready, cancel := e.within(ctx, backPatience)
	defer cancel()
	there, err := v.drain(ready)
	if err != nil {
		return d, err
	}
	if !there.Back {
		return d, model.Errorf(model.ErrValidation, "a drill needs a link back from the other region: make one, or fail over once")
	}
	if d.There, err = e.FailOver(ctx, name); err != nil {
		return d, err
	}
	raw, err := e.call(ctx, r.ID, &spec, OpFailBack, nil)
	if err != nil {
		return d, model.Errorf(model.ErrUnknownOutcome, "the other region has the writes and did not give them back: %v; weir region failover there, or status, tells more", err)
	}
	back := model.NewDecoder(raw)
	d.Back = Switch{Refused: time.Duration(back.Uvarint()), Shipped: back.Uvarint()}
	return d, back.Done()
}

// failBack moves the writes to the region that asks, over the link that leads
// there.
func (e *Engine) failBack(ctx context.Context, from *model.InboundSpec) ([]byte, error) {
	link, ok := e.linkTo(from)
	if !ok {
		return nil, model.Errorf(model.ErrValidation, "there is no link back")
	}
	var s Switch
	var err error
	for { // the first time the link may still be busy with what just came
		if s, err = e.FailOver(ctx, link.Name); err == nil || !e.sleep(ctx, firstRetry) {
			break
		}
	}
	return model.AppendUvarint(model.AppendUvarint(nil, uint64(s.Refused)), s.Shipped), err
}
