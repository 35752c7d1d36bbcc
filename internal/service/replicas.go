package service

import (
	"context"
	"slices"

	"weir.dev/weir/internal/model"
)

// Replica is what DynamoDB calls a replica of a table: another region that a
// link ships the whole table to. Regions are known by the names that they have
// given themselves.
type Replica struct {
	Region string
	Link   string // its name here
	// Parts of the table, by tablet, and how many of them are not copied yet.
	Parts, Copying int
	// Stopped says that the link ships nothing now, though it is not done.
	Stopped bool
	// Pattern is what in the link's list of tables takes in this one.
	Pattern string
}

// replicaLink is a link that ships whole tables by itself.
type replicaLink struct {
	id   model.ResourceID
	name string
	spec model.LinkSpec
}

// replicaLinks lists the links that can hold replicas, by name: those to regions
// that have a name, without a condition, that ship at once.
func (s *Service) replicaLinks() (links []replicaLink, err error) {
	for r := range s.cluster.Catalog().Resources.Of(model.KindLink) {
		l := replicaLink{id: r.ID, name: r.Name}
		d := model.NewDecoder(r.Spec)
		l.spec.Decode(d)
		if err := d.Done(); err != nil {
			return nil, err
		}
		if l.spec.RegionName != "" && l.spec.Where == "" && l.spec.Mode != model.LinkManual {
			links = append(links, l)
		}
	}
	return links, nil
}

// Replicas lists the replicas of a table, by region. A region that several links
// ship it to is there once.
func (s *Service) Replicas(ctx context.Context, table *Table) (list []Replica, err error) {
	links, err := s.replicaLinks()
	if err != nil {
		return nil, err
	}
	for i := range links {
		l := &links[i]
		known := slices.ContainsFunc(list, func(r Replica) bool { return r.Region == l.spec.RegionName })
		pattern := patternOf(&l.spec, table.Name)
		if known || pattern == "" {
			continue
		}
		r := Replica{Region: l.spec.RegionName, Link: l.name, Stopped: l.spec.Paused || l.spec.Held, Pattern: pattern}
		if err := s.countCopied(ctx, l.id, table.ID, &r); err != nil {
			return nil, err
		}
		list = append(list, r)
	}
	slices.SortStableFunc(list, func(a, b Replica) int {
		if a.Region < b.Region {
			return -1
		}
		return 1
	})
	return list, nil
}

// patternOf is what in a link's list takes in a table: its name rather than a
// beginning; "" when nothing does.
func patternOf(spec *model.LinkSpec, table string) string {
	if slices.Contains(spec.Tables, table) {
		return table
	}
	for _, p := range spec.Tables {
		if model.MatchesName([]string{p}, table) {
			return p
		}
	}
	return ""
}

// countCopied asks each tablet how far a link is with a table.
func (s *Service) countCopied(ctx context.Context, link, table model.ResourceID, r *Replica) error {
	c := s.cluster.Catalog()
	for i := range c.Tablets {
		t := &c.Tablets[i]
		if t.Hi <= t.Lo {
			continue
		}
		r.Parts++
		q := model.ReaderQuery{Tablet: t.ID, Reader: link}
		res, err := s.cluster.Read(ctx, &model.Query{Kind: model.QueryReader, Slot: model.Slot(t.Lo), Body: q.Append(nil)}, true)
		if err != nil {
			return err
		}
		var state model.ReaderState
		if res.Status == model.StatusOK {
			d := model.NewDecoder(res.Body)
			state.Decode(d)
			if err := d.Done(); err != nil {
				return err
			}
		}
		copied := slices.ContainsFunc(state.Tables, func(w model.WatchedTable) bool { return w.Table == table && w.Copied() })
		if !copied {
			r.Copying++
		}
	}
	return nil
}

// The errors of changes of replicas, in AWS's words where it has such.
const (
	msgReplicaExists  = "Failed to create a the new replica of table with name: '%s' because one or more replicas already existed as tables."
	msgReplicaMissing = "Replica specified in the Replica Update or Replica Delete action of the request was not found."
	msgReplicaRegion  = "No link of this cluster leads to a region named %s: name the other cluster there (weir region name %[1]s) and make a link to it here (weir region link add), which replicas are made on"
	msgReplicaPattern = "The table %s is replicated by %s in the list of the link %s, together with other tables: change the list (weir region link alter)"
	msgReplicaLast    = "The link %s ships nothing but the table %s: remove the link instead (weir region link remove)"
	msgReplicaMost    = "The link %s names %d tables already: make another one to that region, or use a name that ends in *"
)

// maxReplicaTables is how many tables a link names.
const maxReplicaTables = 100

// CreateReplica has the first link to a region of that name ship a table, too.
// Errors: ErrNotFound (table), ErrValidation.
func (s *Service) CreateReplica(ctx context.Context, table, region string) error {
	t, err := s.DescribeTable(ctx, table)
	if err != nil {
		return err
	}
	replicas, err := s.Replicas(ctx, t)
	if err != nil {
		return err
	}
	if slices.ContainsFunc(replicas, func(r Replica) bool { return r.Region == region }) {
		return invalidf(msgReplicaExists, table)
	}
	links, err := s.replicaLinks()
	if err != nil {
		return err
	}
	at := slices.IndexFunc(links, func(l replicaLink) bool { return l.spec.RegionName == region })
	if at < 0 {
		return invalidf(msgReplicaRegion, region)
	}
	name := links[at].name
	return s.UpdateLink(ctx, name, func(spec *model.LinkSpec) error {
		if len(spec.Tables) >= maxReplicaTables {
			return invalidf(msgReplicaMost, name, len(spec.Tables))
		}
		if patternOf(spec, table) == "" {
			spec.Tables = append(slices.Clone(spec.Tables), table)
		}
		return nil
	})
}

// CheckReplica refuses a region that holds no replica of the table. Errors:
// ErrValidation.
func (s *Service) CheckReplica(ctx context.Context, table *Table, region string) error {
	replicas, err := s.Replicas(ctx, table)
	if err == nil && !slices.ContainsFunc(replicas, func(r Replica) bool { return r.Region == region }) {
		return invalidf(msgReplicaMissing)
	}
	return err
}

// DeleteReplica has the links to a region of that name ship a table no longer.
// What was shipped stays there. Errors: ErrNotFound (table), ErrValidation.
func (s *Service) DeleteReplica(ctx context.Context, table, region string) error {
	t, err := s.DescribeTable(ctx, table)
	if err != nil {
		return err
	}
	for found := false; ; found = true {
		replicas, err := s.Replicas(ctx, t)
		if err != nil {
			return err
		}
		at := slices.IndexFunc(replicas, func(r Replica) bool { return r.Region == region })
		if at < 0 && found {
			return nil
		}
		if at < 0 {
			return invalidf(msgReplicaMissing)
		}
		if err := s.dropReplica(ctx, table, &replicas[at]); err != nil {
			return err
		}
	}
}

func (s *Service) dropReplica(ctx context.Context, table string, r *Replica) error {
	return s.UpdateLink(ctx, r.Link, func(spec *model.LinkSpec) error {
		switch pattern := patternOf(spec, table); {
		case pattern != "" && pattern != table:
			return invalidf(msgReplicaPattern, table, pattern, r.Link)
		case len(spec.Tables) == 1 && pattern != "":
			return invalidf(msgReplicaLast, r.Link, table)
		}
		spec.Tables = slices.DeleteFunc(slices.Clone(spec.Tables), func(p string) bool { return p == table })
		return nil
	})
}
