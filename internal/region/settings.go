package region

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"regexp"
	"slices"
	"time"

	"weir.dev/weir/internal/model"
)

// Settings describe a link as its author does.
type Settings struct {
	Name           string // letters, digits, - and _, at most 64
	To             string // HOST:PORT of a peer listener there; several with commas between are tried in turn
	Authority      [16]byte
	TokenHash      [32]byte
	Key            [32]byte // proves who ships from then on; zero is a random one
	Mode           model.LinkMode
	Tables         []string // names, or beginnings of names that end in *
	Queues         []string // the same
	Streams        []string // the same
	Where, Values  string
	BytesPerSecond uint64
	Paused         bool
	VerifyEvery    *time.Duration // how often the sides are compared; nil is DefaultVerifyEvery, zero never
	// RegionsRequired is how many of a table's regions must have a write before it is
	// answered, of the modes that wait; 0 is all.
	RegionsRequired uint64
}

// Change changes a link; nil leaves a setting as it is.
type Change struct {
	To             *string
	Mode           *model.LinkMode
	Tables         []string
	Queues         []string
	Streams        []string
	Where, Values  *string
	BytesPerSecond *uint64
	Paused         *bool
	VerifyEvery    *time.Duration

	RegionsRequired *uint64
}

// Status is a link and how far it is.
type Status struct {
	Name       string
	Spec       model.LinkSpec
	LagChanges uint64        // in the log, not arrived
	LagBytes   uint64        // of them
	Lag        time.Duration // since the oldest of them was written
	Copying    int           // tables' parts whose first copy is not done, or not begun
	Problem    string        // why it does not go on, as far as the node asked knows
}

// Inbound is what another region ships here.
type Inbound struct {
	Name  string
	Spec  model.InboundSpec
	Heard Heard // as far as the node asked knows
}

var plainName = regexp.MustCompile(`^[A-Za-z0-9_-]{1,64}$`)

func checkName(what, name string) error {
	if !plainName.MatchString(name) {
		return model.Errorf(model.ErrValidation, "%s has 1 to 64 letters, digits, hyphens and underscores, not %q", what, name)
	}
	return nil
}

// SetName says what this cluster is called among regions.
func (e *Engine) SetName(ctx context.Context, name string) error {
	if err := checkName("a region's name", name); err != nil {
		return err
	}
	return e.service.NameRegion(ctx, name)
}

// Invite makes an inbound link, which waits for the holder of a token until the
// token expires. hash is the one that belongs to the token's text. Errors:
// ErrInUse, ErrValidation.
func (e *Engine) Invite(ctx context.Context, name string, hash [32]byte, ttl time.Duration) error {
	if err := checkName("an inbound link's name", name); err != nil {
		return err
	}
	spec := model.InboundSpec{TokenHash: hash, ExpiresMs: e.clock.Now().Add(ttl).UnixMilli()}
	_, err := e.service.CreateTied(ctx, model.KindInbound, name, spec.Append(nil))
	return err
}

// Add opens a link to another region and begins to ship. Errors: ErrValidation,
// ErrInUse, and what the other region says.
func (e *Engine) Add(ctx context.Context, s *Settings) error {
	spec := model.LinkSpec{
		To: s.To, Authority: s.Authority, Key: s.Key, Mode: s.Mode, Tables: s.Tables, Queues: s.Queues, Streams: s.Streams, Where: s.Where, Values: s.Values,
		Paused: s.Paused, BytesPerSecond: s.BytesPerSecond, CreatedMs: e.clock.Now().UnixMilli(),
		VerifySeconds: uint64(DefaultVerifyEvery / time.Second), RegionsRequired: s.RegionsRequired,
	}
	if s.VerifyEvery != nil {
		spec.VerifySeconds = uint64(max(0, *s.VerifyEvery) / time.Second)
	}
	if err := checkName("a link's name", s.Name); err != nil {
		return err
	}
	if err := checkLink(&spec); err != nil {
		return err
	}
	if _, err := e.service.GetTied(ctx, model.KindLink, s.Name); err == nil {
		return model.Errorf(model.ErrInUse, "there is a link named %s already", s.Name)
	}
	if spec.Key == [32]byte{} {
		_, _ = rand.Read(spec.Key[:]) // crypto/rand.Read never fails: it ends the process instead
	}
	c := e.cluster.Catalog()
	req := openRequest{Region: c.Region(), Name: c.Settings.RegionName, Link: s.Name, KeyHash: sha256.Sum256(spec.Key[:])}
	raw, err := e.callAnyOf(ctx, s.To, &Target{Authority: s.Authority, Key: s.TokenHash}, OpOpen, req.Append(nil))
	if err != nil {
		return err
	}
	var answer openAnswer
	if err := decode(raw, &answer); err != nil {
		return err
	}
	spec.Inbound, spec.Region, spec.RegionName = answer.Inbound, answer.Region, answer.Name
	_, err = e.service.CreateTied(ctx, model.KindLink, s.Name, spec.Append(nil))
	return err
}

