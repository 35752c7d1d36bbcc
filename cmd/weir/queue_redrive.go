package main

import (
	"encoding/json"
	"fmt"
	"net/url"
	"os"
	"text/tabwriter"

	"weir.dev/weir/internal/console"
)

// redrive starts, lists or cancels the tasks that move messages out of a
// dead-letter queue.
func (f *queueFlags) redrive(path string, rest []string) error {
	switch {
	case len(rest) == 0 || len(rest) == 1 && rest[0] == "start":
		return f.startMove(path)
	case len(rest) == 1 && rest[0] == "list":
		return f.listMoves(path)
	case len(rest) >= 1 && len(rest) <= 2 && rest[0] == "cancel":
		handle := ""
		if len(rest) == 2 {
			handle = rest[1]
		}
		return f.cancelMove(path, handle)
	}
	return fmt.Errorf("say: weir queue redrive NAME, weir queue redrive NAME list, or weir queue redrive NAME cancel")
}

func (f *queueFlags) startMove(path string) error {
	rate, err := parseRate(f.rate)
	if err != nil {
		return err
	}
	if rate != float64(int64(rate)) {
		return fmt.Errorf("%q is not a whole number of messages per second", f.rate)
	}
	var started console.StartedMove
	if err := admin(*f.console, "POST", path+"/moves", console.NewMove{Destination: f.to, Rate: int64(rate)}, &started); err != nil {
		return err
	}
	if f.asJSON {
		return json.NewEncoder(os.Stdout).Encode(started)
	}
	fmt.Println(started.Handle)
	return nil
}

func (f *queueFlags) moves(path string) (moves []console.Move, err error) {
	err = admin(*f.console, "GET", path+"/moves", nil, &moves)
	return moves, err
}

func (f *queueFlags) listMoves(path string) error {
	moves, err := f.moves(path)
	if err != nil {
		return err
	}
	if f.asJSON {
		return json.NewEncoder(os.Stdout).Encode(moves)
	}
	printMoves(moves)
	return nil
}

func printMoves(moves []console.Move) {
	w := tabwriter.NewWriter(os.Stdout, 0, 8, 2, ' ', 0)
	defer w.Flush()
	fmt.Fprint(w, "STARTED\tSTATUS\tTO\tRATE\tMOVED\tHANDLE\n")
	for i := range moves {
		m := &moves[i]
		to, status, handle := m.Destination, m.Status, m.Handle
		if to == "" {
			to = "where they died"
		}
		if m.Reason != "" {
			status += ": " + m.Reason
		}
		if handle == "" {
			handle = "-"
		}
		fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%d of %d\t%s\n", m.Started.Format("2006-01-02 15:04:05"), status, to, formatRate(float64(m.Rate)), m.Moved, m.ToMove, handle)
	}
}

// cancelMove cancels the task of that handle, or the one that runs.
func (f *queueFlags) cancelMove(path, handle string) error {
	if handle == "" {
		moves, err := f.moves(path)
		if err != nil {
			return err
		}
		for i := range moves {
			if moves[i].Handle != "" {
				handle = moves[i].Handle
			}
		}
		if handle == "" {
			return fmt.Errorf("no task moves messages out of this queue")
		}
	}
	var cancelled console.CancelledMove
	if err := admin(*f.console, "DELETE", path+"/moves?handle="+url.QueryEscape(handle), nil, &cancelled); err != nil {
		return err
	}
	if f.asJSON {
		return json.NewEncoder(os.Stdout).Encode(cancelled)
	}
	fmt.Printf("%d messages were moved before\n", cancelled.Moved)
	return nil
}
