package main

import (
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"maps"
	"net/url"
	"os"
	"slices"
	"strconv"
	"strings"
	"text/tabwriter"
	"time"

	"weir.dev/weir/internal/console"
)

var streamVerb = verb{name: "stream", usage: "list|create|describe|put|tail|lag|seek|reshard|delete [NAME]", summary: "look into streams, and work with them by hand",
	long: `    weir stream list                       all streams
    weir stream create clicks --shards 4
    weir stream create clicks --on-demand  the shards split and merge with the load
    weir stream describe clicks            settings and shards
    weir stream put clicks KEY DATA        one record; DATA - is standard input, a record for each line
    weir stream tail clicks                what is put from now on, of all shards
    weir stream tail clicks --from oldest  all that there is, and then what is put
    weir stream tail clicks --consumer x   as a member of the named consumer x:
                                           members share the shards, and what was shown is committed
    weir stream lag clicks                 how far each named consumer is behind
    weir stream seek clicks --consumer x --to oldest
                                           move the named consumer x in all shards: to oldest, latest or a time
    weir stream reshard clicks --shards 8
    weir stream reshard clicks --split shardId-000000000000 --at HASHKEY
    weir stream reshard clicks --merge shardId-000000000001,shardId-000000000002
    weir stream delete clicks              and all its records`,
	flags: func(fs *flag.FlagSet) func([]string) error {
		f := streamFlags{console: adminFlag(fs)}
		fs.BoolVar(&f.asJSON, "json", false, "print JSON")
		fs.Int64Var(&f.shards, "shards", 0, "create, reshard: how many `SHARDS`; 1 unless set")
		fs.BoolVar(&f.onDemand, "on-demand", false, "create: let the load decide how many shards there are")
		fs.StringVar(&f.retention, "retention", "", "create: `HOURS` for which records are kept, 24 unless set, or forever")
		fs.Var(&f.tags, "tag", "create: `KEY=VALUE`; repeatable")
		replicationFlag(fs, &f.tags)
		fs.StringVar(&f.hashKey, "hash-key", "", "put: `NUMBER` that chooses the shard instead of the key")
		fs.StringVar(&f.from, "from", "latest", "tail: latest, oldest, or a `TIME` as 2030-01-31T12:00:00Z")
		fs.StringVar(&f.consumer, "consumer", "", "tail, lag, seek: the named consumer `NAME`; delete: delete only it")
		fs.StringVar(&f.to, "to", "", "seek: oldest, latest, or a `TIME` as 2030-01-31T12:00:00Z")
		fs.IntVar(&f.max, "max", 0, "tail: stop after that many records; 0 goes on")
		fs.StringVar(&f.split, "split", "", "reshard: the `SHARD` to split, with --at")
		fs.StringVar(&f.at, "at", "", "reshard: `HASHKEY` that begins the second part; the middle unless set")
		fs.StringVar(&f.merge, "merge", "", "reshard: two neighbours, `SHARD,SHARD`")
		return f.run
	}}

// streamFlags are the flags of all of the verb's actions.
type streamFlags struct {
	console            *string
	asJSON, onDemand   bool
	shards             int64
	retention, hashKey string
	from, to, consumer string
	split, at, merge   string
	tags               pairs
	max                int
}