// checkLink checks what can be known without the other region.
func checkLink(s *model.LinkSpec) error {
	switch {
	case s.To == "":
		return model.Errorf(model.ErrValidation, "a link needs the HOST:PORT of a peer listener of the other region")
	case s.Mode < model.LinkAsync || s.Mode > model.LinkSyncIfUp:
		return model.Errorf(model.ErrValidation, "a link's mode is async, sync, sync-if-up or manual")
	case s.Mode == model.LinkSync && s.Paused:
		return model.Errorf(model.ErrValidation, "a paused link of the mode sync would have every write refused: make it async or sync-if-up first")
	case s.RegionsRequired > 0 && !s.Mode.Waits():
		return model.Errorf(model.ErrValidation, "only links of the modes sync and sync-if-up require regions")
	case s.RegionsRequired > maxRegionsRequired:
		return model.Errorf(model.ErrValidation, "a link requires %d regions at most", maxRegionsRequired)
	case len(s.Tables)+len(s.Queues)+len(s.Streams) == 0 || len(s.Tables)+len(s.Queues)+len(s.Streams) > 100:
		return model.Errorf(model.ErrValidation, "a link names 1 to 100 tables, queues and streams; --tables 'orders,user_*' --queues jobs --streams clicks")
	}
	for _, p := range slices.Concat(s.Tables, s.Queues, s.Streams) {
		if !validPattern(p) {
			return model.Errorf(model.ErrValidation, "%q is not a table's name, nor the beginning of one with a * at its end", p)
		}
	}
	_, err := newFilter(s)
	return err
}

// maxRegionsRequired bounds RegionsRequired: nobody has that many.
const maxRegionsRequired = 100

// Change changes a link while it runs. Only what the change adds is copied.
// Errors: ErrNotFound, ErrValidation.
func (e *Engine) Change(ctx context.Context, name string, ch *Change) error {
	return e.service.UpdateLink(ctx, name, func(s *model.LinkSpec) error {
		set(&s.To, ch.To)
		set(&s.Mode, ch.Mode)
		if !s.Mode.Waits() {
			s.RegionsRequired = 0
		}
		set(&s.RegionsRequired, ch.RegionsRequired)
		set(&s.Where, ch.Where)
		set(&s.Values, ch.Values)
		set(&s.BytesPerSecond, ch.BytesPerSecond)
		set(&s.Paused, ch.Paused)
		if ch.VerifyEvery != nil {
			s.VerifySeconds = uint64(max(0, *ch.VerifyEvery) / time.Second)
		}
		if ch.Tables != nil {
			s.Tables = ch.Tables
		}
		if ch.Queues != nil {
			s.Queues = ch.Queues
		}
		if ch.Streams != nil {
			s.Streams = ch.Streams
		}
		return checkLink(s)
	})
}

func set[T any](to, v *T) {
	if v != nil {
		*to = *v
	}
}

// Sync has a manual link ship everything that was written before the call.
// Errors: ErrNotFound, ErrValidation for other links.
func (e *Engine) Sync(ctx context.Context, name string) error {
	r, err := e.service.GetTied(ctx, model.KindLink, name)
	if err != nil {
		return err
	}
	targets, err := e.lastNumbers(ctx, r.ID)
	if err != nil {
		return err
	}
	return e.service.UpdateLink(ctx, name, func(s *model.LinkSpec) error {
		if s.Mode != model.LinkManual {
			return model.Errorf(model.ErrValidation, "the link %s ships at once; only links with --mode manual are told when", name)
		}
		s.Targets = targets
		return nil
	})
}

