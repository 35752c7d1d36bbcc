package main

import (
	"encoding/json"
	"flag"
	"fmt"
	"net/url"
	"os"
	"slices"
	"strconv"
	"strings"
	"text/tabwriter"
	"time"

	"weir.dev/weir/internal/console"
)

var queueVerb = verb{name: "queue", usage: "list|create|describe|peek|search|cancel|purge|delete|redrive|send|receive [NAME]", summary: "look into queues, and work with them by hand",
	long: `    weir queue list                      all queues and how much waits in each
    weir queue create orders --attribute VisibilityTimeout=60
    weir queue create steps.fifo         a name in .fifo makes a FIFO queue
    weir queue describe orders           attributes, counts, age, groups, dead letters
    weir queue peek orders               what is in it, without taking anything
    weir queue search orders TEXT        the messages that contain TEXT
    weir queue cancel orders ID...       take back scheduled messages
    weir queue purge orders              delete all its messages; there is no way back
    weir queue delete orders             and the queue itself
    weir queue send orders BODY          BODY - is standard input
    weir queue receive orders --delete   take messages as a consumer would

Messages of a dead-letter queue go back to the queues that they died in, or to
another one:

    weir queue redrive orders-dead [--to QUEUE] [--rate 100/s]
    weir queue redrive orders-dead list
    weir queue redrive orders-dead cancel`,
	flags: func(fs *flag.FlagSet) func([]string) error {
		f := queueFlags{console: adminFlag(fs)}
		fs.BoolVar(&f.asJSON, "json", false, "print JSON")
		fs.Var(&f.attributes, "attribute", "create: `NAME=VALUE` of a queue's attribute, as SQS names it; send: of a message's, as text; repeatable")
		fs.Var(&f.tags, "tag", "create: `KEY=VALUE`; repeatable")
		replicationFlag(fs, &f.tags)
		fs.IntVar(&f.max, "max", 0, "peek, search: messages at most, 20 unless set; receive: 1 to 10, 1 unless set")
		fs.StringVar(&f.group, "group", "", "peek, search: only this message group; send: the message's `GROUP`")
		fs.StringVar(&f.start, "start", "", "peek: `PLACE` where the last page ended")
		fs.StringVar(&f.dedup, "dedup", "", "send: the message's deduplication `ID`")
		fs.StringVar(&f.delay, "delay", "", "send: `DURATION` until it is visible, up to 15m")
		fs.StringVar(&f.at, "at", "", "send: schedule it for this `TIME`, as 2030-01-31T12:00:00Z")
		fs.IntVar(&f.priority, "priority", 0, "send: 0 to 9; the higher is delivered first")
		fs.StringVar(&f.visibility, "visibility", "", "receive: `DURATION` for which others do not get the messages")
		fs.StringVar(&f.wait, "wait", "0s", "receive: `DURATION` to wait for the first message, up to 15s")
		fs.BoolVar(&f.remove, "delete", false, "receive: delete what is received")
		fs.StringVar(&f.to, "to", "", "redrive: `QUEUE` to move the messages to")
		fs.StringVar(&f.rate, "rate", "0", "redrive: messages per second as `N/s`, 1 to 500; 0 is as fast as it goes")
		return f.run
	}}

// queueFlags are the flags of all of the verb's actions.
type queueFlags struct {
	console                 *string
	asJSON, remove          bool
	attributes, tags        pairs
	max, priority           int
	group, start, dedup, at string
	delay, visibility, wait string
	to, rate                string
}

func (f *queueFlags) run(args []string) error {
	if len(args) == 1 && args[0] == "list" {
		return f.list()
	}
	if len(args) < 2 {
		return fmt.Errorf("say: weir queue create|describe|peek|search|cancel|purge|delete|redrive|send|receive NAME, or weir queue list")
	}
	action, name, rest := args[0], args[1], args[2:]
	path := "/api/queues/" + url.PathEscape(name)
	switch {
	case action == "create" && len(rest) == 0:
		return f.create(name)
	case action == "describe" && len(rest) == 0:
		return f.describe(path)
	case action == "peek" && len(rest) == 0:
		return f.peek(path)
	case action == "search" && len(rest) == 1:
		return f.search(path, rest[0])
	case action == "cancel" && len(rest) > 0:
		return f.cancel(path, rest)
	case action == "purge" && len(rest) == 0:
		return admin(*f.console, "POST", path+"/purge", struct{}{}, nil)
	case action == "delete" && len(rest) == 0:
		return admin(*f.console, "DELETE", path, nil, nil)
	case action == "redrive":
		return f.redrive(path, rest)
	case action == "send" && len(rest) == 1:
		return f.send(path, rest[0])
	case action == "receive" && len(rest) == 0:
		return f.receive(path)
	}
	return fmt.Errorf("weir queue does not know %q; weir help queue explains", strings.Join(args, " "))
}

