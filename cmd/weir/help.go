package main

import (
	"flag"
	"fmt"
	"io"
	"os"
	"runtime/debug"
	"strings"
)

// helpVerb is a function, and not a variable, because it lists the verbs.
func helpVerb() verb {
	return verb{name: "help", usage: "[VERB]", summary: "explain weir or one of its verbs",
		flags: func(*flag.FlagSet) func([]string) error {
			return func(args []string) error { return printHelp(os.Stdout, args, nil) }
		}}
}

var versionVerb = verb{name: "version", summary: "print the version",
	flags: func(*flag.FlagSet) func([]string) error {
		return func([]string) error {
			fmt.Println("weir", version())
			return nil
		}
	}}

// version is the module's version, or the commit that was built.
func version() string {
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return "unknown"
	}
	for _, s := range info.Settings {
		if s.Key == "vcs.revision" {
			return s.Value
		}
	}
	return info.Main.Version
}

// printHelp explains weir, or the verb that args names, and returns then.
func printHelp(w io.Writer, args []string, then error) error {
	if len(args) > 0 {
		for _, v := range verbs() {
			if v.name == args[0] {
				return printVerb(w, v)
			}
		}
		fmt.Fprintf(os.Stderr, "weir: unknown verb %q; weir help lists them\n", args[0])
		return errUsage
	}
	fmt.Fprint(w, "Weir is a replicated key-value store with queues and the pipes between them,\nfor existing AWS clients.\n\nusage: weir VERB [FLAGS] [ARGUMENTS]\n\n")
	for _, v := range verbs() {
		fmt.Fprintf(w, "  %-11s %s\n", v.name, v.summary)
	}
	fmt.Fprint(w, "\nweir help VERB explains one of them. Begin with weir serve, or weir demo.\n")
	return then
}

func printVerb(w io.Writer, v verb) error {
	fmt.Fprintf(w, "usage: weir %s", v.name)
	fs := flag.NewFlagSet(v.name, flag.ContinueOnError)
	v.flags(fs)
	hasFlags := false
	fs.VisitAll(func(*flag.Flag) { hasFlags = true })
	if hasFlags {
		fmt.Fprint(w, " [FLAGS]")
	}
	if v.usage != "" {
		fmt.Fprintf(w, " %s", v.usage)
	}
	fmt.Fprintf(w, "\n\n%s.\n", strings.ToUpper(v.summary[:1])+v.summary[1:])
	if v.long != "" {
		fmt.Fprintf(w, "\n%s\n", strings.TrimSpace(v.long))
	}
	if hasFlags {
		fmt.Fprint(w, "\nFlags:\n")
		fs.VisitAll(func(f *flag.Flag) {
			name, usage := flag.UnquoteUsage(f)
			fmt.Fprintf(w, "  %s\n        %s", strings.TrimSpace("--"+f.Name+" "+name), usage)
			if f.DefValue != "" && f.DefValue != "false" && f.DefValue != "0" {
				fmt.Fprintf(w, " (default %s)", f.DefValue)
			}
			fmt.Fprintln(w)
		})
	}
	return nil
}
