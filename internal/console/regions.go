package console

import (
	"context"
	"encoding/json"
	"fmt"
	"math"
	"net/http"
	"strings"
	"time"

	"weir.dev/weir/internal/model"
	"weir.dev/weir/internal/region"
)

// Regions are this cluster among others, in the admin API: GET /api/region.
type Regions struct {
	ID      string    `json:"id"`
	Name    string    `json:"name"`
	Links   []Link    `json:"links"`
	Inbound []Inbound `json:"inbound"`
	// Policies are those of the tables that resolve conflicts otherwise than by the
	// last writer.
	Policies []ConflictPolicy `json:"policies,omitempty"`
}

// Link is a link to another region. Status is only in answers.
type Link struct {
	Name           string   `json:"name"`
	To             string   `json:"to"` // HOST:PORT of a peer listener there
	Token          string   `json:"token,omitempty"`
	Region         string   `json:"region,omitempty"` // the other's name or id
	Mode           string   `json:"mode"`             // async, sync, sync-if-up or manual
	Tables         []string `json:"tables"`
	Queues         []string `json:"queues,omitempty"`
	Streams        []string `json:"streams,omitempty"`
	Where          string   `json:"where,omitempty"`
	Values         string   `json:"values,omitempty"` // JSON
	BytesPerSecond uint64   `json:"bytes_per_second,omitempty"`
	Paused         bool     `json:"paused,omitempty"`
	Passive        bool     `json:"passive,omitempty"` // the tables take no writes here
	// RegionsRequired is how many regions must have a write before it is answered, of
	// the modes sync and sync-if-up; 0 is all to which the table's links lead.
	RegionsRequired uint64 `json:"regions_required,omitempty"`
	// VerifySeconds is how often the sides are compared; nil is once a day, 0 never.
	VerifySeconds *uint64     `json:"verify_seconds,omitempty"`
	Status        *LinkStatus `json:"status,omitempty"`
}

// LinkStatus is how far a link is.
type LinkStatus struct {
	LagSeconds float64 `json:"lag_seconds"`
	LagChanges uint64  `json:"lag_changes"`
	LagBytes   uint64  `json:"lag_bytes"`
	Copying    int     `json:"copying"` // parts of tables whose first copy is not done
	Problem    string  `json:"problem,omitempty"`
	// Verified is when the sides were compared last, and Differences what was
	// found and not mended then.
	Verified    *time.Time `json:"verified,omitempty"`
	Differences uint64     `json:"differences,omitempty"`
}

// LinkChange is the body of PATCH /api/region/links/NAME; nil leaves a setting.
type LinkChange struct {
	To             *string  `json:"to,omitempty"`
	Mode           *string  `json:"mode,omitempty"`
	Tables         []string `json:"tables,omitempty"`
	Queues         []string `json:"queues"`  // an empty list is none
	Streams        []string `json:"streams"` // the same
	Where          *string  `json:"where,omitempty"`
	Values         *string  `json:"values,omitempty"`
	BytesPerSecond *uint64  `json:"bytes_per_second,omitempty"`
	Paused         *bool    `json:"paused,omitempty"`
	VerifySeconds  *uint64  `json:"verify_seconds,omitempty"`

	RegionsRequired *uint64 `json:"regions_required,omitempty"`
}

// Inbound is what another region ships here.
type Inbound struct {
	Name   string `json:"name"`
	Region string `json:"region"` // its name or id; "" while the token waits
	Link   string `json:"link"`   // the link's name there
	// Passive says that the tables take no writes here.
	Passive bool `json:"passive,omitempty"`
	// Heard is what the sender said last; nil when it said nothing to this node.
	Heard *Heard `json:"heard,omitempty"`
}

// Heard is how far a link was behind when its sender said so last.
type Heard struct {
	SecondsAgo float64 `json:"seconds_ago"`
	LagSeconds float64 `json:"lag_seconds"`
	LagChanges uint64  `json:"lag_changes"`
	LagBytes   uint64  `json:"lag_bytes"`
	Copying    int     `json:"copying"`
}

