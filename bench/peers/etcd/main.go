// Command etcd is etcd's own server, built from the Go module proxy: `go
// install` refuses it because of replace directives in its go.mod. It is a
// module of its own so that etcd's dependencies stay out of everything else.
package main

import (
	"os"

	"go.etcd.io/etcd/server/v3/etcdmain"
)

func main() { etcdmain.Main(os.Args) }
