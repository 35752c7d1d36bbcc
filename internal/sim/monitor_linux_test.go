package sim

import "syscall"

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
	if _, _, errno := syscall.RawSyscall(syscall.SYS_PRCTL, syscall.PR_SET_TIMERSLACK, slack, 0); errno != 0 {
		return errno
	}
	return nil
}
