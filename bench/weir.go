package main

import (
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"time"

	"weir.dev/weir/bench/internal/load"
	"weir.dev/weir/bench/internal/proc"
)

// credentials sign every request to Weir and to the empty handlers.
var credentials = load.Credentials{AccessKey: "BENCHMARK", Secret: "only-for-benchmarks"}

// weirWait bounds how long a cluster may take to have voters everywhere.
const weirWait = 60 * time.Second

type weirNode struct {
	*proc.Process
	aws, console, peer string
}

func weir(b *bench) *system {
	binary := filepath.Join(b.cache, "weir")
	return &system{
		name: "weir", nodes: []int{1, 3},
		settings: "as shipped: every answer after an fdatasync on a majority; requests signed and with the SDKs' request id",
		install: func() error {
			if b.weirBinary == "" {
				b.weirBinary = binary // built once for the whole run
				return b.build(b.root, binary, "./cmd/weir")
			}
			binary = b.weirBinary
			return nil
		},
		start: func(dir string, nodes int) (*running, error) { return startWeir(binary, dir, nodes) },
	}
}

func startWeir(binary, dir string, nodes int) (*running, error) {
	r := &running{}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return r, err
	}
	keys := filepath.Join(dir, "keys")
	if err := os.WriteFile(keys, []byte(credentials.AccessKey+":"+credentials.Secret+"\n"), 0o600); err != nil {
		return r, err
	}
	var members []*weirNode
	aws := load.AWS{Credentials: credentials, Invocation: true}
	for i := range nodes {
		node, err := startNode(binary, keys, dir, i, members)
		if node != nil && node.Process != nil {
			r.procs = append(r.procs, node.Process)
		}
		if err != nil {
			return r, err
		}
		members = append(members, node)
		aws.Addrs = append(aws.Addrs, node.aws)
	}
	r.addrs = aws.Addrs
	err := members[0].WaitFor(fmt.Sprintf("%d voters of every tablet", nodes), weirWait, func() bool {
		return hasVoters(binary, members[0], nodes)
	})
	r.prepare = func() error { return prepareAWS(r, aws, true, true) }
	return r, err
}

var shown = regexp.MustCompile(`(?m)^  (AWS APIs|console|peers) +(?:http://)?(\S+)`)

func startNode(binary, keys, dir string, i int, members []*weirNode) (*weirNode, error) {
	name := fmt.Sprintf("weir-%d", i+1)
	home := filepath.Join(dir, name)
	args := []string{"serve", "--data", filepath.Join(home, "data"), "--keys", keys, "--log", "warn",
		"--aws", "127.0.0.1:0", "--console", "127.0.0.1:0", "--peer", "127.0.0.1:0"}
	if i > 0 {
		token, err := ask(binary, members[0], "token", "create")
		if err != nil {
			return nil, err
		}
		args = append(args, "--join", members[0].peer, "--token", strings.TrimSpace(string(token)))
	}
	var environment []string
	if at := os.Getenv("BENCH_WEIR_CPUPROFILE"); at != "" {
		environment = []string{"WEIR_CPUPROFILE=" + filepath.Join(at, fmt.Sprintf("%s-of-%s.prof", name, filepath.Base(dir)))}
	}
	p, err := proc.Start(name, home, environment, binary, args...)
	if err != nil {
		return nil, err
	}
	n := &weirNode{Process: p}
	return n, p.WaitFor("banner", 20*time.Second, func() bool {
		for _, m := range shown.FindAllStringSubmatch(p.Log(), -1) {
			*map[string]*string{"AWS APIs": &n.aws, "console": &n.console, "peers": &n.peer}[m[1]] = m[2]
		}
		return n.aws != "" && n.console != "" && n.peer != ""
	})
}

// ask runs a weir command against a node's console.
func ask(binary string, n *weirNode, args ...string) ([]byte, error) {
	cmd := exec.Command(binary, args...)
	cmd.Env = append(os.Environ(), "WEIR_CONSOLE="+n.console,
		"AWS_ACCESS_KEY_ID="+credentials.AccessKey, "AWS_SECRET_ACCESS_KEY="+credentials.Secret)
	out, err := cmd.Output()
	if exit, ok := err.(*exec.ExitError); ok {
		err = fmt.Errorf("weir %s: %w: %s", strings.Join(args, " "), err, exit.Stderr)
	}
	return out, err
}

// weirStatus is what a cluster says of itself.
type weirStatus struct {
	Nodes   []struct{ Leads int }
	Tablets []struct {
		Replicas []struct {
			Voter, Up bool
			Lag       uint64
		}
	}
}

func statusOf(binary string, n *weirNode) (s weirStatus, ok bool) {
	out, err := ask(binary, n, "status", "--json")
	return s, err == nil && json.Unmarshal(out, &s) == nil
}

// caughtUp reports whether every tablet has that many voters that are up and
// have nothing to catch up.
func (s *weirStatus) caughtUp(voters int) bool {
	for _, t := range s.Tablets {
		have := 0
		for _, r := range t.Replicas {
			if r.Voter && r.Up && r.Lag == 0 {
				have++
			}
		}
		if have != voters {
			return false
		}
	}
	return len(s.Nodes) == voters && len(s.Tablets) > 1
}

// hasVoters reports whether every tablet has a leader and that many voters
// with nothing to catch up, and leaders are spread over the nodes.
func hasVoters(binary string, n *weirNode, voters int) bool {
	s, ok := statusOf(binary, n)
	if !ok || !s.caughtUp(voters) {
		return false
	}
	leads := 0
	for _, node := range s.Nodes {
		if node.Leads == 0 {
			return false
		}
		leads += node.Leads
	}
	return leads == len(s.Tablets)
}

// prepareAWS makes the table and the queue and lists what can be measured.
func prepareAWS(r *running, aws load.AWS, tables, queues bool) error {
	if tables {
		if err := aws.CreateTable("bench"); err != nil {
			return err
		}
		if err := load.Fill(8, aws.Fill("bench")); err != nil {
			return err
		}
		r.add(opPut, aws.Put("bench"))
		r.add(opGet, aws.Get("bench", true))
		r.add(opGetEventual, aws.Get("bench", false))
	}
	if queues {
		url, err := aws.CreateQueue("bench")
		if err != nil {
			return err
		}
		r.add(opQueue, aws.Queue(url, 1))
		r.add(opQueueBatch, aws.Queue(url, load.MaxBatch))
	}
	return nil
}
