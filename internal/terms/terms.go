// Package terms is what a request asks of the cluster beside its content, and
// what it was given: how durable its writes are, how fresh its reads, and where
// a session stands.
//
// A request carries its Terms in its context; without any, the tables' and
// queues' own settings hold and nothing is recorded. The front fills them from
// headers and answers with what they were given; the cluster keeps them. They
// may be used from several goroutines. docs/guarantees.md says what they mean.
package terms

import (
	"context"
	"encoding/base64"
	"sync"
	"time"

	"weir.dev/weir/internal/model"
)

// Terms of one request. The exported fields are set before the request begins.
type Terms struct {
	Level   model.Level   // the least level of its writes; LevelAsync: their resources decide
	Regions int           // other regions that must have its writes, whatever their links ask for
	MaxLag  time.Duration // of its eventual reads; zero is any
	After   Token         // its eventual reads show at least this

	mu    sync.Mutex // guards what follows
	given Given
}

// Given is what a request was given.
type Given struct {
	Wrote   bool
	Level   model.Level // the least that its writes reached: LevelAsync, LevelQuorum or LevelAll; when Wrote
	Shipped bool        // what it wrote is shipped to other regions
	Regions int         // the least number of these that had a write on disk when it was answered; when Shipped
	Read    bool
	Lag     time.Duration // the most of its reads: they show all that was committed that long ago; when Read
	// FromRegion says that what it read is shipped here by another region, of which
	// RegionLag and RegionChanges say by how much it is behind at most, as was heard
	// last.
	FromRegion    bool
	RegionLag     time.Duration
	RegionChanges uint64
	Token         Token // shows what the request wrote and read
}

type key struct{}

// With returns a context with these terms.
func With(ctx context.Context, t *Terms) context.Context { return context.WithValue(ctx, key{}, t) }

// Of returns the terms of a context, or nil. All methods may be called on nil.
func Of(ctx context.Context) *Terms {
	t, _ := ctx.Value(key{}).(*Terms)
	return t
}

// Asked is the least level of the request's writes.
func (t *Terms) Asked() model.Level {
	if t == nil {
		return model.LevelAsync
	}
	return t.Level
}

// Abroad is how many other regions must have the request's writes.
func (t *Terms) Abroad() int {
	if t == nil {
		return 0
	}
	return t.Regions
}

// Shipped records that a write was on disk in that many other regions when it
// was answered.
func (t *Terms) Shipped(regions int) {
	if t == nil {
		return
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	if g := &t.given; !g.Shipped || regions < g.Regions {
		g.Shipped, g.Regions = true, regions
	}
}

// Lag is the most that the request's eventual reads may lag; zero is any.
func (t *Terms) Lag() time.Duration {
	if t == nil {
		return 0
	}
	return t.MaxLag
}

// Least is the index that a tablet's replica must have reached for the
// request's eventual reads.
func (t *Terms) Least(id model.TabletID) model.Index {
	if t == nil {
		return 0
	}
	return t.After.At(id)
}

// Wrote records a write that the tablet's entry at the index holds.
func (t *Terms) Wrote(id model.TabletID, at model.Index, reached model.Level) {
	if t == nil {
		return
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	g := &t.given
	if !g.Wrote || reached < g.Level {
		g.Level = reached
	}
	g.Wrote = true
	g.Token.add(id, at)
}

// ReadAt records a read of a replica that had applied the entry at the index.
func (t *Terms) ReadAt(id model.TabletID, at model.Index, lag time.Duration) {
	if t == nil {
		return
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	t.given.Read = true
	t.given.Lag = max(t.given.Lag, lag)
	t.given.Token.add(id, at)
}

// ReadFromRegion records a read of what another region ships here, and how far
// it is behind.
func (t *Terms) ReadFromRegion(lag time.Duration, changes uint64) {
	if t == nil {
		return
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	g := &t.given
	g.FromRegion, g.RegionLag, g.RegionChanges = true, max(g.RegionLag, lag), max(g.RegionChanges, changes)
}

// Given is what the request was given so far. Its token also holds what the
// request's own token did, so that a session needs only the newest.
func (t *Terms) Given() Given {
	t.mu.Lock()
	defer t.mu.Unlock()
	g := t.given
	g.Token = nil
	for _, p := range t.After {
		g.Token.add(p.Tablet, p.Index)
	}
	for _, p := range t.given.Token {
		g.Token.add(p.Tablet, p.Index)
	}
	return g
}

// Token is how far a session has come in the tablets that it touched, by
// tablet. A replica that is at least there shows the session its own writes and
// never goes back behind its reads.
type Token []Position

// Position is an entry of a tablet's log.
type Position struct {
	Tablet model.TabletID
	Index  model.Index
}

// maxPositions bounds a token: clusters have at most 1,024 tablets.
const maxPositions = 1024

const tokenVersion = 1

// At is the session's index in a tablet; zero when it has not been there.
func (t Token) At(id model.TabletID) model.Index {
	for _, p := range t {
		if p.Tablet == id {
			return p.Index
		}
	}
	return 0
}

func (t *Token) add(id model.TabletID, at model.Index) {
	for i := range *t {
		if p := &(*t)[i]; p.Tablet == id {
			p.Index = max(p.Index, at)
			return
		}
	}
	*t = append(*t, Position{id, at})
}

// String is the token as clients see it: opaque, without characters that
// headers do not take.
func (t Token) String() string {
	b := model.AppendUvarint([]byte{tokenVersion}, uint64(len(t)))
	for _, p := range t {
		b = model.AppendUvarint(model.AppendUvarint(b, uint64(p.Tablet)), uint64(p.Index))
	}
	return base64.RawURLEncoding.EncodeToString(b)
}

// ParseToken reads what String wrote; "" is the token of a new session.
func ParseToken(text string) (t Token, err error) {
	if text == "" {
		return nil, nil
	}
	bad := model.Errorf(model.ErrValidation, "the session token is malformed")
	b, err := base64.RawURLEncoding.DecodeString(text)
	if err != nil {
		return nil, bad
	}
	d := model.NewDecoder(b)
	if d.Byte() != tokenVersion {
		d.Fail()
	}
	n := d.Count()
	if n > maxPositions {
		d.Fail()
	}
	for ; n > 0 && d.Err() == nil; n-- {
		t.add(model.TabletID(d.Uvarint()), model.Index(d.Uvarint()))
	}
	if d.Done() != nil {
		return nil, bad
	}
	return t, nil
}
