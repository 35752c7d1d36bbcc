package main

import (
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"os"
	"text/tabwriter"

	"weir.dev/weir/internal/cluster"
	"weir.dev/weir/internal/model"
)

var statusVerb = verb{name: "status", summary: "show nodes, tablets, leaders and lag",
	long: `Exits with status 1 when a tablet has no leader that answers: it takes no writes
then, because too few of its voters are up.`,
	flags: func(fs *flag.FlagSet) func([]string) error {
		console := adminFlag(fs)
		asJSON := fs.Bool("json", false, "print JSON")
		return func([]string) error { return status(*console, *asJSON) }
	}}

var errQuorumLost = errors.New("a tablet has no leader: too few of its voters are up; start the nodes that are down")

func status(console string, asJSON bool) error {
	var s cluster.ClusterStatus
	if err := admin(console, "GET", "/api/status", nil, &s); err != nil {
		return err
	}
	lost := false
	for _, t := range s.Tablets {
		lost = lost || t.Leader == 0
	}
	if asJSON {
		out := json.NewEncoder(os.Stdout)
		out.SetIndent("", "  ")
		if err := out.Encode(s); err != nil {
			return err
		}
	} else {
		printStatus(&s)
	}
	if lost {
		return errQuorumLost
	}
	return nil
}

func printStatus(s *cluster.ClusterStatus) {
	w := tabwriter.NewWriter(os.Stdout, 0, 8, 2, ' ', 0)
	defer w.Flush()
	fmt.Fprintf(w, "cluster %s\n\nNODE\tADDRESS\tZONE\tSTATE\tLEADS\tHOLDS\n", s.ClusterID)
	for _, n := range s.Nodes {
		fmt.Fprintf(w, "%v\t%s\t%s\t%s\t%d\t%d\n", n.ID, n.Address, orDash(n.Zone), describeNode(&n, s.Asked), n.Leads, n.Holds)
	}
	fmt.Fprint(w, "\nTABLET\tSLOTS\tLEADER\tREPLICAS (entries behind)\n")
	for _, t := range s.Tablets {
		slots := "catalog"
		if t.Hi > 0 {
			slots = fmt.Sprintf("%d-%d", t.Lo, t.Hi-1)
		}
		leader := "none"
		if t.Leader != 0 {
			leader = t.Leader.String()
		}
		fmt.Fprintf(w, "%v\t%s\t%s\t", t.ID, slots, leader)
		for i, r := range t.Replicas {
			if i > 0 {
				fmt.Fprint(w, ", ")
			}
			fmt.Fprint(w, describeReplica(r))
		}
		fmt.Fprintln(w)
	}
}

func describeNode(n *cluster.NodeView, asked model.NodeID) string {
	state := "up"
	if !n.Up {
		state = "down"
	}
	if n.State != "active" {
		state += ", " + n.State
	}
	if n.ID == asked {
		state += " (asked)"
	}
	return state
}

func orDash(s string) string {
	if s == "" {
		return "-"
	}
	return s
}

func describeReplica(r cluster.ReplicaView) string {
	text := r.Node.String()
	if !r.Voter {
		text += " learner"
	}
	if !r.Up {
		return text + " (down)"
	}
	return fmt.Sprintf("%s (%d)", text, r.Lag)
}
