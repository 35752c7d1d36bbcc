package console

import (
	"context"
	"encoding/json"
	"net/http"
	"time"

	"weir.dev/weir/internal/model"
	"weir.dev/weir/internal/region"
)

// Conflicts are what the cluster knows of conflicts between regions: GET
// /api/conflicts.
type Conflicts struct {
	Counted   uint64     `json:"counted"`           // ever, in all tables
	KeptFor   float64    `json:"kept_seconds"`      // how long one is kept
	KeptMost  int        `json:"kept_by_tablet"`    // how many a tablet keeps
	Problem   string     `json:"problem,omitempty"` // why some are not told to their queues, as far as this node knows
	More      bool       `json:"more,omitempty"`    // more are kept than one answer holds
	Conflicts []Conflict `json:"conflicts"`         // kept, of the tables and keys that were asked for
}

// Conflict is two writes of which neither knew of the other, and what became of
// them.
type Conflict struct {
	ID     string          `json:"id"`
	Table  string          `json:"table"`
	Key    string          `json:"key"`
	Policy string          `json:"policy"` // that it was resolved by
	Met    time.Time       `json:"met"`    // when it was resolved here
	Winner ConflictVersion `json:"winner"`
	Loser  ConflictVersion `json:"loser"`
}

// ConflictVersion is one of the two writes.
type ConflictVersion struct {
	Region  string    `json:"region"` // that wrote it
	Written time.Time `json:"written"`
	Deleted bool      `json:"deleted,omitempty"`
	Item    any       `json:"item,omitempty"`
}

// ConflictPolicy is how a table resolves conflicts: GET and POST
// /api/conflict-policies.
type ConflictPolicy struct {
	Table  string `json:"table"`
	Policy string `json:"policy"`
}

// Bounds of one answer with conflicts.
const (
	maxListedConflicts     = 1000
	maxListedConflictBytes = 16 << 20 // of encoded items
)

func (c *console) handleConflicts(mux *http.ServeMux) {
	c.handle(mux, "GET /api/conflicts", c.listConflicts)
	c.handle(mux, "GET /api/conflicts/{tablet}/{number}", c.showConflict)
	c.handle(mux, "POST /api/conflicts/{tablet}/{number}/restore", c.restoreConflict)
	c.handle(mux, "GET /api/conflict-policies", c.listPolicies)
	c.handle(mux, "POST /api/conflict-policies", c.setPolicy)
}

func (c *console) conflictView(k *region.KeptConflict) (view Conflict, err error) {
	view = Conflict{ID: k.ID, Table: k.Table, Key: k.Key, Policy: k.Policy.String(), Met: k.At.Time()}
	if view.Winner, err = c.versionView(&k.Winner); err != nil {
		return view, err
	}
	view.Loser, err = c.versionView(&k.Loser)
	return view, err
}

func (c *console) versionView(v *model.Change) (ConflictVersion, error) {
	item, err := shownItem(v)
	return ConflictVersion{Region: c.regions.RegionName(v.Version.Region), Written: v.Version.Stamp.Time(), Deleted: v.Delete, Item: item}, err
}

// listConflicts lists what all tablets keep, tablet by tablet; the parameters
// table and key choose.
func (c *console) listConflicts(ctx context.Context, r *http.Request, _ []byte) (any, error) {
	table, key := r.URL.Query().Get("table"), r.URL.Query().Get("key")
	all := Conflicts{KeptFor: model.ConflictLife.Seconds(), KeptMost: model.MaxConflicts, Problem: c.regions.TellProblem(), Conflicts: []Conflict{}}
	var err error
	bytes := 0
	all.Counted, err = c.regions.EachConflict(ctx, func(k *region.KeptConflict) error {
		if table != "" && k.Table != table || key != "" && k.Key != key && k.Key != `S"`+key+`"` {
			return nil
		}
		bytes += len(k.Winner.Item) + len(k.Loser.Item)
		if len(all.Conflicts) >= maxListedConflicts || len(all.Conflicts) > 0 && bytes > maxListedConflictBytes {
			all.More = true
			return nil
		}
		view, err := c.conflictView(k)
		all.Conflicts = append(all.Conflicts, view)
		return err
	})
	return all, err
}

func conflictID(r *http.Request) string { return r.PathValue("tablet") + "/" + r.PathValue("number") }

func (c *console) showConflict(ctx context.Context, r *http.Request, _ []byte) (any, error) {
	k, err := c.regions.Conflict(ctx, conflictID(r))
	if err != nil {
		return nil, err
	}
	return c.conflictView(k)
}

func (c *console) restoreConflict(ctx context.Context, r *http.Request, _ []byte) (any, error) {
	return struct{}{}, c.regions.Restore(ctx, conflictID(r))
}

func (c *console) listPolicies(ctx context.Context, r *http.Request, _ []byte) (any, error) {
	table := r.URL.Query().Get("table")
	all, err := c.queues.ListResolutions(ctx)
	if err != nil {
		return nil, err
	}
	list := []ConflictPolicy{}
	for i := range all {
		if table == "" || all[i].Table == table {
			list = append(list, ConflictPolicy{all[i].Table, all[i].Resolution.String()})
		}
	}
	if table != "" && len(list) == 0 {
		return nil, model.Errorf(model.ErrNotFound, "there is no table %s", table)
	}
	return list, nil
}

func (c *console) setPolicy(ctx context.Context, _ *http.Request, body []byte) (any, error) {
	var p ConflictPolicy
	if err := json.Unmarshal(body, &p); err != nil {
		return nil, model.Errorf(model.ErrValidation, "malformed JSON: %v", err)
	}
	res, err := model.ParseResolution(p.Policy)
	if err != nil {
		return nil, err
	}
	return struct{}{}, c.regions.SetResolution(ctx, p.Table, &res)
}
