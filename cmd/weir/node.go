package main

import (
	"flag"
	"fmt"
	"os"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"weir.dev/weir/internal/cluster"
	"weir.dev/weir/internal/model"
)

var nodeVerb = verb{name: "node", usage: "list|show|drain|undrain|remove|replace-after [ID|DURATION]", summary: "show the members, and let them drain or leave",
	long: `show tells what a node holds and leads, how far its replicas are behind, and what
is the matter with it.

drain moves a node's replicas and leaders to other members, as far as they can
take them; undrain lets them come back. remove also ends the membership, once
the node holds nothing: it never comes back under its id. Both work for a node
that is lost too. With --wait they return when it is done, and report progress.

replace-after says how long a node may be away before its replicas are made anew
on others, if there are any: 15m at first, never with 0.

An ID may be shortened to its first digits while they name one node.`,
	flags: func(fs *flag.FlagSet) func([]string) error {
		n := nodeCommand{console: adminFlag(fs)}
		fs.BoolVar(&n.wait, "wait", false, "return when a drain or a removal is done")
		return n.run
	}}

type nodeCommand struct {
	console *string
	wait    bool
}

func (n *nodeCommand) run(args []string) error {
	if len(args) == 1 && args[0] == "list" {
		return n.list()
	}
	if len(args) != 2 {
		return fmt.Errorf("say: weir node list, show ID, drain ID, undrain ID, remove ID or replace-after DURATION")
	}
	switch args[0] {
	case "show":
		return n.show(args[1])
	case "drain":
		return n.change(args[1], nodeChange{Drain: true})
	case "undrain":
		return n.change(args[1], nodeChange{})
	case "remove":
		return n.change(args[1], nodeChange{Drain: true, Leave: true})
	case "replace-after":
		d, err := time.ParseDuration(args[1])
		if err != nil || d < 0 {
			return fmt.Errorf("%q is no duration such as 15m, or 0 for never", args[1])
		}
		return admin(*n.console, "POST", "/api/settings", map[string]int64{"replace_after_ms": d.Milliseconds()}, nil)
	default:
		return fmt.Errorf("weir node does not know %q; weir help node lists what it does", args[0])
	}
}

// nodeChange is the body of a change of a node.
type nodeChange struct {
	Drain bool `json:"drain"`
	Leave bool `json:"leave"`
}

func (n *nodeCommand) status() (s cluster.ClusterStatus, err error) {
	err = admin(*n.console, "GET", "/api/status", nil, &s)
	return s, err
}

func (n *nodeCommand) list() error {
	s, err := n.status()
	if err != nil {
		return err
	}
	if err := printNodes(os.Stdout, &s); err != nil {
		return err
	}
	if after := time.Duration(s.Settings.ReplaceAfterMs) * time.Millisecond; after > 0 {
		fmt.Printf("\na node that is away for %v is replaced by others\n", after)
	} else {
		fmt.Print("\na node that is away is never replaced by itself\n")
	}
	return nil
}

// show tells everything of one node.
func (n *nodeCommand) show(text string) error {
	s, err := n.status()
	if err != nil {
		return err
	}
	id, err := find(&s, text)
	if err != nil {
		return err
	}
	w := tabwriter.NewWriter(os.Stdout, 0, 8, 2, ' ', 0)
	for i := range s.Nodes {
		if v := &s.Nodes[i]; v.ID == id {
			fmt.Fprintf(w, "node\t%v\naddress\t%s\nzone\t%s\nstate\t%s\nstarts\t%d\nleads\t%d tablets\nholds\t%d replicas\ndisk free\t%s\n",
				v.ID, v.Address, orDash(v.Zone), describeNode(v, &s), v.Starts, v.Leads, v.Holds, diskFree(v))
		}
	}
	fmt.Fprint(w, "\nTABLET\tROLE\tLEADER\tBEHIND\tWHY\n")
	for i := range s.Tablets {
		t := &s.Tablets[i]
		for k := range t.Replicas {
			if r := &t.Replicas[k]; r.Node == id {
				fmt.Fprintf(w, "%v\t%s\t%s\t%s\t%s\n", t.ID, roleOf(t, r), leaderOf(t), behind(r), orDash(r.Behind(s.NowMs)))
			}
		}
	}
	if err := w.Flush(); err != nil {
		return err
	}
	printTroubles(os.Stdout, slices.DeleteFunc(s.Troubles, func(t cluster.Trouble) bool { return t.Node != id }))
	return nil
}

// find names the one node whose id begins with the text.
func find(s *cluster.ClusterStatus, text string) (found model.NodeID, err error) {
	for i := range s.Nodes {
		if !strings.HasPrefix(s.Nodes[i].ID.String(), text) {
			continue
		}
		if found != 0 {
			return 0, fmt.Errorf("several nodes have ids that begin with %s", text)
		}
		found = s.Nodes[i].ID
	}
	if found == 0 {
		return 0, fmt.Errorf("no member has an id that begins with %s; weir node list shows them", text)
	}
	return found, nil
}

func (n *nodeCommand) change(text string, c nodeChange) error {
	s, err := n.status()
	if err != nil {
		return err
	}
	id, err := find(&s, text)
	if err != nil {
		return err
	}
	if err := admin(*n.console, "POST", "/api/nodes/"+id.String(), c, nil); err != nil {
		return err
	}
	if !n.wait || !c.Drain {
		return nil
	}
	return n.watch(id, c.Leave)
}

// watchEvery is how often the progress of a drain is looked at, and restLooks
// in how many looks in a row a cluster at rest must be seen before it is
// certain that no more will move.
const (
	watchEvery = 500 * time.Millisecond
	restLooks  = 6
)

// watch reports how a node empties until it is done.
func (n *nodeCommand) watch(id model.NodeID, leave bool) error {
	resting := 0
	for said := -1; ; time.Sleep(watchEvery) {
		s, err := n.status()
		if err != nil {
			return err
		}
		member, left := false, 0
		resting++
		for i := range s.Nodes {
			member = member || s.Nodes[i].ID == id
		}
		for i := range s.Tablets {
			t := &s.Tablets[i]
			if t.ID != model.CatalogTablet && t.Members.Has(id) {
				left++
			}
			if !t.Settled {
				resting = 0
			}
		}
		switch {
		case leave && !member:
			fmt.Printf("%v is no member any more\n", id)
			return nil
		case !leave && left == 0:
			fmt.Printf("%v holds no data any more\n", id)
			return nil
		case !leave && left == said && resting > restLooks:
			return fmt.Errorf("%v keeps %d tablets: no other member can take them; it leads none", id, left)
		case left != said:
			fmt.Printf("%v holds %d tablets\n", id, left)
			said = left
		}
	}
}
