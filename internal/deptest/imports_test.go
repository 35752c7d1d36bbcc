package deptest

import (
	"go/parser"
	"go/token"
	"io/fs"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
)

const module = "weir.dev/weir/"

// allowed says which rooms each room may import. Loosening it needs a page in
// docs/adr. Tests may import more; they are not held to it.
var allowed = map[string]string{
	"internal/base":          "",
	"internal/sockets":       "",
	"internal/deptest":       "",
	"internal/model":         "base",
	"internal/keys":          "base model",
	"internal/expr":          "base model",
	"internal/auth":          "base model",
	"internal/transport":     "base model sockets",
	"internal/journal":       "base model",
	"internal/machine":       "base model keys expr",
	"internal/storage":       "base model keys expr machine journal",
	"internal/tablet":        "base model keys expr machine storage journal transport",
	"internal/terms":         "base model",
	"internal/lost":          "base model keys",
	"internal/cluster":       "base model keys expr machine storage journal transport tablet terms lost",
	"internal/service":       "base model keys expr machine cluster auth",
	"internal/pipe":          "base model keys expr machine cluster auth service",
	"internal/stream":        "base model service",
	"internal/region":        "base model keys expr service transport",
	"internal/awsapi":        "base model auth service",
	"internal/awsapi/gen":    "",
	"internal/dynamo":        "base model keys expr auth service awsapi",
	"internal/sqs":           "base model keys expr auth service awsapi",
	"internal/kinesis":       "base model keys expr auth service awsapi",
	"internal/front":         "base model auth awsapi service dynamo sqs terms sockets",
	"internal/fakecluster":   "base model machine",
	"internal/console":       "base model cluster auth service pipe region",
	"internal/faultnet":      "base",
	"internal/faultnet/wan":  "base faultnet",
	"internal/faultnet/mesh": "",
	"internal/server":        "base model keys expr machine storage journal transport tablet lost cluster auth service pipe stream region awsapi dynamo sqs kinesis front console",
	"internal/sim":           "base model keys expr machine storage journal transport tablet terms lost cluster auth service pipe stream region awsapi dynamo sqs kinesis front console server",
	"examples/send":          "",
	"internal/demo":          "base",
	"weirtest":               "server auth base",
	"weirtest/awsclient":     "",
	"weirstream":             "auth",
	"test/process":           "cluster",
	"test/clients":           "",
	"test/diff":              "",
	"test/javascript":        "",
	"test/faults":            "",
	"cmd/weir":               "demo base model keys auth lost cluster journal storage console server service pipe machine tablet weirstream",
}

// onlyHere says which room alone may import a package.
var onlyHere = map[string]string{
	"github.com/cockroachdb/pebble/v2": "internal/storage",
	"go.etcd.io/raft/v3":               "internal/tablet internal/journal",
}

// pure rooms ask for no time, randomness, file, socket, lock or context.
var (
	pure      = []string{"internal/model", "internal/keys", "internal/expr", "internal/machine"}
	forbidden = []string{"net", "os", "sync", "context", "math/rand", "math/rand/v2", "crypto/rand", "io/fs", "net/http"}
)

func TestImports(t *testing.T) {
	root := filepath.Join("..", "..")
	files := 0
	err := filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		rel, err := filepath.Rel(root, path)
		if err != nil {
			return err
		}
		rel = filepath.ToSlash(rel)
		if d.IsDir() {
			if rel == "bench" || strings.HasPrefix(d.Name(), ".") && rel != "." || d.Name() == "testdata" {
				return fs.SkipDir // bench is a module of its own
			}
			return nil
		}
		if !strings.HasSuffix(rel, ".go") || strings.HasSuffix(rel, "_test.go") {
			return nil
		}
		files++
		checkFile(t, path, rel)
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if files < 50 {
		t.Fatalf("only %d files were found: the test looks in the wrong place", files)
	}
}

func checkFile(t *testing.T, path, rel string) {
	room := filepath.ToSlash(filepath.Dir(rel))
	list, known := allowed[room]
	if !known {
		t.Errorf("%s: the room %s is not in the import graph", rel, room)
		return
	}
	f, err := parser.ParseFile(token.NewFileSet(), path, nil, parser.ImportsOnly)
	if err != nil {
		t.Fatal(err)
	}
	for _, spec := range f.Imports {
		imported, err := strconv.Unquote(spec.Path.Value)
		if err != nil {
			t.Fatal(err)
		}
		if own, ok := strings.CutPrefix(imported, module); ok {
			if !slices.Contains(strings.Fields(list), strings.TrimPrefix(own, "internal/")) {
				t.Errorf("%s imports %s, which %s may not", rel, own, room)
			}
		}
		for pkg, rooms := range onlyHere {
			if (imported == pkg || strings.HasPrefix(imported, pkg+"/vfs")) && !slices.Contains(strings.Fields(rooms), room) {
				t.Errorf("%s imports %s, which only %s may", rel, imported, rooms)
			}
		}
		if slices.Contains(pure, room) && slices.Contains(forbidden, imported) {
			t.Errorf("%s imports %s, but %s is pure", rel, imported, room)
		}
	}
}