func (f *queueFlags) create(name string) error {
	if strings.HasSuffix(name, ".fifo") && f.attributes["FifoQueue"] == "" {
		if f.attributes == nil {
			f.attributes = pairs{}
		}
		f.attributes["FifoQueue"] = "true"
	}
	return admin(*f.console, "POST", "/api/queues", console.NewQueue{Name: name, Attributes: f.attributes, Tags: f.tags}, nil)
}

// all reads every page of queues.
func (f *queueFlags) all() ([]console.Queue, error) {
	queues := []console.Queue{}
	for after := ""; ; {
		var page console.QueueList
		if err := admin(*f.console, "GET", "/api/queues?after="+url.QueryEscape(after), nil, &page); err != nil {
			return nil, err
		}
		queues = append(queues, page.Queues...)
		if after = page.Next; after == "" {
			return queues, nil
		}
	}
}

func (f *queueFlags) list() error {
	queues, err := f.all()
	if err != nil {
		return err
	}
	if f.asJSON {
		return json.NewEncoder(os.Stdout).Encode(queues)
	}
	w := tabwriter.NewWriter(os.Stdout, 0, 8, 2, ' ', 0)
	fmt.Fprint(w, "QUEUE\tTYPE\tVISIBLE\tDELAYED\tIN FLIGHT\tWITH PIPES\tDEAD\tOLDEST\n")
	for i := range queues {
		q := &queues[i]
		n := &q.Counts
		fmt.Fprintf(w, "%s\t%s\t%d\t%d\t%d\t%d\t%d\t%s\n", q.Name, queueType(q), n.Visible, n.Delayed, n.InFlight, n.Claimed, n.Dead, age(n.Oldest, time.Now()))
	}
	return w.Flush()
}

func (f *queueFlags) describe(path string) error {
	var q console.Queue
	if err := admin(*f.console, "GET", path, nil, &q); err != nil {
		return err
	}
	if f.asJSON {
		return json.NewEncoder(os.Stdout).Encode(&q)
	}
	printQueue(&q, time.Now())
	return nil
}

func printQueue(q *console.Queue, now time.Time) {
	w := tabwriter.NewWriter(os.Stdout, 0, 8, 2, ' ', 0)
	defer w.Flush()
	n := &q.Counts
	fmt.Fprintf(w, "queue\t%s\ntype\t%s\npartitions\t%d\ncreated\t%s\n", q.Name, queueType(q), q.Partitions, q.Created.Format(time.RFC3339))
	fmt.Fprintf(w, "visible\t%d messages\ndelayed\t%d messages\nin flight\t%d messages\nwith pipes\t%d messages\ndead\t%d messages, on their way to the dead-letter queue\n",
		n.Visible, n.Delayed, n.InFlight, n.Claimed, n.Dead)
	fmt.Fprintf(w, "size\t%d bytes\noldest\t%s\ngroups\t%d, %d of them noisy\n", n.Bytes, age(n.Oldest, now), n.Groups, n.Noisy)
	if q.DeadLetters != "" {
		fmt.Fprintf(w, "dead letters\tgo to %s\n", q.DeadLetters)
	}
	if len(q.Sources) > 0 {
		fmt.Fprintf(w, "dead letters\tcome from %s\n", strings.Join(q.Sources, ", "))
	}
	for _, name := range sortedNames(q.Attributes) {
		fmt.Fprintf(w, "%s\t%s\n", name, q.Attributes[name])
	}
	for _, key := range sortedNames(q.Tags) {
		fmt.Fprintf(w, "tag %s\t%s\n", key, q.Tags[key])
	}
}

func queueType(q *console.Queue) string {
	if q.Fifo {
		return "fifo"
	}
	return "standard"
}

// age is how long ago something was, in a form to read.
func age(at *time.Time, now time.Time) string {
	if at == nil {
		return "-"
	}
	d := max(now.Sub(*at), 0)
	if d < time.Minute {
		return strconv.FormatFloat(d.Seconds(), 'f', 1, 64) + "s"
	}
	if d < 48*time.Hour {
		text := d.Round(time.Second).String()
		if strings.HasSuffix(text, "m0s") {
			return strings.TrimSuffix(text, "0s")
		}
		return text
	}
	return strconv.Itoa(int(d/(24*time.Hour))) + "d"
}

func sortedNames(m map[string]string) []string {
	names := make([]string, 0, len(m))
	for n := range m {
		names = append(names, n)
	}
	slices.Sort(names)
	return names
}
