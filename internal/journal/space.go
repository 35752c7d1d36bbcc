package journal

import (
	"errors"
	"io/fs"
)

// The room that is kept free on the disk: a twentieth of it, but at least
// minReserve and at most maxReserve, and on a small disk no more than a quarter.
const (
	minReserve = 512 << 20
	maxReserve = 16 << 30
)

func reserveOf(total uint64) uint64 {
	return min(max(total/20, minReserve), maxReserve, total/4)
}

// Full reports that the disk was nearly full when CheckSpace last looked. The
// node then refuses what adds data; the journal itself goes on while it can.
func (j *Journal) Full() bool { return j.full.Load() }

// Space is what CheckSpace found: the bytes that are free on the journal's file
// system, all that it has, and how many are kept free. All are 0 when it cannot
// tell.
func (j *Journal) Space() (free, total, reserve uint64) {
	total = j.total.Load()
	return j.free.Load(), total, reserveOf(total)
}

// CheckSpace looks at the free space of the journal's file system. The owner
// calls it about once per second, from a goroutine that may wait for the disk.
//
// When the reserve is touched, Full becomes true. When less is left than the
// ballast file holds, that file is deleted, so that what is under way can end
// and data can be deleted. It is put back, and Full becomes false, when there
// is room again for the reserve and the ballast. A file system that cannot
// tell its free space is never full.
func (j *Journal) CheckSpace() {
	j.spaceMu.Lock()
	defer j.spaceMu.Unlock()
	free, total, err := j.opts.FS.Space(j.opts.Dir)
	if err != nil || total == 0 {
		return
	}
	j.free.Store(free)
	j.total.Store(total)
	reserve, ballast := reserveOf(total), uint64(max(j.opts.BallastBytes, 0))
	held := j.ballastHeld()
	switch {
	case free < ballast && held:
		j.full.Store(true)
		j.removeBallast()
	case free < reserve:
		j.full.Store(true)
	case held || ballast == 0:
		// A margin keeps the answer from swinging at the border.
		if !j.full.Load() || free >= reserve+reserve/8 {
			j.full.Store(false)
		}
	case free >= reserve+2*ballast:
		j.makeBallast()
		j.full.Store(false)
	}
}

func (j *Journal) ballastHeld() bool {
	size, err := j.opts.FS.Size(j.w.path(ballastName))
	return err == nil && size > 0
}

// makeBallast creates the ballast file. Failing is harmless: the next
// CheckSpace tries again.
func (j *Journal) makeBallast() {
	f, err := j.opts.FS.OpenReadWrite(j.w.path(ballastName))
	if err != nil {
		return
	}
	defer f.Close()
	if f.Preallocate(j.opts.BallastBytes) != nil {
		j.removeBallast()
	}
}

func (j *Journal) removeBallast() bool {
	err := j.opts.FS.Remove(j.w.path(ballastName))
	return err == nil || errors.Is(err, fs.ErrNotExist)
}

// dropBallast deletes the ballast file because room is needed now; false when
// there was none.
func (j *Journal) dropBallast() bool {
	j.spaceMu.Lock()
	defer j.spaceMu.Unlock()
	if !j.ballastHeld() {
		return false
	}
	j.full.Store(true)
	return j.removeBallast()
}
