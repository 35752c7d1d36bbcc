package main

import (
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"strconv"
	"strings"
	"text/tabwriter"

	"weir.dev/weir/internal/console"
)

var pipeVerb = verb{name: "pipe", usage: "create|list|describe|rate|pause|resume|delete [NAME]", summary: "make and steer pipes, from queues into tables and streams, and on from streams",
	long: `A pipe takes the messages of a queue and applies each, exactly once, to an item
of a table, at the rate you set:

    weir pipe create likes --from queue:likes --to table:posts \
        --key 'id=$.post' --update 'ADD score :n' --value ':n=$.weight' --rate 200/s

or makes a record of each in a stream, with its body or --data:

    weir pipe create clicks --from queue:clicks --to stream:clicks --partition-key '$.user'

A stream is a source, too, of pipes into tables, streams and queues; records stay
in it, and each takes effect once, those of a shard in their order:

    weir pipe create totals --from stream:clicks --to table:users \
        --key 'id=$key' --update 'ADD clicks :n' --value ':n=1' --start latest

$.post is a member of the message's JSON body. A message that cannot be applied
goes to the dead-letter queue (--dead-letter, NAME-dead unless set) with the
reason, and the pipe goes on.

    weir pipe rate likes 500/s      change the rate while it runs (0 is no limit)
    weir pipe pause likes           begin nothing new; resume goes on
    weir pipe describe likes        how much waits, and for how long
    weir pipe delete likes          what waits stays in the queue`,
	flags: func(fs *flag.FlagSet) func([]string) error {
		f := pipeFlags{console: adminFlag(fs)}
		fs.StringVar(&f.from, "from", "", "the source, `queue:NAME` or stream:NAME")
		fs.StringVar(&f.to, "to", "", "the target, `table:NAME` or stream:NAME; from a stream queue:NAME, too")
		fs.StringVar(&f.update, "update", "", "the update `EXPRESSION` for each message, as for UpdateItem")
		fs.Var(&f.keys, "key", "`ATTRIBUTE=$.path` of the item's key; repeat it for a sort key")
		fs.Var(&f.values, "value", "`:NAME=$.path` or :NAME=JSON, a value of the expression; repeatable")
		fs.Var(&f.names, "name", "`#NAME=attribute`, a name of the expression; repeatable")
		fs.StringVar(&f.partitionKey, "partition-key", "", "into a stream: `$.path` of a record's partition key, or $id")
		fs.StringVar(&f.data, "data", "", "into a stream or queue: `$.path` of the data; the body unless set")
		fs.StringVar(&f.group, "group", "", "into a FIFO queue: `$.path` of a message's group; the partition key unless set")
		fs.StringVar(&f.start, "start", "", "from a stream: oldest, latest, or a `TIME`; oldest unless set")
		fs.StringVar(&f.rate, "rate", "0", "messages per second as `N/s`; 0 is no limit")
		fs.StringVar(&f.deadLetter, "dead-letter", "", "`queue:NAME` for messages that cannot be applied; made when missing")
		fs.BoolVar(&f.paused, "paused", false, "create it paused")
		fs.BoolVar(&f.asJSON, "json", false, "print JSON")
		return f.run
	}}

// pipeFlags are the flags of all of the verb's actions.
type pipeFlags struct {
	console                *string
	from, to, update, rate string
	partitionKey, data     string
	group, start           string
	deadLetter             string
	keys, values, names    pairs
	paused, asJSON         bool
}

// pairs collects repeated NAME=VALUE flags.
type pairs map[string]string

// String implements flag.Value.
func (p *pairs) String() string { return "" }

// Set implements flag.Value.
func (p *pairs) Set(s string) error {
	name, value, ok := strings.Cut(s, "=")
	if !ok || name == "" || value == "" {
		return fmt.Errorf("%q is not NAME=VALUE", s)
	}
	if *p == nil {
		*p = pairs{}
	}
	if _, twice := (*p)[name]; twice {
		return fmt.Errorf("%q is given twice", name)
	}
	(*p)[name] = value
	return nil
}

