// Command gen writes the typed requests and responses of the AWS doors from
// the trimmed service models in ../models.
//
// It must not know an operation: what differs between services is in
// config.go. It runs once, single-threaded, from `go generate` in awsapi; a
// test in this package regenerates everything and compares. Start with
// generate.
package main

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
)

func main() {
	root := flag.String("root", "..", "the directory internal/, which holds awsapi and the doors")
	full := flag.String("trim", "", "instead: the full model to make a trimmed one of")
	out := flag.String("out", "", "with -trim: the trimmed model to write")
	operations := flag.String("operations", "", "with -trim: the operations to keep, with commas between")
	flag.Parse()
	err := error(nil)
	if *full != "" {
		err = trim(*full, *out, strings.Split(*operations, ","))
	} else {
		err = run(*root)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "gen:", err)
		os.Exit(1)
	}
}

// run generates the files of all services below root.
func run(root string) error {
	for _, svc := range services {
		m, err := readModel(filepath.Join(root, "awsapi", "models", svc.model))
		if err != nil {
			return err
		}
		if err := m.reorder(svc.enums); err != nil {
			return err
		}
		files, err := generate(m, svc)
		if err != nil {
			return err
		}
		for _, f := range files {
			if err := os.WriteFile(filepath.Join(root, svc.pkg, f.name), f.text, 0o644); err != nil {
				return err
			}
		}
	}
	return nil
}