func (f *streamFlags) run(args []string) error {
	if len(args) == 1 && args[0] == "list" {
		return f.list()
	}
	if len(args) < 2 {
		return fmt.Errorf("say: weir stream create|describe|put|tail|lag|seek|reshard|delete NAME, or weir stream list")
	}
	action, name, rest := args[0], args[1], args[2:]
	path := "/api/streams/" + url.PathEscape(name)
	switch {
	case action == "create" && len(rest) == 0:
		return f.create(name)
	case action == "describe" && len(rest) == 0:
		return f.describe(path)
	case action == "put" && len(rest) == 2:
		return f.put(path, rest[0], rest[1])
	case action == "tail" && len(rest) == 0 && f.consumer != "":
		return f.share(name)
	case action == "tail" && len(rest) == 0:
		return f.tail(path)
	case action == "lag" && len(rest) == 0:
		return f.lag(path)
	case action == "seek" && len(rest) == 0:
		return f.seek(path)
	case action == "reshard" && len(rest) == 0:
		return f.reshard(path)
	case action == "delete" && len(rest) == 0 && f.consumer != "":
		return admin(*f.console, "DELETE", path+"/consumers/"+url.PathEscape(f.consumer), nil, nil)
	case action == "delete" && len(rest) == 0:
		return admin(*f.console, "DELETE", path, nil, nil)
	}
	return fmt.Errorf("weir stream does not know %q; weir help stream explains", strings.Join(args, " "))
}

func (f *streamFlags) list() error {
	var streams []console.Stream
	if err := admin(*f.console, "GET", "/api/streams", nil, &streams); err != nil {
		return err
	}
	if f.asJSON {
		return json.NewEncoder(os.Stdout).Encode(streams)
	}
	w := tabwriter.NewWriter(os.Stdout, 0, 8, 2, ' ', 0)
	fmt.Fprint(w, "STREAM\tSHARDS\tMODE\tRETENTION\tSTATUS\n")
	for i := range streams {
		s := &streams[i]
		fmt.Fprintf(w, "%s\t%d\t%s\t%s\t%s\n", s.Name, s.OpenShards, streamMode(s), streamRetention(s), s.Status)
	}
	return w.Flush()
}

func streamMode(s *console.Stream) string {
	if s.OnDemand {
		return "on-demand"
	}
	return "provisioned"
}

func streamRetention(s *console.Stream) string {
	if s.RetentionHours == 0 {
		return "forever"
	}
	return fmt.Sprintf("%d h", s.RetentionHours)
}

func (f *streamFlags) create(name string) error {
	n := console.NewStream{Name: name, Shards: f.shards, OnDemand: f.onDemand, Tags: f.tags}
	if f.retention != "" {
		hours, err := parseRetention(f.retention)
		if err != nil {
			return err
		}
		n.RetentionHours = &hours
	}
	return admin(*f.console, "POST", "/api/streams", n, nil)
}

// parseRetention reads hours, or forever.
func parseRetention(s string) (int64, error) {
	if s == "forever" {
		return 0, nil
	}
	hours, err := strconv.ParseInt(strings.TrimSuffix(s, "h"), 10, 64)
	if err != nil || hours < 1 {
		return 0, fmt.Errorf("%q is not a retention; write hours, or forever", s)
	}
	return hours, nil
}

func (f *streamFlags) describe(path string) error {
	var s console.Stream
	if err := admin(*f.console, "GET", path, nil, &s); err != nil {
		return err
	}
	if f.asJSON {
		return json.NewEncoder(os.Stdout).Encode(s)
	}
	w := tabwriter.NewWriter(os.Stdout, 0, 8, 2, ' ', 0)
	fmt.Fprintf(w, "stream\t%s\nstatus\t%s\nmode\t%s\nretention\t%s\nlargest record\t%d bytes\ncreated\t%s\nopen shards\t%d\n",
		s.Name, s.Status, streamMode(&s), streamRetention(&s), s.MaxRecordBytes, s.Created.Format(time.RFC3339), s.OpenShards)
	for _, key := range slices.Sorted(maps.Keys(s.Tags)) {
		fmt.Fprintf(w, "tag\t%s=%s\n", key, s.Tags[key])
	}
	fmt.Fprint(w, "\nSHARD\tSTATE\tHASH KEYS\tPARENTS\n")
	for _, sh := range s.Shards {
		state := "open"
		if sh.Last != "" {
			state = "closed"
		}
		fmt.Fprintf(w, "%s\t%s\t%s to %s\t%s\n", sh.ID, state, sh.HashFirst, sh.HashLast, strings.Join(sh.Parents, ", "))
	}
	return w.Flush()
}

