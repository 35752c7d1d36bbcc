//go:build !linux

package main

import "syscall"

// childAttributes make a node a process group of its own, so that Ctrl-C
// reaches the demo alone, which then ends it.
func childAttributes() *syscall.SysProcAttr { return &syscall.SysProcAttr{Setpgid: true} }
