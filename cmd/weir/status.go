package main

import (
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"text/tabwriter"
	"time"

	"weir.dev/weir/internal/cluster"
	"weir.dev/weir/internal/model"
)

var statusVerb = verb{name: "status", summary: "show nodes, tablets, leaders and lag, and what is the matter",
	long: `What is the matter comes last, the worst first, each with what to do about it.
Exits with status 1 when a tablet has no leader that answers: it takes no writes
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
		if err := printJSON(s); err != nil {
			return err
		}
	} else if err := printStatus(os.Stdout, &s); err != nil {
		return err
	}
	if lost {
		return errQuorumLost
	}
	return nil
}

func printJSON(v any) error {
	out := json.NewEncoder(os.Stdout)
	out.SetIndent("", "  ")
	return out.Encode(v)
}

// tabletsShown is how many tablets weir status lists one by one.
const tabletsShown = 16

func printStatus(out io.Writer, s *cluster.ClusterStatus) error {
	fmt.Fprintf(out, "cluster %s\n\n", s.ClusterID)
	if err := printNodes(out, s); err != nil {
		return err
	}
	fmt.Fprintln(out)
	if len(s.Tablets) <= tabletsShown {
		if err := printTablets(out, s); err != nil {
			return err
		}
	} else {
		fmt.Fprintf(out, "%d tablets; weir tablet list shows them\n", len(s.Tablets))
	}
	printTroubles(out, s.Troubles)
	return nil
}

func printNodes(out io.Writer, s *cluster.ClusterStatus) error {
	w := tabwriter.NewWriter(out, 0, 8, 2, ' ', 0)
	fmt.Fprint(w, "NODE\tADDRESS\tZONE\tSTATE\tLEADS\tHOLDS\tDISK FREE\n")
	for i := range s.Nodes {
		n := &s.Nodes[i]
		fmt.Fprintf(w, "%v\t%s\t%s\t%s\t%d\t%d\t%s\n", n.ID, n.Address, orDash(n.Zone), describeNode(n, s), n.Leads, n.Holds, diskFree(n))
	}
	return w.Flush()
}

func printTablets(out io.Writer, s *cluster.ClusterStatus) error {
	w := tabwriter.NewWriter(out, 0, 8, 2, ' ', 0)
	fmt.Fprint(w, "TABLET\tSLOTS\tLEADER\tREPLICAS (entries behind)\n")
	for i := range s.Tablets {
		t := &s.Tablets[i]
		fmt.Fprintf(w, "%v\t%s\t%s\t", t.ID, slotsOf(t), leaderOf(t))
		for i, r := range t.Replicas {
			if i > 0 {
				fmt.Fprint(w, ", ")
			}
			fmt.Fprint(w, describeReplica(r))
		}
		fmt.Fprintln(w)
	}
	return w.Flush()
}

// printTroubles says what is the matter and what to do, or that nothing is.
func printTroubles(out io.Writer, troubles []cluster.Trouble) {
	if len(troubles) == 0 {
		fmt.Fprint(out, "\nall is well: every tablet has a leader, and every replica is up and close to it\n")
		return
	}
	for _, t := range troubles {
		fmt.Fprintf(out, "\n! %s\n  what to do: %s\n", t.Text, t.Advice)
	}
}

func slotsOf(t *cluster.TabletView) string {
	if t.Hi == 0 {
		return "catalog"
	}
	return fmt.Sprintf("%d-%d", t.Lo, t.Hi-1)
}

func leaderOf(t *cluster.TabletView) string {
	if t.Leader == 0 {
		return "none"
	}
	return t.Leader.String()
}

func describeNode(n *cluster.NodeView, s *cluster.ClusterStatus) string {
	state := "up"
	if !n.Up {
		state = "down"
		if n.HeardMs > 0 {
			state += " for " + max(0, time.Duration(s.NowMs-n.HeardMs)*time.Millisecond).Round(time.Second).String()
		}
	}
	if n.State != "active" {
		state += ", " + n.State
	}
	if n.ID == s.Asked {
		state += " (asked)"
	}
	return state
}

func diskFree(n *cluster.NodeView) string {
	d := &n.Disk
	switch {
	case d.Total == 0:
		return "-"
	case d.Full:
		return cluster.FormatBytes(d.Free) + ", too little"
	default:
		return fmt.Sprintf("%s of %s", cluster.FormatBytes(d.Free), cluster.FormatBytes(d.Total))
	}
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
	switch r.Doing {
	case cluster.DoingDown:
		return text + " (down)"
	case cluster.DoingSnapshot:
		return fmt.Sprintf("%s (snapshot, %s so far)", text, cluster.FormatBytes(r.Snapshot.Bytes))
	case cluster.DoingNew:
		return text + " (waits for a snapshot)"
	default:
		return fmt.Sprintf("%s (%d)", text, r.Lag)
	}
}

// idOf is an id that a list may lack.
func idOf(id model.NodeID) string {
	if id == 0 {
		return "-"
	}
	return id.String()
}