// maxPut is how many lines of standard input make one request.
const maxPut = 100

func (f *streamFlags) put(path, key, data string) error {
	if data != "-" {
		return f.putLines(path, key, []string{data})
	}
	text, err := io.ReadAll(os.Stdin)
	if err != nil {
		return fmt.Errorf("cannot read standard input: %w", err)
	}
	for lines := range slices.Chunk(strings.Split(strings.TrimSuffix(string(text), "\n"), "\n"), maxPut) {
		if err := f.putLines(path, key, lines); err != nil {
			return err
		}
	}
	return nil
}

func (f *streamFlags) putLines(path, key string, lines []string) error {
	var b console.PutRecords
	for _, line := range lines {
		b.Records = append(b.Records, console.NewRecord{Key: key, Data: []byte(line), HashKey: f.hashKey})
	}
	var results []console.PutResult
	if err := admin(*f.console, "POST", path+"/records", b, &results); err != nil {
		return err
	}
	if f.asJSON {
		return json.NewEncoder(os.Stdout).Encode(results)
	}
	for _, r := range results {
		if r.Error != "" {
			return fmt.Errorf("%s", r.Error)
		}
		fmt.Printf("%s %s\n", r.Shard, r.Sequence)
	}
	return nil
}

func (f *streamFlags) lag(path string) error {
	var lags []console.Lag
	if err := admin(*f.console, "GET", path+"/lag?consumer="+url.QueryEscape(f.consumer), nil, &lags); err != nil {
		return err
	}
	return f.showLags(lags)
}

// seek moves a named consumer, and shows its lag then.
func (f *streamFlags) seek(path string) error {
	if f.consumer == "" || f.to == "" {
		return fmt.Errorf("say which consumer goes where: --consumer NAME --to oldest, latest or a time")
	}
	to := console.Seek{To: "AT_TIMESTAMP"}
	switch f.to {
	case "oldest":
		to.To = "TRIM_HORIZON"
	case "latest":
		to.To = "LATEST"
	default:
		t, err := time.Parse(time.RFC3339, f.to)
		if err != nil {
			return fmt.Errorf("--to is latest, oldest or a time as 2030-01-31T12:00:00Z, not %q", f.to)
		}
		to.Time = &t
	}
	var lags []console.Lag
	if err := admin(*f.console, "POST", path+"/consumers/"+url.PathEscape(f.consumer)+"/seek", to, &lags); err != nil {
		return err
	}
	return f.showLags(lags)
}

func (f *streamFlags) showLags(lags []console.Lag) error {
	if f.asJSON {
		return json.NewEncoder(os.Stdout).Encode(lags)
	}
	w := tabwriter.NewWriter(os.Stdout, 0, 8, 2, ' ', 0)
	fmt.Fprint(w, "CONSUMER\tSHARD\tOFFSET\tTIP\tLAG\tBEHIND\tMEMBER\n")
	for i := range lags {
		l := &lags[i]
		member := l.Member
		if member == "" {
			member = "-"
		}
		fmt.Fprintf(w, "%s\t%s\t%d\t%d\t%d records\t%d ms\t%s\n", l.Consumer, l.Shard, l.Position, l.Tip, l.Records, l.LagMs, member)
	}
	return w.Flush()
}

func (f *streamFlags) reshard(path string) error {
	b := console.Reshard{Shards: f.shards, Split: f.split, At: f.at}
	if f.merge != "" {
		b.Merge = strings.Split(f.merge, ",")
	}
	var s console.Stream
	if f.split != "" && f.at == "" {
		at, err := f.middleOf(path, f.split)
		if err != nil {
			return err
		}
		b.At = at
	}
	if err := admin(*f.console, "POST", path+"/reshard", b, &s); err != nil {
		return err
	}
	fmt.Printf("%s has %d open shards, %s\n", s.Name, s.OpenShards, s.Status)
	return nil
}
