package main

import (
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"path/filepath"

	"weir.dev/weir/internal/lost"
	"weir.dev/weir/internal/server"
)

var lostVerb = verb{name: "lost", summary: "print the writes at level async that this node answered and that were lost",
	long: `They are what the node, as a leader, had answered and not shipped when another one
took over, in the directory lost of its data: one file for each time and tablet.
The node may be running. Nothing is put back by itself: look, write again what is
still wanted, and remove the files.

Not certain are writes whose place in the log a snapshot took: they may have been
kept. Perhaps answered are those of a run of the node that has ended: only that
run knew.`,
	flags: func(fs *flag.FlagSet) func([]string) error {
		data := fs.String("data", server.DefaultDataDir, "`DIR` of the data")
		asJSON := fs.Bool("json", false, "print the lines of the files as they are")
		return func(args []string) error {
			if len(args) > 0 {
				return fmt.Errorf("weir lost takes no arguments; say --data DIR")
			}
			return printLost(*data, *asJSON)
		}
	}}

func printLost(data string, asJSON bool) error {
	files, err := lost.Load(filepath.Join(data, lost.Dir))
	if err != nil {
		return err
	}
	enc := json.NewEncoder(os.Stdout)
	for _, f := range files {
		if !asJSON {
			fmt.Printf("%s: %d writes\n", f.Name, len(f.Writes))
		}
		for i := range f.Writes {
			w := &f.Writes[i]
			if asJSON {
				if err := enc.Encode(w); err != nil {
					return err
				}
				continue
			}
			fmt.Printf("  %s  %s  %s %s %s%s\n", w.Proposed, lostHow(w), w.Op, w.Table, w.Key, lostItem(w))
		}
	}
	if len(files) == 0 && !asJSON {
		fmt.Println("no writes at level async were lost here")
	}
	return nil
}

// lostHow says in words how sure it is that a write was answered and lost.
func lostHow(w *lost.Write) string {
	switch {
	case w.Answered && w.Certain:
		return "answered, lost"
	case w.Answered:
		return "answered, perhaps lost"
	case w.Certain:
		return "perhaps answered, lost"
	default:
		return "perhaps answered, perhaps lost"
	}
}

func lostItem(w *lost.Write) string {
	if len(w.Item) == 0 {
		return ""
	}
	return "  " + string(w.Item)
}
