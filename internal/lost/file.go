package lost

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// Dir is the directory of the files within a data directory.
const Dir = "lost"

// suffix ends the names of files that are complete.
const suffix = ".jsonl"

// maxLine bounds a line: an item of 400 KiB grows in JSON.
const maxLine = 16 << 20

// Save writes a file with these writes, which one event took from one tablet's
// log, and returns when it is durable. The same writes go to the same file, so
// that a crash before the log forgets them does not double them. dir is made
// when it is missing.
func Save(dir string, writes []Write) (path string, err error) {
	if len(writes) == 0 {
		return "", nil
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return "", fmt.Errorf("cannot make the directory of lost writes: %w", err)
	}
	first := &writes[0]
	path = filepath.Join(dir, fmt.Sprintf("%s-term-%d-index-%d%s", first.Tablet, first.Term, first.Index, suffix))
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	for i := range writes {
		if err := enc.Encode(&writes[i]); err != nil {
			return "", fmt.Errorf("cannot write %s: %w", path, err)
		}
	}
	next := path + ".new"
	f, err := os.OpenFile(next, os.O_CREATE|os.O_TRUNC|os.O_WRONLY, 0o600)
	if err != nil {
		return "", fmt.Errorf("cannot keep lost writes: %w", err)
	}
	_, err = f.Write(b.Bytes())
	if err = errors.Join(err, f.Sync(), f.Close()); err != nil {
		return "", fmt.Errorf("cannot write %s: %w", next, err)
	}
	if err := os.Rename(next, path); err != nil {
		return "", fmt.Errorf("cannot write %s: %w", path, err)
	}
	return path, errors.Join(syncDir(dir), syncDir(filepath.Dir(dir)))
}

func syncDir(path string) error {
	d, err := os.Open(path)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}

// File is a file of lost writes.
type File struct {
	Name   string
	Writes []Write
}

// Load reads all files of a directory, by name; none when it is missing.
func Load(dir string) (files []File, err error) {
	entries, err := os.ReadDir(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("cannot read the lost writes: %w", err)
	}
	for _, e := range entries {
		if !strings.HasSuffix(e.Name(), suffix) {
			continue // a crash left it half written, and the log still has what it was for
		}
		content, err := os.ReadFile(filepath.Join(dir, e.Name()))
		if err != nil {
			return nil, fmt.Errorf("cannot read the lost writes: %w", err)
		}
		writes, err := Parse(content)
		if err != nil {
			return nil, fmt.Errorf("cannot read %s: %w", filepath.Join(dir, e.Name()), err)
		}
		files = append(files, File{e.Name(), writes})
	}
	slices.SortFunc(files, func(a, b File) int { return strings.Compare(a.Name, b.Name) })
	return files, nil
}

// Parse reads the content of a file.
func Parse(content []byte) (writes []Write, err error) {
	lines := bufio.NewScanner(bytes.NewReader(content))
	lines.Buffer(nil, maxLine)
	for n := 1; lines.Scan(); n++ {
		var w Write
		if err := json.Unmarshal(lines.Bytes(), &w); err != nil {
			return nil, fmt.Errorf("line %d: %w", n, err)
		}
		writes = append(writes, w)
	}
	return writes, lines.Err()
}
