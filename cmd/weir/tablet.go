package main

import (
	"flag"
	"fmt"
	"os"
	"slices"
	"text/tabwriter"
	"time"

	"weir.dev/weir/internal/cluster"
	"weir.dev/weir/internal/console"
)

var tabletVerb = verb{name: "tablet", usage: "list|show|transfer [ID [NODE]]", summary: "show tablets and their replicas, and move their leaders",
	long: `    weir tablet list             who leads which tablet, and how far the others are behind
    weir tablet show t3          one tablet: each replica, why it is behind, what to do
    weir tablet transfer t3 NODE the node takes over, without a pause that clients notice,
                                 and goes on leading the tablet while it can
    weir tablet transfer t3 auto the balance of leaders over the nodes decides again

A tablet is a range of slots: the part of all tables, queues and streams whose
keys hash there. t0 is the catalog. A NODE may be shortened to its first digits.`,
	flags: func(fs *flag.FlagSet) func([]string) error {
		t := tabletCommand{console: adminFlag(fs)}
		fs.BoolVar(&t.asJSON, "json", false, "print JSON")
		return t.run
	}}

type tabletCommand struct {
	console *string
	asJSON  bool
}

func (t *tabletCommand) run(args []string) error {
	switch {
	case len(args) == 1 && args[0] == "list":
		return t.list()
	case len(args) == 2 && args[0] == "show":
		return t.show(args[1])
	case len(args) == 3 && args[0] == "transfer":
		return t.transfer(args[1], args[2])
	}
	return fmt.Errorf("say: weir tablet list, show ID, or transfer ID NODE")
}

func (t *tabletCommand) status() (*cluster.ClusterStatus, error) {
	s := &cluster.ClusterStatus{}
	return s, admin(*t.console, "GET", "/api/status", nil, s)
}

func (t *tabletCommand) list() error {
	s, err := t.status()
	if err != nil {
		return err
	}
	if t.asJSON {
		return printJSON(s.Tablets)
	}
	return printTablets(os.Stdout, s)
}

// tablet finds the tablet of that id.
func (t *tabletCommand) tablet(text string) (*cluster.ClusterStatus, *cluster.TabletView, error) {
	id, err := console.ParseTablet(text)
	if err != nil {
		return nil, nil, err
	}
	s, err := t.status()
	if err != nil {
		return nil, nil, err
	}
	for i := range s.Tablets {
		if s.Tablets[i].ID == id {
			return s, &s.Tablets[i], nil
		}
	}
	return nil, nil, fmt.Errorf("there is no tablet %v; weir tablet list shows them", id)
}

func (t *tabletCommand) show(text string) error {
	s, v, err := t.tablet(text)
	if err != nil {
		return err
	}
	if t.asJSON {
		return printJSON(v)
	}
	w := tabwriter.NewWriter(os.Stdout, 0, 8, 2, ' ', 0)
	fmt.Fprintf(w, "tablet\t%v\nslots\t%s\nleader\t%s\nterm\t%d\nlast entry\t%d\n", v.ID, slotsOf(v), leaderOf(v), v.Term, v.Last)
	if v.Wanted != 0 {
		fmt.Fprintf(w, "put on\t%v by hand; weir tablet transfer %v auto takes that back\n", v.Wanted, v.ID)
	}
	fmt.Fprint(w, "\nREPLICA\tROLE\tBEHIND\tWHY\n")
	for i := range v.Replicas {
		r := &v.Replicas[i]
		fmt.Fprintf(w, "%v\t%s\t%s\t%s\n", r.Node, roleOf(v, r), behind(r), orDash(r.Behind(s.NowMs)))
	}
	if err := w.Flush(); err != nil {
		return err
	}
	printTroubles(os.Stdout, slices.DeleteFunc(s.Troubles, func(tr cluster.Trouble) bool { return !slices.Contains(tr.Tablets, v.ID) }))
	return nil
}

func roleOf(t *cluster.TabletView, r *cluster.ReplicaView) string {
	switch {
	case t.Leader == r.Node:
		return "leader"
	case r.Voter:
		return "voter"
	default:
		return "learner"
	}
}

func behind(r *cluster.ReplicaView) string {
	if r.LagBytes == 0 {
		return fmt.Sprintf("%d entries", r.Lag)
	}
	return fmt.Sprintf("%d entries, %s", r.Lag, cluster.FormatBytes(r.LagBytes))
}

func (t *tabletCommand) transfer(text, to string) error {
	s, v, err := t.tablet(text)
	if err != nil {
		return err
	}
	var change console.TabletChange
	if to != "auto" {
		id, err := find(s, to)
		if err != nil {
			return err
		}
		change.Lead = &id
	}
	begun := time.Now()
	if err := admin(*t.console, "POST", "/api/tablets/"+v.ID.String(), change, nil); err != nil {
		return err
	}
	if change.Lead == nil {
		fmt.Printf("the balance of leaders decides who leads %v\n", v.ID)
		return nil
	}
	fmt.Printf("%v leads %v, which %s led before; done in %v\n", *change.Lead, v.ID, idOf(v.Leader), time.Since(begun).Round(time.Millisecond))
	return nil
}
