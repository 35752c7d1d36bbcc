// Package proc runs the servers that are measured: processes on loopback with
// data in directories of their own, whose processor time and memory are read
// from /proc. Linux only.
//
// Every process ends with the benchmark, however that ends: by Stop, or by the
// kernel, which kills the children of a main thread that is gone; so Start
// belongs to the main goroutine, locked to the main thread.
package proc

import (
	"bytes"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// ticksPerSecond is the unit of processor time in /proc: USER_HZ, which is 100
// on every Linux that Go runs on.
const ticksPerSecond = 100

// stopTimeout is how long a process may take to end when asked.
const stopTimeout = 5 * time.Second

// Process is a running server.
type Process struct {
	Name string
	cmd  *exec.Cmd
	log  string
	done chan struct{} // closed when it has ended
}

// Start runs a program with its output in a log file in dir. environment is
// added to this process's own.
func Start(name, dir string, environment []string, program string, args ...string) (*Process, error) {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return nil, err
	}
	p := &Process{Name: name, log: filepath.Join(dir, "log"), done: make(chan struct{})}
	out, err := os.Create(p.log)
	if err != nil {
		return nil, err
	}
	defer out.Close()
	p.cmd = exec.Command(program, args...)
	p.cmd.Dir, p.cmd.Stdout, p.cmd.Stderr = dir, out, out
	p.cmd.Env = append(os.Environ(), environment...)
	p.cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL, Setpgid: true}
	if err := p.cmd.Start(); err != nil {
		return nil, fmt.Errorf("cannot start %s: %w", name, err)
	}
	go func() {
		_ = p.cmd.Wait() // how it ended is in its log
		close(p.done)
	}()
	return p, nil
}

// Stop ends the process, by force if it does not end when asked.
func (p *Process) Stop() {
	_ = p.cmd.Process.Signal(syscall.SIGTERM) // it may have ended
	select {
	case <-p.done:
	case <-time.After(stopTimeout):
		_ = p.cmd.Process.Kill() // it may have ended
		<-p.done
	}
}

// Kill ends the process at once, as a crash does.
func (p *Process) Kill() {
	_ = p.cmd.Process.Kill() // it may have ended
	<-p.done
}

// Again starts a process that has ended as it was started.
func (p *Process) Again() (*Process, error) {
	return Start(p.Name, p.cmd.Dir, p.cmd.Env, p.cmd.Path, p.cmd.Args[1:]...)
}

// Log is what the process has printed.
func (p *Process) Log() string {
	text, _ := os.ReadFile(p.log) // an unreadable log is an empty one
	return string(text)
}

// Tail is the end of the log, for errors.
func (p *Process) Tail() string {
	text := strings.TrimSpace(p.Log())
	return text[max(0, len(text)-600):]
}

// WaitFor polls ready until it is true, the process ends, or time is up.
func (p *Process) WaitFor(what string, limit time.Duration, ready func() bool) error {
	for end := time.Now().Add(limit); time.Now().Before(end); {
		if ready() {
			return nil
		}
		select {
		case <-p.done:
			return fmt.Errorf("%s ended before %s:\n%s", p.Name, what, p.Tail())
		case <-time.After(50 * time.Millisecond):
		}
	}
	return fmt.Errorf("%s: no %s in %v:\n%s", p.Name, what, limit, p.Tail())
}

// WaitPort waits until something listens on addr.
func (p *Process) WaitPort(addr string) error {
	return p.WaitFor("listener on "+addr, 20*time.Second, func() bool {
		c, err := net.DialTimeout("tcp", addr, time.Second)
		if err != nil {
			return false
		}
		return c.Close() == nil
	})
}

// CPU is the processor time that the process has used, user and system.
func (p *Process) CPU() (time.Duration, error) {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", p.cmd.Process.Pid))
	if err != nil {
		return 0, err
	}
	// The second field, the name in parentheses, may hold spaces.
	fields := bytes.Fields(text[bytes.LastIndexByte(text, ')')+1:])
	var ticks int64
	for _, f := range fields[11:13] { // utime and stime, fields 14 and 15
		n, err := strconv.ParseInt(string(f), 10, 64)
		if err != nil {
			return 0, err
		}
		ticks += n
	}
	return time.Duration(ticks) * time.Second / ticksPerSecond, nil
}

// RSS is the process's resident memory in bytes.
func (p *Process) RSS() (int64, error) {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/statm", p.cmd.Process.Pid))
	if err != nil {
		return 0, err
	}
	fields := bytes.Fields(text)
	pages, err := strconv.ParseInt(string(fields[1]), 10, 64)
	return pages * int64(os.Getpagesize()), err
}

// Written is how many bytes the process has written to files.
func (p *Process) Written() (n int64, err error) {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/io", p.cmd.Process.Pid))
	if err != nil {
		return 0, err
	}
	_, rest, ok := bytes.Cut(text, []byte("\nwrite_bytes:"))
	if !ok {
		return 0, fmt.Errorf("cannot find write_bytes in %q", text)
	}
	line, _, _ := bytes.Cut(rest, []byte("\n"))
	return strconv.ParseInt(string(bytes.TrimSpace(line)), 10, 64)
}

// FreePorts returns addresses on loopback that were free a moment ago.
func FreePorts(n int) ([]string, error) {
	var addrs []string
	for range n {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			return nil, err
		}
		defer l.Close() // after all are chosen, so that they differ
		addrs = append(addrs, l.Addr().String())
	}
	return addrs, nil
}
