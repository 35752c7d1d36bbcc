package proc

import (
	"bytes"
	"fmt"
	"os"
	"strconv"
	"syscall"
	"time"
)

// Machine is the processor time used since the machine was started: by all, with
// what its host took away, and by this process.
type Machine struct {
	At   time.Time
	Busy time.Duration
	Self time.Duration
}

// Now reads the machine's counters.
func Now() (m Machine, err error) {
	text, err := os.ReadFile("/proc/stat")
	if err != nil {
		return m, err
	}
	line, _, _ := bytes.Cut(text, []byte("\n"))
	fields := bytes.Fields(line)
	if len(fields) < 9 {
		return m, fmt.Errorf("cannot read /proc/stat: %q", line)
	}
	m.At = time.Now()
	for _, i := range []int{1, 2, 3, 8} { // user, nice, system, steal
		ticks, err := strconv.ParseInt(string(fields[i]), 10, 64)
		if err != nil {
			return m, fmt.Errorf("cannot read /proc/stat: %w", err)
		}
		m.Busy += time.Duration(ticks) * time.Second / ticksPerSecond
	}
	var used syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &used); err != nil {
		return m, err
	}
	m.Self = time.Duration(used.Utime.Nano() + used.Stime.Nano())
	return m, nil
}

// Others is the processors that others kept busy between two moments, while the
// measured processes used that much.
func Others(from, to Machine, measured time.Duration) float64 {
	used := (to.Busy - from.Busy) - (to.Self - from.Self) - measured
	return max(0, used.Seconds()/to.At.Sub(from.At).Seconds())
}
