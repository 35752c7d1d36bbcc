package server

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"

	"golang.org/x/sys/unix"

	"weir.dev/weir/internal/model"
	"weir.dev/weir/internal/storage"
)

// The parts of a data directory; see docs/format/datadir.md.
const (
	nodeFile    = "NODE"  // who this node is, as JSON
	lockFile    = "LOCK"  // locked by the running process
	peersDir    = "peers" // certificates and keys
	dataVersion = 1       // of the directory as a whole
)

// nodeRecord is the content of nodeFile. It is written last when a directory
// is made, so a directory without it was never used.
type nodeRecord struct {
	Format    int
	ClusterID string
	Node      model.NodeID
	Tablets   int          // data tablets, for the first node's genesis; 0 for one that joined
	Seeds     []model.Node // the members known when the node was made
	// Recovering is set while weir recover changes what the directory holds: the
	// node must not start in between.
	Recovering bool   `json:",omitempty"`
	Starts     uint64 // how often it was started; peers refuse a run older than one they know
}

// dataDir is an opened, locked data directory.
type dataDir struct {
	path string
	lock *os.File
}

// openDataDir makes the directory when it is missing, refuses one that is not
// Weir's or that another process uses, and locks it.
func openDataDir(path string) (*dataDir, error) {
	if err := os.MkdirAll(path, 0o700); err != nil {
		return nil, fmt.Errorf("cannot make the data directory: %w", err)
	}
	names, err := os.ReadDir(path)
	if err != nil {
		return nil, fmt.Errorf("cannot read the data directory: %w", err)
	}
	ours := []string{nodeFile, lockFile, peersDir, "FORMAT", "FORMAT.new", "staging", storage.JournalDir, storage.StateDir, nodeFile + ".new", "lost+found"}
	_, statErr := os.Stat(filepath.Join(path, nodeFile))
	for _, e := range names {
		if errors.Is(statErr, fs.ErrNotExist) && !slices.Contains(ours, e.Name()) {
			return nil, fmt.Errorf("%s is not a Weir data directory: it holds %q; choose another with --data", path, e.Name())
		}
	}
	lock, err := os.OpenFile(filepath.Join(path, lockFile), os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, fmt.Errorf("cannot write in the data directory: %w", err)
	}
	if err := unix.Flock(int(lock.Fd()), unix.LOCK_EX|unix.LOCK_NB); err != nil {
		_ = lock.Close() // nothing was written to it
		return nil, fmt.Errorf("%s is in use by another process; stop it or choose another directory with --data", path)
	}
	return &dataDir{path: path, lock: lock}, nil
}

func (d *dataDir) sub(name string) string { return filepath.Join(d.path, name) }

// close releases the lock.
func (d *dataDir) close() error { return d.lock.Close() }

// load reads who the node is; found is false in a new directory.
func (d *dataDir) load() (rec nodeRecord, found bool, err error) {
	b, err := os.ReadFile(d.sub(nodeFile))
	if errors.Is(err, fs.ErrNotExist) {
		return rec, false, nil
	}
	if err != nil {
		return rec, false, fmt.Errorf("cannot read the data directory: %w", err)
	}
	var head struct{ Format int } // first: a newer version's other fields may be of other types
	if json.Unmarshal(b, &head) == nil && head.Format > dataVersion {
		return rec, false, fmt.Errorf("%s was written by a newer Weir (format %d; this one knows up to %d); run that version", d.path, head.Format, dataVersion)
	}
	if err := json.Unmarshal(b, &rec); err != nil {
		return rec, false, fmt.Errorf("cannot read %s: %w", d.sub(nodeFile), err)
	}
	if rec.Format < 1 || rec.Node == 0 || rec.ClusterID == "" {
		return rec, false, fmt.Errorf("cannot read %s: it names no node", d.sub(nodeFile))
	}
	return rec, true, nil
}

// save makes the record durable.
func (d *dataDir) save(rec nodeRecord) error {
	rec.Format = dataVersion
	b, err := json.MarshalIndent(rec, "", "  ")
	if err != nil {
		return err
	}
	next := d.sub(nodeFile + ".new")
	f, err := os.OpenFile(next, os.O_CREATE|os.O_TRUNC|os.O_WRONLY, 0o600)
	if err != nil {
		return fmt.Errorf("cannot write in the data directory: %w", err)
	}
	_, err = f.Write(append(b, '\n'))
	err = errors.Join(err, f.Sync(), f.Close())
	if err != nil {
		return fmt.Errorf("cannot write %s: %w", next, err)
	}
	if err := os.Rename(next, d.sub(nodeFile)); err != nil {
		return err
	}
	dir, err := os.Open(d.path)
	if err != nil {
		return err
	}
	return errors.Join(dir.Sync(), dir.Close())
}
