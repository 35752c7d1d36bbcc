package main

import (
	"flag"
	"fmt"
	"os"

	"weir.dev/weir/internal/server"
)

var dumpVerb = verb{name: "dump", usage: "journal|state", summary: "print what a stopped node has stored, record by record",
	long: `journal prints the records of the write-ahead log; state prints every stored key
with the size of its value. What is in the journal and not yet in the state shows
in the journal only.`,
	flags: func(fs *flag.FlagSet) func([]string) error {
		data := fs.String("data", server.DefaultDataDir, "`DIR` of the data")
		return func(args []string) error {
			if len(args) != 1 {
				return fmt.Errorf("say: weir dump journal, or weir dump state")
			}
			return server.Dump(os.Stdout, *data, args[0])
		}
	}}
