package main

import (
	"fmt"
	"path/filepath"
	"strings"

	"weir.dev/weir/bench/internal/proc"
)

// startWeirAt starts nodes on ports that stay theirs, which log from level on.
// The last one's peer listener is at lastPeer and reached at lastVia, if these
// are given. What runs is returned even on error.
func startWeirAt(binary, dir, level string, count int, lastPeer, lastVia string) (procs []*proc.Process, nodes []*weirNode, err error) {
	for i := range count {
		peer, via := "", ""
		if i == count-1 {
			peer, via = lastPeer, lastVia
		}
		n, err := startWeirNode(binary, dir, level, i, nodes, peer, via)
		if n != nil && n.Process != nil {
			procs, nodes = append(procs, n.Process), append(nodes, n)
		}
		if err != nil {
			return procs, nodes, err
		}
	}
	return procs, nodes, procs[0].WaitFor("three voters of every tablet", weirWait, func() bool { return hasVoters(binary, nodes[0], count) })
}

// startWeirNode starts node number i, which joins the first of members, if there
// are any.
func startWeirNode(binary, dir, level string, i int, members []*weirNode, peer, via string) (*weirNode, error) {
	keys, err := keyFile(dir)
	if err != nil {
		return nil, err
	}
	addrs, err := proc.FreePorts(3)
	if err != nil {
		return nil, err
	}
	n := &weirNode{aws: addrs[0], console: addrs[1], peer: addrs[2]}
	if peer != "" {
		n.peer = peer
	}
	args := []string{"serve", "--data", filepath.Join(dir, fmt.Sprint("data", i)), "--keys", keys, "--log", level, "--aws", n.aws, "--console", n.console, "--peer", n.peer}
	if via != "" {
		args = append(args, "--advertise", via)
	}
	if len(members) > 0 {
		var token []byte
		err := members[0].WaitFor("token", weirWait, func() bool { // its tablets may not have leaders yet
			token, err = ask(binary, members[0], "token", "create")
			return err == nil
		})
		if err != nil {
			return nil, err
		}
		args = append(args, "--join", members[0].peer, "--token", strings.TrimSpace(string(token)))
	}
	if n.Process, err = proc.Start(fmt.Sprint("weir-", i+1), filepath.Join(dir, fmt.Sprint("node", i)), nil, binary, args...); err != nil {
		return nil, err
	}
	return n, n.WaitPort(n.aws)
}
