package server

import (
	"bufio"
	"fmt"
	"io"

	"weir.dev/weir/internal/journal"
	"weir.dev/weir/internal/keys"
	"weir.dev/weir/internal/storage"
)

// Dump prints what the stopped node in dir has stored: "journal" or "state".
func Dump(w io.Writer, dir, what string) (err error) {
	d, err := openDataDir(dir)
	if err != nil {
		return err
	}
	defer func() { err = firstError(err, d.close()) }()
	if _, found, err := d.load(); err != nil || !found {
		return firstError(err, fmt.Errorf("%s holds no node", dir))
	}
	out := bufio.NewWriter(w)
	switch what {
	case "journal":
		err = journal.Dump(out, storage.DiskFS(), d.sub(storage.JournalDir))
	case "state":
		err = dumpState(out, d)
	default:
		err = fmt.Errorf("there is no dump of %q; journal and state are there", what)
	}
	return firstError(err, out.Flush())
}

func dumpState(w io.Writer, d *dataDir) (err error) {
	db, err := storage.Open(storage.Options{FS: storage.DiskFS(), Dir: d.path, Fatal: func(error) {}})
	if err != nil {
		return err
	}
	defer func() { err = firstError(err, db.Close()) }()
	it, err := db.View().Scan([]byte{0}, []byte{0xff}, false)
	if err != nil {
		return err
	}
	for it.Next() {
		if _, err := fmt.Fprintf(w, "%s %d bytes\n", keys.String(it.Key()), len(it.Value())); err != nil {
			_ = it.Close() // the first error is the one to report
			return err
		}
	}
	return it.Close()
}

func firstError(a, b error) error {
	if a != nil {
		return a
	}
	return b
}
