package main

import "syscall"

// childAttributes make a node a process group of its own, so that Ctrl-C
// reaches the demo alone, which then ends it; and let it die with the demo,
// should that be killed.
func childAttributes() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
}