func (f *pipeFlags) run(args []string) error {
	if len(args) == 1 && args[0] == "list" {
		return f.list()
	}
	if len(args) < 2 {
		return fmt.Errorf("say: weir pipe create|describe|rate|pause|resume|delete NAME, or weir pipe list")
	}
	path := "/api/pipes/" + args[1]
	switch {
	case args[0] == "create" && len(args) == 2:
		return f.create(args[1])
	case args[0] == "describe" && len(args) == 2:
		return f.describe(path)
	case args[0] == "rate" && len(args) == 3:
		rate, err := parseRate(args[2])
		if err != nil {
			return err
		}
		return admin(*f.console, "PATCH", path, console.PipeChange{Rate: &rate}, nil)
	case (args[0] == "pause" || args[0] == "resume") && len(args) == 2:
		paused := args[0] == "pause"
		return admin(*f.console, "PATCH", path, console.PipeChange{Paused: &paused}, nil)
	case args[0] == "delete" && len(args) == 2:
		return admin(*f.console, "DELETE", path, nil, nil)
	}
	return fmt.Errorf("weir pipe does not know %q; weir help pipe explains", strings.Join(args, " "))
}

// parseRate reads 200/s, or 200.
func parseRate(s string) (float64, error) {
	rate, err := strconv.ParseFloat(strings.TrimSuffix(s, "/s"), 64)
	if err != nil || rate < 0 {
		return 0, fmt.Errorf("%q is not a rate; write 200/s", s)
	}
	return rate, nil
}

func (f *pipeFlags) create(name string) error {
	rate, err := parseRate(f.rate)
	if err != nil {
		return err
	}
	return admin(*f.console, "POST", "/api/pipes", console.Pipe{
		Name: name, From: f.from, To: f.to, Update: f.update, Key: f.keys, Values: f.values, Names: f.names,
		PartitionKey: f.partitionKey, Data: f.data, Group: f.group, Start: f.start, Rate: rate, DeadLetter: f.deadLetter, Paused: f.paused,
	}, nil)
}

func (f *pipeFlags) list() error {
	var pipes []console.Pipe
	if err := admin(*f.console, "GET", "/api/pipes", nil, &pipes); err != nil {
		return err
	}
	if f.asJSON {
		return json.NewEncoder(os.Stdout).Encode(pipes)
	}
	w := tabwriter.NewWriter(os.Stdout, 0, 8, 2, ' ', 0)
	fmt.Fprint(w, "PIPE\tFROM\tTO\tRATE\tSTATE\n")
	for _, p := range pipes {
		fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%s\n", p.Name, p.From, p.To, formatRate(p.Rate), pipeState(p))
	}
	return w.Flush()
}

func (f *pipeFlags) describe(path string) error {
	var p console.Pipe
	if err := admin(*f.console, "GET", path, nil, &p); err != nil {
		return err
	}
	if f.asJSON {
		return json.NewEncoder(os.Stdout).Encode(p)
	}
	w := tabwriter.NewWriter(os.Stdout, 0, 8, 2, ' ', 0)
	fmt.Fprintf(w, "pipe\t%s\nfrom\t%s\nto\t%s\nupdate\t%s\nrate\t%s\nstate\t%s\ndead letters\t%s\n", p.Name, p.From, p.To, p.Update, formatRate(p.Rate), pipeState(p), p.DeadLetter)
	if p.Progress != nil {
		fmt.Fprintf(w, "backlog\t%d messages\nunder way\t%d messages\n", p.Progress.Backlog, p.Progress.UnderWay)
		if p.Progress.LagSeconds > 0 {
			fmt.Fprintf(w, "behind\t%.1f s\n", p.Progress.LagSeconds)
		}
		if p.Progress.DrainSeconds > 0 {
			fmt.Fprintf(w, "drained in\t%.0f s at this rate\n", p.Progress.DrainSeconds)
		}
	}
	return w.Flush()
}

func formatRate(rate float64) string {
	if rate == 0 {
		return "no limit"
	}
	return strconv.FormatFloat(rate, 'f', -1, 64) + "/s"
}

func pipeState(p console.Pipe) string {
	if p.Paused {
		return "paused"
	}
	return "running"
}
