package main

import (
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"strings"
	"text/tabwriter"
	"time"

	"weir.dev/weir/internal/console"
)

var regionVerb = verb{name: "region", usage: "name|token|link|sync|status|role|verify|failover|drill|held|rejoin|expel ...", summary: "ship tables, queues and streams to other clusters and take in what they ship",
	long: `A region is a cluster seen from another. A link ships the changes of tables to
another region; two links, one in each, make tables that both write.

In the region that takes in:
    weir region name west
    weir region token from-east          prints a token, good for one link and an hour
In the region that ships:
    weir region name east
    weir region link add to-west --to HOST:4590 --token TOKEN --tables 'orders,user_*'
    weir region link add jobs-to-west --to HOST:4590 --token TOKEN --queues 'jobs*' --streams clicks
    weir region status                   what each link lags, and why
HOST:4590 is the peer address of any member there.

    weir region link list
    weir region link pause to-west       resume goes on where it was
    weir region link alter to-west --tables 'orders' --bandwidth 1000000
    weir region link remove to-west      what was shipped stays there
    weir region sync to-west             a link with --mode manual ships once
    weir region role from-east passive   clients' writes are refused here; or active
    weir region verify to-west --repair  compare both sides, mend what differs:
                                         tables, queues and streams
    weir region failover to-west --planned   the other region takes the writes
    weir region failover to-east --forced    this one does, the other one is gone
    weir region failover to-east --forced --despite-held    although this one holds changes of an earlier one
    weir region drill to-west            there and back, with times
    weir region held to-west             what was not shipped before a forced one
    weir region rejoin to-west           merge it
    weir region expel from-east          refuse what that link ships

Tables may be written in both regions, queues and streams in one at a time: with
--queues or --streams all that the link ships takes no writes in the region that
takes in, until it is active by failover or role. Records can be read there.

--where takes a condition on items as DynamoDB writes them, and --values its
values as JSON: --where 'amount > :n' --values '{":n": 100}'.`,
	flags: func(fs *flag.FlagSet) func([]string) error {
		f := regionFlags{console: adminFlag(fs), given: map[string]bool{}}
		fs.StringVar(&f.link.To, "to", "", "`HOST:PORT` of a peer listener of the other region")
		fs.StringVar(&f.link.Token, "token", "", "the `TOKEN` that the other region made")
		fs.StringVar(&f.link.Mode, "mode", "async", "`MODE`: async ships at once; sync holds answers back until the other region has the write on disk, sync-if-up as long as that works; manual ships when weir region sync says so")
		fs.Uint64Var(&f.link.RegionsRequired, "regions-required", 0, "`NUMBER` of a table's regions that must have a write, of the modes sync and sync-if-up; 0 is all")
		fs.StringVar(&f.tables, "tables", "", "the tables: `NAMES` with commas between; a * at the end takes in all that begin so")
		fs.StringVar(&f.queues, "queues", "", "the queues, as --tables: `NAMES`; clients use them in one region at a time")
		fs.StringVar(&f.streams, "streams", "", "the streams, as --queues: `NAMES`")
		fs.StringVar(&f.link.Where, "where", "", "`CONDITION` on items: only those are shipped")
		fs.StringVar(&f.link.Values, "values", "", "`JSON` object with the condition's values")
		fs.Uint64Var(&f.link.BytesPerSecond, "bandwidth", 0, "`BYTES` per second at most; 0 is no bound")
		fs.BoolVar(&f.link.Paused, "paused", false, "add it paused")
		fs.DurationVar(&f.verifyEvery, "verify-every", console.DefaultVerifyEvery, "`DURATION` between two comparisons of both sides; 0 is never")
		fs.BoolVar(&f.planned, "planned", false, "of failover: drain the link, then the other region takes the writes")
		fs.BoolVar(&f.forced, "forced", false, "of failover: this region takes the writes, the other one cannot be asked")
		fs.BoolVar(&f.despiteHeld, "despite-held", false, "of failover --forced: take the writes although changes of an earlier takeover are held here; those of tables stay held until weir region rejoin, those of queues and streams are given up where the copy here was replaced")
		fs.BoolVar(&f.yes, "yes", false, "of failover --forced: ask nothing")
		fs.BoolVar(&f.repair, "repair", false, "of verify: mend what differs")
		fs.BoolVar(&f.asJSON, "json", false, "print JSON")
		return func(args []string) error {
			fs.Visit(func(fl *flag.Flag) { f.given[fl.Name] = true })
			return f.run(args)
		}
	}}

