package main

import (
	"encoding/json"
	"fmt"
	"os"
	"strings"
	"text/tabwriter"
	"time"

	"weir.dev/weir/internal/console"
)

// verifyPoll is how often a comparison is asked how far it is.
const verifyPoll = 200 * time.Millisecond

// verify compares the two sides of a link, waits for the end and prints what
// differs. It fails when something does that was not mended.
func (f *regionFlags) verify(name string) error {
	path := "/api/region/links/" + name + "/verify"
	if err := admin(*f.console, "POST", path, map[string]bool{"repair": f.repair}, nil); err != nil {
		return err
	}
	var v console.Verification
	for !v.Done {
		time.Sleep(verifyPoll)
		v = console.Verification{}
		if err := admin(*f.console, "GET", path, nil, &v); err != nil {
			return err
		}
	}
	if f.asJSON {
		if err := json.NewEncoder(os.Stdout).Encode(v); err != nil {
			return err
		}
	} else if err := printVerification(&v); err != nil {
		return err
	}
	switch {
	case v.Error != "":
		return fmt.Errorf("the comparison did not come to its end: %s", v.Error)
	case v.Found > v.Repaired:
		return fmt.Errorf("the two sides differ in %d places; --repair mends what it can", v.Found-v.Repaired)
	}
	return nil
}

func printVerification(v *console.Verification) error {
	w := tabwriter.NewWriter(os.Stdout, 0, 8, 2, ' ', 0)
	what := []string{fmt.Sprintf("%d tables, %d items", v.Tables, v.Items)}
	if v.Queues > 0 {
		what = append(what, fmt.Sprintf("%d queues, %d messages", v.Queues, v.Messages))
	}
	if v.Streams > 0 {
		what = append(what, fmt.Sprintf("%d streams, %d records and positions", v.Streams, v.Records))
	}
	fmt.Fprintf(w, "%s, %d differences, %d repaired, %.1f s\n", strings.Join(what, ", "), v.Found, v.Repaired, v.Seconds)
	if v.Unsettled > 0 {
		fmt.Fprintf(w, "%d were written at every look, or come by way of a third region: nothing can be said of them\n", v.Unsettled)
	}
	if len(v.Differences) > 0 {
		fmt.Fprint(w, "OF\tNAME\tKEY\tWHAT\tWRITTEN HERE\tTHERE\tREPAIRED\n")
	}
	for _, d := range v.Differences {
		fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%s\t%s\t%v\n", d.Kind, d.Name, d.Key, d.What, writtenAt(d.Here), writtenAt(d.There), d.Repaired)
	}
	return w.Flush()
}

func writtenAt(t time.Time) string {
	if t.IsZero() {
		return "-"
	}
	return t.Format(time.RFC3339)
}