func (c *console) handleRegions(mux *http.ServeMux) {
	c.handle(mux, "GET /api/region", c.showRegions)
	c.handle(mux, "POST /api/region/name", c.nameRegion)
	c.handle(mux, "POST /api/region/roles/{name}", c.setRole)
	c.handle(mux, "POST /api/region/tokens", c.inviteRegion)
	c.handle(mux, "DELETE /api/region/inbound/{name}", c.removeInbound)
	c.handle(mux, "POST /api/region/links", c.addLink)
	c.handle(mux, "GET /api/region/links/{name}", c.showLink)
	c.handle(mux, "PATCH /api/region/links/{name}", c.changeLink)
	c.handle(mux, "DELETE /api/region/links/{name}", c.removeLink)
	c.handle(mux, "POST /api/region/links/{name}/sync", c.syncLink)
	c.handle(mux, "POST /api/region/links/{name}/verify", c.verifyLink)
	c.handle(mux, "GET /api/region/links/{name}/verify", c.showVerification)
	c.handleConflicts(mux)
}

func regionID(id model.RegionID) string { return fmt.Sprintf("%016x", uint64(id)) }

func regionName(name string, id model.RegionID) string {
	if name != "" || id == 0 {
		return name
	}
	return regionID(id)
}

var linkModes = map[string]model.LinkMode{"async": model.LinkAsync, "manual": model.LinkManual, "sync": model.LinkSync, "sync-if-up": model.LinkSyncIfUp}

// parseMode reads a mode; an unknown one is left to the check of the link.
func parseMode(text string) model.LinkMode { return linkModes[text] }

func modeName(m model.LinkMode) string {
	for name, mode := range linkModes { // one has it: the order does not matter
		if mode == m {
			return name
		}
	}
	return fmt.Sprintf("mode(%d)", m)
}

func linkView(s *region.Status) Link {
	view := Link{
		Name: s.Name, To: s.Spec.To, Region: regionName(s.Spec.RegionName, s.Spec.Region), Mode: modeName(s.Spec.Mode),
		Tables: s.Spec.Tables, Queues: s.Spec.Queues, Streams: s.Spec.Streams, Where: s.Spec.Where, Values: s.Spec.Values, BytesPerSecond: s.Spec.BytesPerSecond, Paused: s.Spec.Paused, Passive: s.Spec.Passive,
		VerifySeconds: &s.Spec.VerifySeconds, RegionsRequired: s.Spec.RegionsRequired,
		Status: &LinkStatus{
			Differences: s.Spec.Differences, LagSeconds: s.Lag.Seconds(), LagChanges: s.LagChanges, LagBytes: s.LagBytes, Copying: s.Copying, Problem: s.Problem,
		},
	}
	if s.Spec.VerifiedMs != 0 {
		at := time.UnixMilli(s.Spec.VerifiedMs).UTC()
		view.Status.Verified = &at
	}
	return view
}

// every is a number of seconds as a duration; nil stays nil.
func every(seconds *uint64) *time.Duration {
	if seconds == nil {
		return nil
	}
	d := time.Duration(min(*seconds, math.MaxInt32)) * time.Second
	return &d
}

func (c *console) showRegions(ctx context.Context, _ *http.Request, _ []byte) (any, error) {
	id, name := c.regions.Self()
	all := Regions{ID: regionID(id), Name: name, Links: []Link{}, Inbound: []Inbound{}}
	links, err := c.regions.List(ctx)
	if err != nil {
		return nil, err
	}
	for i := range links {
		all.Links = append(all.Links, linkView(&links[i]))
	}
	inbounds, err := c.regions.Inbounds(ctx)
	if err != nil {
		return nil, err
	}
	for _, in := range inbounds {
		all.Inbound = append(all.Inbound, inboundView(&in))
	}
	tables, err := c.queues.ListResolutions(ctx)
	for i := range tables {
		if tables[i].Policy != model.PolicyLastWriter {
			all.Policies = append(all.Policies, ConflictPolicy{tables[i].Table, tables[i].Resolution.String()})
		}
	}
	return all, err
}

func inboundView(in *region.Inbound) Inbound {
	view := Inbound{Name: in.Name, Region: regionName(in.Spec.RegionName, in.Spec.Region), Link: in.Spec.Link, Passive: in.Spec.Passive}
	view.Heard = heardView(&in.Heard)
	return view
}

// heardView is nil when nothing was heard.
func heardView(h *region.Heard) *Heard {
	if h.At.IsZero() {
		return nil
	}
	return &Heard{
		SecondsAgo: time.Since(h.At).Seconds(), LagSeconds: h.Lag.Seconds(), LagChanges: h.LagChanges, LagBytes: h.LagBytes, Copying: h.Copying,
	}
}

