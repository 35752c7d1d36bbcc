package main

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"strings"
	"text/tabwriter"
	"time"

	"weir.dev/weir/internal/console"
)

// failover moves the writes of a link's tables: planned from here to the other
// region, forced from the other region to this one.
func (f *regionFlags) failover(name string) error {
	if f.planned == f.forced {
		return fmt.Errorf("say --planned, in the region that has the writes, or --forced, in the one that survives")
	}
	if f.despiteHeld && !f.forced {
		return fmt.Errorf("--despite-held belongs to --forced: a planned failover needs weir region rejoin first")
	}
	if f.forced {
		if err := f.warnForced(name); err != nil {
			return err
		}
	}
	var s console.Switch
	if err := admin(*f.console, "POST", "/api/region/links/"+name+"/failover", map[string]bool{"forced": f.forced, "despite_held": f.despiteHeld}, &s); err != nil {
		return err
	}
	if f.forced {
		fmt.Println("This region takes the writes now. " + lostText(s.Lost))
		fmt.Println("When the old one is back it takes no writes of these tables; weir region held there shows what it had not shipped, weir region rejoin merges it.")
		return nil
	}
	fmt.Printf("The other region takes the writes now. Nothing is lost; writes were refused for %v, %d changes were shipped meanwhile.\n", seconds(s.RefusedSeconds), s.Shipped)
	return nil
}

// warnForced says what is known not to have arrived, and asks.
func (f *regionFlags) warnForced(name string) error {
	var all console.Regions
	if err := admin(*f.console, "GET", "/api/region", nil, &all); err != nil {
		return err
	}
	region := ""
	for _, l := range all.Links {
		if l.Name == name {
			region = l.Region
		}
	}
	for i := range all.Inbound {
		if in := &all.Inbound[i]; in.Name == name || in.Region == region && region != "" {
			fmt.Fprintf(os.Stderr, "%s ships %s here. %s\n", in.Region, in.Name, lostText(in.Heard))
		}
	}
	if f.yes {
		return nil
	}
	fmt.Fprint(os.Stderr, "What has not arrived here will not be here after the failover. Type yes to go on: ")
	return confirmed(os.Stdin)
}

func confirmed(in io.Reader) error {
	answer, err := bufio.NewReader(in).ReadString('\n')
	if strings.TrimSpace(answer) != "yes" {
		return fmt.Errorf("nothing was done: the answer was not yes (%v); --yes asks nothing", err)
	}
	return nil
}

func lostText(h *console.Heard) string {
	if h == nil {
		return "This node has not heard how far the other region was: ask the nodes that it ships to."
	}
	text := fmt.Sprintf("Known not to have arrived: %d changes (%d bytes, the oldest %v old), as the other region said %v ago, and all that it took since.",
		h.LagChanges, h.LagBytes, seconds(h.LagSeconds), seconds(h.SecondsAgo))
	if h.Copying > 0 {
		text += fmt.Sprintf(" The first copy of %d parts of tables was not done.", h.Copying)
	}
	return text
}

func (f *regionFlags) drill(name string) error {
	var d console.Drill
	if err := admin(*f.console, "POST", "/api/region/links/"+name+"/drill", struct{}{}, &d); err != nil {
		return err
	}
	if f.asJSON {
		return json.NewEncoder(os.Stdout).Encode(d)
	}
	w := tabwriter.NewWriter(os.Stdout, 0, 8, 2, ' ', 0)
	fmt.Fprint(w, "WAY\tRPO\tRTO\tCHANGES DRAINED\n")
	fmt.Fprintf(w, "there\t0 changes\t%v\t%d\n", seconds(d.There.RefusedSeconds), d.There.Shipped)
	fmt.Fprintf(w, "back\t0 changes\t%v\t%d\n", seconds(d.Back.RefusedSeconds), d.Back.Shipped)
	return w.Flush()
}

func (f *regionFlags) held(name string) error {
	var all []console.HeldChange
	if err := admin(*f.console, "GET", "/api/region/links/"+name+"/held", nil, &all); err != nil {
		return err
	}
	if f.asJSON {
		return json.NewEncoder(os.Stdout).Encode(all)
	}
	w := tabwriter.NewWriter(os.Stdout, 0, 8, 2, ' ', 0)
	fmt.Fprint(w, "TABLE\tKEY\tWRITTEN\tWHAT\n")
	for _, h := range all {
		what, err := written(h.Deleted, h.Item)
		if err != nil {
			return err
		}
		fmt.Fprintf(w, "%s\t%s\t%s\t%s\n", h.Table, h.Key, h.Written.Format(time.RFC3339), what)
	}
	return w.Flush()
}
