package deptest

import (
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// TestArchitectureNames checks that every symbol which ARCHITECTURE.md names
// in code style exists.
func TestArchitectureNames(t *testing.T) {
	text, err := os.ReadFile(filepath.Join("..", "..", "ARCHITECTURE.md"))
	if err != nil {
		t.Fatal(err)
	}
	names := regexp.MustCompile("`([a-z]+)\\.([A-Za-z]+)(?:\\.([A-Za-z]+))?`").FindAllStringSubmatch(string(text), -1)
	if len(names) < 15 {
		t.Fatalf("only %d symbols were found: the pattern is wrong", len(names))
	}
	known := map[string]map[string]bool{}
	for _, m := range names {
		room := m[1]
		if known[room] == nil {
			known[room] = symbols(t, filepath.Join("..", room))
		}
		symbol := m[2]
		if m[3] != "" {
			symbol += "." + m[3]
		}
		if !known[room][symbol] {
			t.Errorf("ARCHITECTURE.md names %s.%s, which does not exist", room, symbol)
		}
	}
}

// symbols lists a room's top-level names and its methods, as Type.Method.
func symbols(t *testing.T, dir string) map[string]bool {
	found := map[string]bool{}
	names, err := filepath.Glob(filepath.Join(dir, "*.go"))
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range names {
		if strings.HasSuffix(name, "_test.go") {
			continue
		}
		file, err := parser.ParseFile(token.NewFileSet(), name, nil, 0)
		if err != nil {
			t.Fatal(err)
		}
		ast.Inspect(file, func(n ast.Node) bool {
			switch n := n.(type) {
			case *ast.FuncDecl:
				found[receiver(n)+n.Name.Name] = true
				return false
			case *ast.TypeSpec:
				found[n.Name.Name] = true
				if i, ok := n.Type.(*ast.InterfaceType); ok {
					for _, m := range i.Methods.List {
						for _, name := range m.Names {
							found[n.Name.Name+"."+name.Name] = true
						}
					}
				}
			}
			return true
		})
	}
	return found
}

func receiver(f *ast.FuncDecl) string {
	if f.Recv == nil {
		return ""
	}
	typ := f.Recv.List[0].Type
	if star, ok := typ.(*ast.StarExpr); ok {
		typ = star.X
	}
	if id, ok := typ.(*ast.Ident); ok {
		return id.Name + "."
	}
	return ""
}
