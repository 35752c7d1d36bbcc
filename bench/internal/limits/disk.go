// Package limits measures what the machine itself allows: how fast it makes
// appended records durable, and how fast an HTTP handler answers that does
// nothing but check the signature and decode the body.
package limits

import (
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"syscall"
	"time"
)

// recordBytes is the size of an appended record, about what a put of 128 bytes
// is in a log.
const recordBytes = 256

// fileBytes is how much is allocated before and then written over and over.
const fileBytes = 64 << 20

// Disk is one measurement.
type Disk struct {
	Callers   int
	PerSecond float64 // records made durable
	CPUMicros float64 // processor time per record
}

// Append measures how many records per second that many callers make durable
// with one writer, which takes all that wait in one write and one fdatasync.
func Append(dir string, callers int, measure time.Duration) (Disk, error) {
	f, err := os.Create(filepath.Join(dir, "append"))
	if err != nil {
		return Disk{}, err
	}
	defer os.Remove(f.Name())
	defer f.Close()
	if err := allocate(f); err != nil {
		return Disk{}, err
	}
	var d Disk
	if callers == 1 {
		d, err = appendAlone(f, measure)
	} else {
		d, err = appendTogether(f, callers, measure)
	}
	if err != nil {
		return Disk{}, fmt.Errorf("cannot append: %w", err)
	}
	d.Callers = callers
	return d, nil
}

func allocate(f *os.File) error {
	chunk := make([]byte, 1<<20)
	for range fileBytes / len(chunk) {
		if _, err := f.Write(chunk); err != nil {
			return err
		}
	}
	return f.Sync()
}

func appendAlone(f *os.File, measure time.Duration) (Disk, error) {
	record := make([]byte, recordBytes)
	start, cpu, n := time.Now(), ownCPU(), 0
	for time.Since(start) < measure {
		if err := put(f, record, int64(n)*recordBytes%fileBytes); err != nil {
			return Disk{}, err
		}
		n++
	}
	return rate(n, start, cpu), nil
}

func put(f *os.File, b []byte, at int64) error {
	if _, err := f.WriteAt(b, at); err != nil {
		return err
	}
	return syscall.Fdatasync(int(f.Fd()))
}

// group is the callers that wait for the writer.
type group struct {
	mu      sync.Mutex // guards the fields below
	waiting []chan struct{}
	over    bool
	wake    chan struct{}
}

func appendTogether(f *os.File, callers int, measure time.Duration) (Disk, error) {
	g := &group{wake: make(chan struct{}, 1)}
	var wg sync.WaitGroup
	for range callers {
		done := make(chan struct{}, 1)
		wg.Go(func() {
			for g.join(done) {
				<-done
			}
		})
	}
	batch := make([]byte, recordBytes*callers)
	var at int64
	start, cpu, n := time.Now(), ownCPU(), 0
	var failed error
	for time.Since(start) < measure && failed == nil {
		<-g.wake
		taken := g.take(false)
		size := int64(len(taken) * recordBytes)
		if at+size > fileBytes {
			at = 0
		}
		failed = put(f, batch[:size], at)
		at += size
		n += len(taken)
		release(taken)
	}
	d := rate(n, start, cpu)
	release(g.take(true))
	wg.Wait()
	return d, failed
}

func (g *group) join(done chan struct{}) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.over {
		return false
	}
	g.waiting = append(g.waiting, done)
	select {
	case g.wake <- struct{}{}:
	default:
	}
	return true
}

func (g *group) take(last bool) []chan struct{} {
	g.mu.Lock()
	defer g.mu.Unlock()
	taken := g.waiting
	g.waiting, g.over = nil, last
	return taken
}

func release(callers []chan struct{}) {
	for _, c := range callers {
		c <- struct{}{}
	}
}

func rate(n int, start time.Time, cpu time.Duration) Disk {
	took := time.Since(start).Seconds()
	return Disk{PerSecond: float64(n) / took, CPUMicros: (ownCPU() - cpu).Seconds() * 1e6 / float64(max(n, 1))}
}

// ownCPU is the processor time of this process.
func ownCPU() time.Duration {
	var u syscall.Rusage
	if syscall.Getrusage(syscall.RUSAGE_SELF, &u) != nil {
		return 0 // cannot happen: the arguments are right
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}
