package main

import (
	"encoding/json"
	"flag"
	"fmt"
	"net/url"
	"os"
	"slices"
	"strconv"
	"text/tabwriter"
	"time"

	"weir.dev/weir/internal/cluster"
	"weir.dev/weir/internal/console"
	"weir.dev/weir/internal/model"
	"weir.dev/weir/internal/service"
)

var replicationVerb = verb{name: "replication", usage: "show|set|bound [RESOURCE [LEVEL]]", summary: "show and set how many replicas have a write before it is answered",
	long: `    weir replication show                    of all tables, queues and streams
    weir replication show table:orders
    weir replication set table:orders all    at once, for writes from now on

    weir replication bound 300ms 500         of async writes; weir replication show tells it

The levels:
    async       of tables only: the leader has the write on disk; copies follow. A
                leader that is lost can take writes with it that were answered: no
                more than the bound, which holds for each tablet. They are kept in
                a file where its disk still is: weir lost. Writes with a condition,
                updates, and those that return what was there are at quorum
    quorum      a majority of the replicas has the write on disk: the default
    all-if-up   every replica, or, when one does not have it within two seconds, a
                majority; the answer names what was reached
    all         every replica; when one does not have it within two seconds the
                request fails: while a node is down, there are no such writes

A request may ask for more than its resource by the header x-weir-durability,
and an SDK sets a resource's level by the tag weir:replication.`,
	flags: func(fs *flag.FlagSet) func([]string) error {
		f := replicationFlags{console: adminFlag(fs)}
		fs.BoolVar(&f.asJSON, "json", false, "print JSON")
		return f.run
	}}

type replicationFlags struct {
	console *string
	asJSON  bool
}

func (f *replicationFlags) run(args []string) error {
	switch {
	case len(args) == 1 && args[0] == "show":
		return f.show("")
	case len(args) == 2 && args[0] == "show":
		return f.show(args[1])
	case len(args) == 3 && args[0] == "bound":
		window, err := time.ParseDuration(args[1])
		if err != nil {
			return fmt.Errorf("say: weir replication bound 300ms 500: %q is no time", args[1])
		}
		writes, err := strconv.ParseInt(args[2], 10, 64)
		if err != nil {
			return fmt.Errorf("say: weir replication bound 300ms 500: %q is no number", args[2])
		}
		return admin(*f.console, "POST", "/api/settings", map[string]int64{"async_window_ms": window.Milliseconds(), "async_writes": writes}, nil)
	case len(args) == 3 && args[0] == "set":
		return admin(*f.console, "POST", "/api/replication", console.Replication{Resource: args[1], Level: args[2]}, nil)
	}
	return fmt.Errorf("say: weir replication show [table:NAME], or weir replication set table:NAME async|quorum|all-if-up|all")
}

func (f *replicationFlags) show(resource string) error {
	var list []console.Replication
	if err := admin(*f.console, "GET", "/api/replication?resource="+url.QueryEscape(resource), nil, &list); err != nil {
		return err
	}
	if f.asJSON {
		return json.NewEncoder(os.Stdout).Encode(list)
	}
	w := tabwriter.NewWriter(os.Stdout, 0, 8, 2, ' ', 0)
	fmt.Fprint(w, "RESOURCE\tREPLICATION\n")
	for _, r := range list {
		fmt.Fprintf(w, "%s\t%s\n", r.Resource, r.Level)
	}
	if err := w.Flush(); err != nil || !slices.ContainsFunc(list, func(r console.Replication) bool { return r.Level == model.LevelAsync.String() }) {
		return err
	}
	var s cluster.ClusterStatus
	if err := admin(*f.console, "GET", "/api/status", nil, &s); err != nil {
		return err
	}
	window, writes := s.Settings.AsyncBound()
	fmt.Printf("\nasync: a leader that is lost may take writes with it that it answered within %v, at most %d in each tablet\n", window, writes)
	return nil
}

// replicationFlag adds the flag of creating a resource, which becomes a tag.
func replicationFlag(fs *flag.FlagSet, tags *pairs) {
	fs.Func("replication", "create: `LEVEL` of its writes, quorum (unless set), all-if-up or all, of tables also async; weir help replication explains", func(text string) error {
		level, err := model.ParseLevel(text)
		if err != nil {
			return err
		}
		return tags.Set(service.ReplicationTag + "=" + level.String())
	})
}