// Remove ends a link. What was shipped stays there. Errors: ErrNotFound.
func (e *Engine) Remove(ctx context.Context, name string) error {
	return e.service.DeleteTied(ctx, model.KindLink, name)
}

// Expel ends an inbound link: its sender is refused from then on. Errors:
// ErrNotFound.
func (e *Engine) Expel(ctx context.Context, name string) error {
	return e.service.DeleteTied(ctx, model.KindInbound, name)
}

// Inbounds lists what other regions ship here, by name.
func (e *Engine) Inbounds(ctx context.Context) ([]Inbound, error) {
	rs, err := e.service.ListTied(ctx, model.KindInbound)
	if err != nil {
		return nil, err
	}
	all := make([]Inbound, len(rs))
	for i := range rs {
		all[i].Name = rs[i].Name
		if all[i].Spec, err = decodeInbound(rs[i]); err != nil {
			return nil, err
		}
		e.mu.Lock()
		all[i].Heard = e.heard[rs[i].ID]
		e.mu.Unlock()
	}
	return all, nil
}

// List returns all links and how far they are, by name.
func (e *Engine) List(ctx context.Context) ([]Status, error) {
	rs, err := e.service.ListTied(ctx, model.KindLink)
	if err != nil {
		return nil, err
	}
	all := make([]Status, len(rs))
	for i := range rs {
		if all[i], err = e.status(ctx, rs[i]); err != nil {
			return nil, err
		}
	}
	return all, nil
}

// Describe returns one link and how far it is. Errors: ErrNotFound.
func (e *Engine) Describe(ctx context.Context, name string) (Status, error) {
	r, err := e.service.GetTied(ctx, model.KindLink, name)
	if err != nil {
		return Status{}, err
	}
	return e.status(ctx, r)
}

func (e *Engine) status(ctx context.Context, r *model.Resource) (st Status, err error) {
	st.Name = r.Name
	if st.Spec, err = decodeLink(r); err != nil {
		return st, err
	}
	c := e.cluster.Catalog()
	oldest := model.Stamp(0)
	for i := range c.Tablets {
		t := &c.Tablets[i]
		if t.Hi <= t.Lo {
			continue
		}
		s, err := e.strongState(ctx, r.ID, t)
		if err != nil {
			return st, err
		}
		st.LagChanges += uint64(s.Last - s.UpTo)
		if s.Last > s.UpTo {
			st.LagBytes += s.LastTotal - min(s.Total, s.LastTotal)
		}
		if s.Next != 0 && (oldest == 0 || s.Next < oldest) {
			oldest = s.Next
		}
		st.Copying += uncopied(c, &st.Spec, &s)
		st.Problem = e.problemOf(place{r.ID, t.ID}, st.Problem)
	}
	if oldest != 0 {
		st.Lag = max(0, e.clock.Now().Sub(oldest.Time()))
	}
	return st, nil
}

// uncopied is how many of the tables that a link selects are not copied in a
// tablet, or not even watched there.
func uncopied(c *model.Catalog, spec *model.LinkSpec, s *model.ReaderState) (n int) {
	for _, kind := range shippedKinds {
		for r := range c.Resources.Of(kind) {
			if !spec.Ships(r) {
				continue
			}
			at := slices.IndexFunc(s.Tables, func(w model.WatchedTable) bool { return w.Table == r.ID })
			if at < 0 {
				n++
				continue
			}
			if copied, err := recallCopy(&s.Tables[at]); err != nil || !copied.done {
				n++
			}
		}
	}
	return n
}

// problemOf is the problem of a worker here, or else the one given.
func (e *Engine) problemOf(p place, other string) string {
	e.mu.Lock()
	defer e.mu.Unlock()
	if text, ok := e.problems[p]; ok {
		return text
	}
	return other
}

// Self is what this cluster is among regions.
func (e *Engine) Self() (model.RegionID, string) {
	c := e.cluster.Catalog()
	return c.Region(), c.Settings.RegionName
}
