package sim

import (
	"os"
	"runtime"
	"sync"
	"syscall"
)

// stopMonitor keeps the next program that this thread starts from having its
// goroutines interrupted. The runtime's monitor, a thread of its own, marks a
// goroutine that has had the processor for 10 ms of real time, and the next
// function it calls gives way to others: asyncpreemptoff does not end that, and
// on a loaded machine 10 ms pass in the middle of anything. The monitor only
// ever sleeps in between. Sleeps may be late by the thread's timer slack, which
// threads and programs inherit: with an hour of it the monitor sleeps on. Only
// sleeps in the kernel are late, and virtual time has none.
func stopMonitor() error {
	const slack = 3600e9 // ns
	return setTimerSlack(slack)
}

// stopMonitorOnly ends that for the threads that run goroutines: the runtime
// sleeps in them for a moment when one panics.
func stopMonitorOnly() error {
	const (
		slack   = 50e3 // ns, the kernel's default
		threads = 64   // more than the runtime has started by now
	)
	var err error
	var once sync.Once
	var all, done sync.WaitGroup
	all.Add(threads)
	for range threads {
		done.Go(func() {
			runtime.LockOSThread()
			defer runtime.UnlockOSThread()
			if e := setTimerSlack(slack); e != nil {
				once.Do(func() { err = e })
			}
			all.Done()
			all.Wait() // each has a thread of its own
		})
	}
	done.Wait()
	return err
}

func setTimerSlack(ns uintptr) error {
	if _, _, errno := syscall.RawSyscall(syscall.SYS_PRCTL, syscall.PR_SET_TIMERSLACK, ns, 0); errno != 0 {
		return os.NewSyscallError("prctl", errno)
	}
	return nil
}