// setRole says whether the tables of a link or an inbound link take writes here.
func (c *console) setRole(ctx context.Context, r *http.Request, body []byte) (any, error) {
	var req struct {
		Passive *bool `json:"passive"`
	}
	if err := json.Unmarshal(body, &req); err != nil || req.Passive == nil {
		return nil, model.Errorf(model.ErrValidation, `a role is {"passive": true} or {"passive": false}`)
	}
	return struct{}{}, c.regions.SetPassive(ctx, r.PathValue("name"), *req.Passive)
}

func (c *console) nameRegion(ctx context.Context, _ *http.Request, body []byte) (any, error) {
	var req struct {
		Name string `json:"name"`
	}
	if err := json.Unmarshal(body, &req); err != nil {
		return nil, model.Errorf(model.ErrValidation, "malformed JSON: %v", err)
	}
	return struct{}{}, c.regions.SetName(ctx, req.Name)
}

// linkTokenLife is how long a token for a link is good.
const linkTokenLife = time.Hour

func (c *console) inviteRegion(ctx context.Context, _ *http.Request, body []byte) (any, error) {
	var req struct {
		Name string `json:"name"`
	}
	if err := json.Unmarshal(body, &req); err != nil {
		return nil, model.Errorf(model.ErrValidation, "malformed JSON: %v", err)
	}
	text, err := c.admin.InviteRegion(ctx, req.Name, linkTokenLife)
	return tokenResult{Token: text, Expires: time.Now().Add(linkTokenLife).UTC()}, err
}

func (c *console) addLink(ctx context.Context, _ *http.Request, body []byte) (any, error) {
	var l Link
	if err := json.Unmarshal(body, &l); err != nil {
		return nil, model.Errorf(model.ErrValidation, "malformed JSON: %v", err)
	}
	hash, authority, err := region.ParseToken(strings.TrimSpace(l.Token))
	if err != nil {
		return nil, model.Errorf(model.ErrValidation, "%v", err)
	}
	return struct{}{}, c.regions.Add(ctx, &region.Settings{
		Name: l.Name, To: l.To, Authority: authority, TokenHash: hash, Mode: parseMode(l.Mode), Tables: l.Tables, Queues: l.Queues, Streams: l.Streams,
		Where: l.Where, Values: l.Values, BytesPerSecond: l.BytesPerSecond, Paused: l.Paused, VerifyEvery: every(l.VerifySeconds),
		RegionsRequired: l.RegionsRequired,
	})
}

func (c *console) showLink(ctx context.Context, r *http.Request, _ []byte) (any, error) {
	s, err := c.regions.Describe(ctx, r.PathValue("name"))
	if err != nil {
		return nil, err
	}
	return linkView(&s), nil
}

func (c *console) changeLink(ctx context.Context, r *http.Request, body []byte) (any, error) {
	var ch LinkChange
	if err := json.Unmarshal(body, &ch); err != nil {
		return nil, model.Errorf(model.ErrValidation, "malformed JSON: %v", err)
	}
	change := region.Change{To: ch.To, Tables: ch.Tables, Queues: ch.Queues, Streams: ch.Streams, Where: ch.Where, Values: ch.Values, BytesPerSecond: ch.BytesPerSecond, Paused: ch.Paused, VerifyEvery: every(ch.VerifySeconds), RegionsRequired: ch.RegionsRequired}
	if ch.Mode != nil {
		mode := parseMode(*ch.Mode)
		change.Mode = &mode
	}
	return struct{}{}, c.regions.Change(ctx, r.PathValue("name"), &change)
}

func (c *console) removeLink(ctx context.Context, r *http.Request, _ []byte) (any, error) {
	return struct{}{}, c.regions.Remove(ctx, r.PathValue("name"))
}

func (c *console) removeInbound(ctx context.Context, r *http.Request, _ []byte) (any, error) {
	return struct{}{}, c.regions.Expel(ctx, r.PathValue("name"))
}

func (c *console) syncLink(ctx context.Context, r *http.Request, _ []byte) (any, error) {
	return struct{}{}, c.regions.Sync(ctx, r.PathValue("name"))
}

// shownItem is the item of a change as JSON; nil for a delete.
func shownItem(c *model.Change) (any, error) {
	if c.Delete {
		return nil, nil
	}
	d := model.NewDecoder(c.Item)
	item := model.DecodeItem(d)
	return region.Plain(model.MapValue(item)), d.Done()
}