// regionFlags are the flags of all of the verb's actions.
type regionFlags struct {
	console *string
	link    console.Link
	tables  string
	queues  string
	streams string
	asJSON  bool
	given   map[string]bool

	verifyEvery time.Duration
	repair      bool

	planned, forced, despiteHeld, yes bool
}

func (f *regionFlags) run(args []string) error {
	what := strings.Join(args[:min(len(args), 2)], " ")
	switch {
	case len(args) == 1 && args[0] == "status", what == "link list":
		return f.status()
	case len(args) == 2 && args[0] == "name":
		return admin(*f.console, "POST", "/api/region/name", map[string]string{"name": args[1]}, nil)
	case len(args) == 2 && args[0] == "token":
		return f.token(args[1])
	case len(args) == 3 && args[0] == "role" && (args[2] == "passive" || args[2] == "active"):
		return admin(*f.console, "POST", "/api/region/roles/"+args[1], map[string]bool{"passive": args[2] == "passive"}, nil)
	case len(args) == 2 && args[0] == "verify":
		return f.verify(args[1])
	case len(args) == 2 && args[0] == "failover":
		return f.failover(args[1])
	case len(args) == 2 && args[0] == "drill":
		return f.drill(args[1])
	case len(args) == 2 && args[0] == "held":
		return f.held(args[1])
	case len(args) == 2 && args[0] == "rejoin":
		return admin(*f.console, "POST", "/api/region/links/"+args[1]+"/rejoin", struct{}{}, nil)
	case len(args) == 2 && args[0] == "sync":
		return admin(*f.console, "POST", "/api/region/links/"+args[1]+"/sync", struct{}{}, nil)
	case len(args) == 2 && args[0] == "expel":
		return admin(*f.console, "DELETE", "/api/region/inbound/"+args[1], nil, nil)
	case len(args) == 3 && args[0] == "link":
		return f.changeLink(args[1], args[2])
	}
	return fmt.Errorf("weir region does not know %q; weir help region explains", strings.Join(args, " "))
}

func (f *regionFlags) changeLink(action, name string) error {
	path := "/api/region/links/" + name
	switch action {
	case "add":
		f.link.Name, f.link.Tables, f.link.VerifySeconds = name, splitTables(f.tables), f.verifySeconds()
		f.link.Queues, f.link.Streams = splitTables(f.queues), splitTables(f.streams)
		return admin(*f.console, "POST", "/api/region/links", f.link, nil)
	case "pause", "resume":
		paused := action == "pause"
		return admin(*f.console, "PATCH", path, console.LinkChange{Paused: &paused}, nil)
	case "alter":
		return admin(*f.console, "PATCH", path, f.alteration(), nil)
	case "remove":
		return admin(*f.console, "DELETE", path, nil, nil)
	}
	return fmt.Errorf("weir region link does not know %q: say add, list, pause, resume, alter or remove", action)
}

// alteration is what the flags that were given change.
func (f *regionFlags) alteration() console.LinkChange {
	var ch console.LinkChange
	if f.given["to"] {
		ch.To = &f.link.To
	}
	if f.given["mode"] {
		ch.Mode = &f.link.Mode
	}
	if f.given["tables"] {
		ch.Tables = splitTables(f.tables)
	}
	if f.given["queues"] {
		ch.Queues = append([]string{}, splitTables(f.queues)...)
	}
	if f.given["streams"] {
		ch.Streams = append([]string{}, splitTables(f.streams)...)
	}
	if f.given["where"] {
		ch.Where, ch.Values = &f.link.Where, &f.link.Values
	}
	if f.given["regions-required"] {
		ch.RegionsRequired = &f.link.RegionsRequired
	}
	if f.given["bandwidth"] {
		ch.BytesPerSecond = &f.link.BytesPerSecond
	}
	if f.given["verify-every"] {
		ch.VerifySeconds = f.verifySeconds()
	}
	return ch
}

