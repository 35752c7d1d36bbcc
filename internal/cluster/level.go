package cluster

import (
	"sync/atomic"

	"weir.dev/weir/internal/model"
)

// levels are the resources whose writes ask for more than a majority, as the
// newest catalog has them: mostly none.
type levels struct {
	asking atomic.Pointer[map[model.ResourceID]model.Level]
}

// note takes them from a newer catalog.
func (l *levels) note(c *model.Catalog) {
	var asking map[model.ResourceID]model.Level
	for i := range c.Resources {
		if r := &c.Resources[i]; r.Level > model.LevelQuorum {
			if asking == nil {
				asking = map[model.ResourceID]model.Level{}
			}
			asking[r.ID] = r.Level
		}
	}
	l.asking.Store(&asking)
}

// of is the least level of writes to a resource.
func (l *levels) of(id model.ResourceID) model.Level {
	if asking := l.asking.Load(); asking != nil {
		return (*asking)[id]
	}
	return model.LevelQuorum
}
