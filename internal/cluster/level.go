package cluster

import (
	"sync/atomic"
	"time"

	"weir.dev/weir/internal/model"
)

// levels are the resources whose writes ask for something else than a majority,
// as the newest catalog has them: mostly none.
type levels struct {
	noted atomic.Pointer[asking]
}

// asking are a catalog's resources that ask for something else.
type asking struct {
	catalog *model.Catalog
	levels  map[model.ResourceID]model.Level
}

// note takes them from a newer catalog.
func (l *levels) note(c *model.Catalog) {
	last := l.noted.Load()
	if last == nil {
		last = &asking{catalog: &model.Catalog{}}
	}
	now := &asking{c, last.levels}
	for was, is := range c.Resources.Since(&last.catalog.Resources) {
		if asksElse(was) || asksElse(is) {
			now.levels = asked(c)
			break
		}
	}
	l.noted.Store(now)
}

func asksElse(r *model.Resource) bool { return r != nil && r.Level != model.LevelQuorum }

// asked goes through the whole catalog.
func asked(c *model.Catalog) map[model.ResourceID]model.Level {
	levels := map[model.ResourceID]model.Level{}
	for r := range c.Resources.All() {
		if asksElse(r) {
			levels[r.ID] = r.Level
		}
	}
	return levels
}

// of is the least level of writes to a resource.
func (l *levels) of(id model.ResourceID) model.Level {
	if a := l.noted.Load(); a != nil {
		return a.levels[id]
	}
	return model.LevelQuorum
}

// bound is how far the answers of async writes may be ahead.
func (l *levels) bound() (window time.Duration, writes int) {
	if a := l.noted.Load(); a != nil {
		return a.catalog.Settings.AsyncBound()
	}
	return 0, 0
}
