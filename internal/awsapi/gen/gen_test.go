package main

import (
	"bytes"
	"os"
	"path/filepath"
	"testing"
)

// TestGeneratedFilesAreCurrent regenerates everything and compares it with
// what is committed.
func TestGeneratedFilesAreCurrent(t *testing.T) {
	root := filepath.Join("..", "..")
	for _, svc := range services {
		m, err := readModel(filepath.Join(root, "awsapi", "models", svc.model))
		if err != nil {
			t.Fatal(err)
		}
		if err := m.reorder(svc.enums); err != nil {
			t.Fatal(err)
		}
		files, err := generate(m, svc)
		if err != nil {
			t.Fatal(err)
		}
		for _, f := range files {
			path := filepath.Join(root, svc.pkg, f.name)
			got, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			if !bytes.Equal(got, f.text) {
				t.Errorf("%s is not what the generator writes; run: go generate ./internal/awsapi", path)
			}
		}
	}
}