func (f *regionFlags) verifySeconds() *uint64 {
	seconds := uint64(max(0, f.verifyEvery) / time.Second)
	return &seconds
}

func splitTables(text string) []string {
	if text == "" {
		return nil
	}
	return strings.Split(text, ",")
}

func (f *regionFlags) token(name string) error {
	var got struct {
		Token string `json:"token"`
	}
	if err := admin(*f.console, "POST", "/api/region/tokens", map[string]string{"name": name}, &got); err != nil {
		return err
	}
	fmt.Println(got.Token)
	return nil
}

func (f *regionFlags) status() error {
	var all console.Regions
	if err := admin(*f.console, "GET", "/api/region", nil, &all); err != nil {
		return err
	}
	if f.asJSON {
		return json.NewEncoder(os.Stdout).Encode(all)
	}
	w := tabwriter.NewWriter(os.Stdout, 0, 8, 2, ' ', 0)
	name := all.Name
	if name == "" {
		name = "(no name)"
	}
	fmt.Fprintf(w, "region\t%s\t%s\n", name, all.ID)
	if len(all.Links) > 0 {
		fmt.Fprint(w, "\nLINK\tTO\tMODE\tTABLES\tSTATE\tLAG\tCHANGES\tBYTES\n")
	}
	for _, l := range all.Links {
		fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%s\t%s\t%d\t%d\n", l.Name, l.Region, l.Mode, selection(&l), linkState(&l),
			seconds(l.Status.LagSeconds), l.Status.LagChanges, l.Status.LagBytes)
	}
	if len(all.Inbound) > 0 {
		fmt.Fprint(w, "\nINBOUND\tFROM\tLINK THERE\tROLE\tLAG\tCHANGES\tHEARD\n")
	}
	for _, in := range all.Inbound {
		from := in.Region
		if from == "" {
			from = "(waits for its token)"
		}
		fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%s\n", in.Name, from, in.Link, roleName(in.Passive), heardText(in.Heard))
	}
	if len(all.Policies) > 0 {
		fmt.Fprint(w, "\nTABLE\tCONFLICTS\n")
	}
	for _, p := range all.Policies {
		fmt.Fprintf(w, "%s\t%s\n", p.Table, p.Policy)
	}
	return w.Flush()
}

// selection is what a link ships, in a few words.
func selection(l *console.Link) string {
	parts := []string{strings.Join(l.Tables, ",")}
	if len(l.Queues) > 0 {
		parts = append(parts, "queues:"+strings.Join(l.Queues, ","))
	}
	if len(l.Streams) > 0 {
		parts = append(parts, "streams:"+strings.Join(l.Streams, ","))
	}
	return strings.Trim(strings.Join(parts, ";"), ";")
}

func roleName(passive bool) string {
	if passive {
		return "passive"
	}
	return "active"
}

// heardText is the lag that the sender reported, and how long ago.
func heardText(h *console.Heard) string {
	if h == nil {
		return "-\t-\tnot here"
	}
	return fmt.Sprintf("%s\t%d\t%s ago", seconds(h.LagSeconds), h.LagChanges, seconds(h.SecondsAgo))
}

func seconds(s float64) time.Duration {
	return time.Duration(s * float64(time.Second)).Round(time.Millisecond)
}

func linkState(l *console.Link) string {
	switch {
	case l.Passive && !l.Paused && l.Status.Problem == "" && l.Status.Copying == 0:
		return "passive"
	case l.Paused:
		return "paused"
	case l.Status.Problem != "":
		return "stuck: " + l.Status.Problem
	case l.Status.Copying > 0:
		return "copying"
	case l.Status.Differences > 0:
		return fmt.Sprintf("%d differences", l.Status.Differences)
	default:
		return "shipping"
	}
}

func written(deleted bool, item any) (string, error) {
	if deleted {
		return "a delete", nil
	}
	text, err := json.Marshal(item)
	return string(text), err
}
