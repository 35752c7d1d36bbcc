package main

import (
	"encoding/json"
	"flag"
	"fmt"
	"net/url"
	"os"
	"text/tabwriter"
	"time"

	"weir.dev/weir/internal/console"
)

var conflictsVerb = verb{name: "conflicts", usage: "list|show|restore|policy ...", summary: "see what lost when two regions wrote an item at once, and say who wins",
	long: `Two writes of an item in two regions are in conflict when neither knew of the
other. Each region counts it and keeps both versions: 1,000 in each tablet, for
30 days.

    weir conflicts list orders               those of a table that are kept
    weir conflicts list orders --key o1      of one item; keys as list shows them
    weir conflicts show t3/17                both versions
    weir conflicts restore t3/17             write what lost once more, as of now

    weir conflicts policy                    how each table resolves them
    weir conflicts policy orders counter     the same in all regions, or they do
                                             not ship to each other

The policies:
    last-writer   the later write by the regions' clocks has the item: the default
    fields        the later write of each attribute has it
    counter       fields, and what is added to numbers adds up: ADD n, SET n = n + 1
    union         fields, and the later word about each member of a set counts
    region:A/B    a write of the region A wins over others, then one of B
    queue:NAME    last-writer, and a message with both versions goes to the queue

An SDK sets the policy of a table by the tag weir:conflicts when it makes the
table.`,
	flags: func(fs *flag.FlagSet) func([]string) error {
		f := conflictsFlags{console: adminFlag(fs)}
		fs.StringVar(&f.key, "key", "", "of list: the `KEY` of one item, as list shows it")
		fs.BoolVar(&f.asJSON, "json", false, "print JSON")
		return f.run
	}}

type conflictsFlags struct {
	console *string
	key     string
	asJSON  bool
}

func (f *conflictsFlags) run(args []string) error {
	switch {
	case len(args) == 2 && args[0] == "list":
		return f.list(args[1])
	case len(args) == 2 && args[0] == "show":
		return f.show(args[1])
	case len(args) == 2 && args[0] == "restore":
		return admin(*f.console, "POST", "/api/conflicts/"+args[1]+"/restore", struct{}{}, nil)
	case len(args) == 1 && args[0] == "policy":
		return f.policies("")
	case len(args) == 2 && args[0] == "policy":
		return f.policies(args[1])
	case len(args) == 3 && args[0] == "policy":
		return admin(*f.console, "POST", "/api/conflict-policies", console.ConflictPolicy{Table: args[1], Policy: args[2]}, nil)
	}
	return fmt.Errorf("say: weir conflicts list TABLE, show TABLET/NUMBER, restore TABLET/NUMBER, or policy [TABLE [POLICY]]")
}

func (f *conflictsFlags) list(table string) error {
	var all console.Conflicts
	query := url.Values{"table": {table}, "key": {f.key}}
	if err := admin(*f.console, "GET", "/api/conflicts?"+query.Encode(), nil, &all); err != nil {
		return err
	}
	if f.asJSON {
		return json.NewEncoder(os.Stdout).Encode(all)
	}
	w := tabwriter.NewWriter(os.Stdout, 0, 8, 2, ' ', 0)
	fmt.Fprint(w, "CONFLICT\tKEY\tPOLICY\tWON\tLOST\tWRITTEN\tWHAT LOST\n")
	for i := range all.Conflicts {
		c := &all.Conflicts[i]
		lost, err := versionText(&c.Loser)
		if err != nil {
			return err
		}
		fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%s\t%s\t%s\n", c.ID, c.Key, c.Policy, c.Winner.Region, c.Loser.Region, c.Loser.Written.UTC().Format(time.RFC3339), lost)
	}
	if err := w.Flush(); err != nil {
		return err
	}
	if all.More {
		fmt.Println("more of this table are kept: --key shows those of one item")
	}
	fmt.Printf("%d conflicts in all tables so far; each tablet keeps its last %d, for %.0f days\n", all.Counted, all.KeptMost, all.KeptFor/(24*time.Hour).Seconds())
	if all.Problem != "" {
		fmt.Println("some are not told to their queue:", all.Problem)
	}
	return nil
}

// versionText is one of the two writes of a conflict in one line.
func versionText(v *console.ConflictVersion) (string, error) {
	if v.Deleted {
		return "a delete", nil
	}
	text, err := json.Marshal(v.Item)
	return string(text), err
}

func (f *conflictsFlags) show(id string) error {
	var c console.Conflict
	if err := admin(*f.console, "GET", "/api/conflicts/"+id, nil, &c); err != nil {
		return err
	}
	if f.asJSON {
		return json.NewEncoder(os.Stdout).Encode(c)
	}
	w := tabwriter.NewWriter(os.Stdout, 0, 8, 2, ' ', 0)
	fmt.Fprintf(w, "table\t%s\nkey\t%s\nresolved by\t%s, %s\n", c.Table, c.Key, c.Policy, c.Met.UTC().Format(time.RFC3339))
	for _, v := range []struct {
		what string
		*console.ConflictVersion
	}{{"won", &c.Winner}, {"lost", &c.Loser}} {
		text, err := versionText(v.ConflictVersion)
		if err != nil {
			return err
		}
		fmt.Fprintf(w, "%s\t%s, %s\t%s\n", v.what, v.Region, v.Written.UTC().Format(time.RFC3339Nano), text)
	}
	return w.Flush()
}

func (f *conflictsFlags) policies(table string) error {
	var list []console.ConflictPolicy
	if err := admin(*f.console, "GET", "/api/conflict-policies?table="+url.QueryEscape(table), nil, &list); err != nil {
		return err
	}
	if f.asJSON {
		return json.NewEncoder(os.Stdout).Encode(list)
	}
	w := tabwriter.NewWriter(os.Stdout, 0, 8, 2, ' ', 0)
	fmt.Fprint(w, "TABLE\tCONFLICTS\n")
	for _, p := range list {
		fmt.Fprintf(w, "%s\t%s\n", p.Table, p.Policy)
	}
	return w.Flush()
}
