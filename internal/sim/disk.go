package sim

import (
	"errors"
	"fmt"

	"weir.dev/weir/internal/base"
	"weir.dev/weir/internal/journal"
	"weir.dev/weir/internal/model"
	"weir.dev/weir/internal/storage"
)

// copies counts the disks that hold a tablet's entry for good: should every
// node lose its power now, they still have it.
func (w *world) copies(id model.TabletID, index model.Index) (n int, err error) {
	w.mu.Lock()
	var disks []*storage.CrashableFS
	for _, room := range w.nodes {
		disks = append(disks, room.disk)
	}
	w.mu.Unlock()
	for i, disk := range disks {
		has, err := holds(disk, id, index)
		if err != nil {
			return n, fmt.Errorf("the disk of the %d. node: %w", i+1, err)
		}
		if has {
			n++
		}
	}
	return n, nil
}

// holds reads a copy of a disk as a power cut would leave it. What the journal
// has let go of is in the storage.
func holds(disk *storage.CrashableFS, id model.TabletID, index model.Index) (has bool, err error) {
	var broken error
	j, err := journal.Open(journal.Options{
		FS: disk.CrashClone(0, nil), Dir: "journal", SegmentBytes: journalSegment, CacheBytes: journalSegment,
		Rand: base.NewRand(uint64(index)), Fatal: func(err error) { broken = err },
	})
	if err != nil {
		return false, err
	}
	last, err := j.Log(id).LastIndex()
	return uint64(index) <= last, errors.Join(err, j.Close(), broken)
}
