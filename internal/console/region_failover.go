package console

import (
	"context"
	"encoding/json"
	"net/http"
	"time"

	"weir.dev/weir/internal/model"
	"weir.dev/weir/internal/region"
)

// Switch is what a failover did: POST /api/region/links/NAME/failover.
type Switch struct {
	RefusedSeconds float64 `json:"refused_seconds"` // neither region took writes
	Shipped        uint64  `json:"shipped"`         // changes drained meanwhile
	Lost           *Heard  `json:"lost,omitempty"`  // forced: what is known not to have arrived; nil when nothing is known
	Forced         bool    `json:"forced,omitempty"`
}

// Drill is a planned failover and the way back: POST /api/region/links/NAME/drill.
type Drill struct {
	There Switch `json:"there"`
	Back  Switch `json:"back"`
}

// HeldChange is a change that a link did not ship before the other region took
// over: GET /api/region/links/NAME/held.
type HeldChange struct {
	Table   string    `json:"table"`
	Key     string    `json:"key"`
	Deleted bool      `json:"deleted,omitempty"`
	Item    any       `json:"item,omitempty"`
	Written time.Time `json:"written"`
}

// maxHeldShown bounds the list of held changes.
const maxHeldShown = 1000

func (c *console) handleFailover(mux *http.ServeMux) {
	c.handle(mux, "POST /api/region/links/{name}/failover", c.failOver)
	c.handle(mux, "POST /api/region/links/{name}/drill", c.drill)
	c.handle(mux, "POST /api/region/links/{name}/rejoin", c.rejoin)
	c.handle(mux, "GET /api/region/links/{name}/held", c.listHeld)
}

func switchView(s *region.Switch) Switch {
	return Switch{RefusedSeconds: s.Refused.Seconds(), Shipped: s.Shipped, Lost: heardView(&s.Lost), Forced: s.Epoch > 0}
}

func (c *console) failOver(ctx context.Context, r *http.Request, body []byte) (any, error) {
	var req struct {
		Forced      bool `json:"forced"`
		DespiteHeld bool `json:"despite_held"` // forced: although changes of an earlier takeover are held here
	}
	if err := json.Unmarshal(body, &req); err != nil {
		return nil, model.Errorf(model.ErrValidation, "malformed JSON: %v", err)
	}
	if req.DespiteHeld && !req.Forced {
		return nil, model.Errorf(model.ErrValidation, "only a failover that is forced may go on despite changes that are held: a planned one needs weir region rejoin first")
	}
	if req.Forced {
		s, err := c.regions.ForceOver(ctx, r.PathValue("name"), req.DespiteHeld)
		return switchView(&s), err
	}
	s, err := c.regions.FailOver(ctx, r.PathValue("name"))
	return switchView(&s), err
}

func (c *console) drill(ctx context.Context, r *http.Request, _ []byte) (any, error) {
	d, err := c.regions.TryFailOver(ctx, r.PathValue("name"))
	return Drill{switchView(&d.There), switchView(&d.Back)}, err
}

func (c *console) rejoin(ctx context.Context, r *http.Request, _ []byte) (any, error) {
	return struct{}{}, c.regions.Rejoin(ctx, r.PathValue("name"))
}

func (c *console) listHeld(ctx context.Context, r *http.Request, _ []byte) (any, error) {
	list := []HeldChange{}
	err := c.regions.EachHeld(ctx, r.PathValue("name"), maxHeldShown, func(table, key string, l *model.LoggedChange) error {
		one := HeldChange{Table: table, Key: key, Deleted: l.Delete, Written: l.Version.Stamp.Time().UTC()}
		var err error
		one.Item, err = shownItem(&l.Change)
		list = append(list, one)
		return err
	})
	return list, err
}
