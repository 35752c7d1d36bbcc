package storage

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path"
	"strconv"
	"strings"

	"github.com/cockroachdb/pebble/v2/vfs"
)

// FormatVersion is the version of everything that is stored under the data
// directory; docs/format/datadir.md describes it. A change that an older Weir
// cannot read raises it.
const FormatVersion = 2

const (
	formatFile   = "FORMAT"
	formatPrefix = "weir data format "
	// maxFormatFile bounds what is read of the file, in bytes.
	maxFormatFile = 256
)

// checkFormat makes sure that the directory has this format: it writes FORMAT
// where there is none, and refuses any other version.
func checkFormat(f FS, dir string) error {
	name := path.Join(dir, formatFile)
	text, err := readSmall(f.pebble(), name)
	if errors.Is(err, fs.ErrNotExist) {
		return writeFormat(f, dir)
	}
	if err != nil {
		return fmt.Errorf("cannot read %s: %w", name, err)
	}
	version, err := parseFormat(text)
	if err != nil {
		return fmt.Errorf("cannot use the data in %s: %w", dir, err)
	}
	if version != FormatVersion {
		return fmt.Errorf("cannot use the data in %s: it has format version %d, this version of Weir reads version %d: use the version of Weir that wrote it, or a newer one", dir, version, FormatVersion)
	}
	return nil
}

func parseFormat(text string) (int, error) {
	number, ok := strings.CutPrefix(text, formatPrefix)
	version, err := strconv.Atoi(strings.TrimSuffix(number, "\n"))
	if !ok || err != nil || version < 1 {
		return 0, fmt.Errorf("the file %s does not say which format it has", formatFile)
	}
	return version, nil
}

func writeFormat(f FS, dir string) error {
	v := f.pebble()
	name := path.Join(dir, formatFile)
	file, err := v.Create(name+".new", vfs.WriteCategoryUnspecified)
	if err != nil {
		return fmt.Errorf("cannot create %s: %w", name, err)
	}
	_, err = io.WriteString(file, formatPrefix+strconv.Itoa(FormatVersion)+"\n")
	if err == nil {
		err = file.Sync()
	}
	err = errors.Join(err, file.Close())
	if err == nil {
		err = v.Rename(name+".new", name)
	}
	if err == nil {
		err = f.SyncDir(dir)
	}
	if err != nil {
		return fmt.Errorf("cannot write %s: %w", name, err)
	}
	return nil
}

func readSmall(v vfs.FS, name string) (string, error) {
	file, err := v.Open(name)
	if err != nil {
		return "", err
	}
	defer file.Close()
	b, err := io.ReadAll(io.LimitReader(file, maxFormatFile))
	return string(b), err
}
