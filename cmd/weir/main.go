// Command weir is the whole system in one binary: `weir serve` runs a node,
// the other verbs speak to a running one. `weir help` lists them.
package main

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"strings"
)

// verb is one thing that weir does. Each has a file of its own.
type verb struct {
	name    string
	usage   string // arguments, as shown behind the name
	summary string // one line
	long    string // what `weir help NAME` adds
	flags   func(*flag.FlagSet) func(args []string) error
}

// verbs lists them in the order of `weir help`.
func verbs() []verb {
	return []verb{serveVerb, demoVerb, statusVerb, nodeVerb, tabletVerb, tokenVerb, replicationVerb, queueVerb, streamVerb, pipeVerb, regionVerb, conflictsVerb, recoverVerb, lostVerb, dumpVerb, versionVerb, helpVerb(), completionVerb()}
}

// errUsage is returned for a wrong command line, after it was explained.
var errUsage = errors.New("usage")

func main() {
	err := dispatch(os.Args[1:])
	switch {
	case err == nil, errors.Is(err, flag.ErrHelp):
	case errors.Is(err, errUsage):
		os.Exit(2)
	default:
		fmt.Fprintln(os.Stderr, "weir:", err)
		os.Exit(1)
	}
}

func dispatch(args []string) error {
	if len(args) == 0 {
		return printHelp(os.Stderr, nil, errUsage)
	}
	name := strings.TrimLeft(args[0], "-")
	if name == "h" {
		name = "help"
	}
	for _, v := range verbs() {
		if v.name == name {
			return v.run(args[1:])
		}
	}
	fmt.Fprintf(os.Stderr, "weir: unknown verb %q; weir help lists them\n", args[0])
	return errUsage
}

// run parses the verb's flags and does it.
func (v verb) run(args []string) error {
	fs := flag.NewFlagSet("weir "+v.name, flag.ContinueOnError)
	fs.SetOutput(io.Discard)
	do := v.flags(fs)
	if err := parseMixed(fs, &args); err != nil {
		if errors.Is(err, flag.ErrHelp) {
			return printVerb(os.Stdout, v)
		}
		fmt.Fprintf(os.Stderr, "weir %s: %v; weir help %s lists the flags\n", v.name, err, v.name)
		return errUsage
	}
	return do(args)
}

// parseMixed parses flags wherever they stand among the arguments, and leaves
// the arguments that are no flags.
func parseMixed(fs *flag.FlagSet, args *[]string) error {
	var rest []string
	for todo := *args; ; {
		if err := fs.Parse(todo); err != nil {
			return err
		}
		todo = fs.Args()
		if len(todo) == 0 {
			*args = rest
			return nil
		}
		rest, todo = append(rest, todo[0]), todo[1:]
	}
}
