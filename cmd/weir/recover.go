package main

import (
	"bufio"
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"os"
	"strings"
	"text/tabwriter"
	"time"

	"weir.dev/weir/internal/server"
)

var recoverVerb = verb{name: "recover", summary: "go on from one node when a majority is lost for good",
	long: `For the one case in which nothing else helps: a majority of the nodes is lost for
good, disks and all. It works on the data directory of a survivor that is stopped,
says what is there and what may be lost, asks, and makes that node a cluster of one
with everything that it has; start it then, and join new nodes. All other members
are removed for good: if one comes back, it is refused.

When several nodes survived, look at each with --dry-run first, and recover on the
one whose tablets reach furthest. It refuses while other members answer, because
then starting them is the better way. What was done is kept in DIR/RECOVERIES.`,
	flags: func(fs *flag.FlagSet) func([]string) error {
		var r recoverFlags
		fs.StringVar(&r.data, "data", server.DefaultDataDir, "`DIR` of the survivor's data")
		fs.BoolVar(&r.yes, "yes", false, "do not ask")
		fs.BoolVar(&r.force, "force", false, "also while other members answer: their data and what they acknowledge is then given up")
		fs.BoolVar(&r.dry, "dry-run", false, "only say what is there and what may be lost")
		return r.run
	}}

type recoverFlags struct {
	data            string
	yes, force, dry bool
}

func (f *recoverFlags) run(args []string) error {
	if len(args) > 0 {
		return fmt.Errorf("weir recover takes no arguments, only flags: %q", args)
	}
	err := server.Recover(context.Background(), server.RecoverConfig{
		DataDir: f.data, Force: f.force, DryRun: f.dry,
		Confirm: func(r *server.Recovery) error { return f.confirm(os.Stdout, os.Stdin, r) },
		Logger:  slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: slog.LevelWarn})),
	})
	if err == nil && !f.dry {
		fmt.Printf("\ndone: start it with weir serve --data %s, and join new nodes (weir token create)\n", f.data)
	}
	return err
}

var errNotConfirmed = errors.New("nothing was changed: it was not confirmed")

// confirm says what is known, and asks.
func (f *recoverFlags) confirm(w io.Writer, in io.Reader, r *server.Recovery) error {
	if err := describeRecovery(w, r, time.Now()); err != nil {
		return err
	}
	if f.dry || f.yes || len(r.Alive) > 0 && !f.force {
		return nil
	}
	fmt.Fprint(w, "\nThere is no way back. To go on, type recover: ")
	line, err := bufio.NewReader(in).ReadString('\n')
	if err != nil && !errors.Is(err, io.EOF) {
		return err
	}
	if strings.TrimSpace(line) != "recover" {
		return errNotConfirmed
	}
	return nil
}

// describeRecovery says what the survivor has and what may be lost.
func describeRecovery(out io.Writer, r *server.Recovery, now time.Time) error {
	fmt.Fprintf(out, "node %v of cluster %s would go on alone.\n\nRemoved for good:\n", r.Node, r.ClusterID)
	w := tabwriter.NewWriter(out, 0, 8, 2, ' ', 0)
	for _, o := range r.Others {
		state := "does not answer"
		if o.Answers {
			state = "ANSWERS: it may be alive"
		}
		fmt.Fprintf(w, "  %v\t%s\t%s\n", o.ID, o.Address, state)
	}
	fmt.Fprint(w, "\nTABLET\tSLOTS\tHERE AS\tLOG UP TO\tKNOWN AGREED\tNEWEST WRITE HERE\tWHAT MAY BE LOST\n")
	for i := range r.Tablets {
		s := &r.Tablets[i]
		slots, role := "catalog", "voter"
		if s.Hi > 0 {
			slots = fmt.Sprintf("%d-%d", s.Lo, s.Hi-1)
		}
		if !s.Voter {
			role = "learner"
		}
		if !s.Held {
			fmt.Fprintf(w, "%v\t%s\tnot here\t-\t-\t-\tEVERYTHING in these slots: the tablet begins empty\n", s.Tablet, slots)
			continue
		}
		newest := "none"
		if s.NewestMs > 0 {
			newest = age(at(s.NewestMs), now) + " ago"
		}
		fmt.Fprintf(w, "%v\t%s\t%s\t%d of term %d\t%d\t%s\t", s.Tablet, slots, role, s.Last, s.LastTerm, s.Committed, newest)
		if s.Outdone() {
			fmt.Fprintf(w, "all since an election in term %d or before, which this node did not hear the end of\n", s.Term)
		} else {
			fmt.Fprint(w, "what the others acknowledged later without this node\n")
		}
	}
	if err := w.Flush(); err != nil {
		return err
	}
	fmt.Fprint(out, `
Everything that is here is kept, also entries that are not known to be agreed: they
are acknowledged writes, or requests whose outcome their clients do not know.
`)
	return nil
}

// at is a time in Unix milliseconds.
func at(ms int64) *time.Time {
	t := time.UnixMilli(ms)
	return &t
}
