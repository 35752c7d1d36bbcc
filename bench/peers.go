package main

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	"weir.dev/weir/bench/internal/load"
	"weir.dev/weir/bench/internal/proc"
)

// The versions that are measured. etcd's is in peers/etcd/go.mod.
const (
	natsVersion     = "v2.15.2"
	dynaliteVersion = "4.0.0"
	fauxqsVersion   = "1.9.2" // the last one for Node.js 20
	localSQSVersion = "2.0.2"
)

func etcd(b *bench) *system {
	binary := filepath.Join(b.cache, "etcd")
	return &system{
		name: "etcd", nodes: []int{1, 3},
		settings: "etcd as shipped: every answer after an fdatasync on a majority; gRPC without authentication",
		install: func() error {
			return b.build(filepath.Join(b.root, "bench", "peers", "etcd"), binary, ".")
		},
		start: func(dir string, nodes int) (*running, error) {
			addrs, err := proc.FreePorts(2 * nodes)
			r := &running{}
			if err != nil {
				return r, err
			}
			clients, peers := addrs[:nodes], addrs[nodes:]
			var members []string
			for i, p := range peers {
				members = append(members, fmt.Sprintf("n%d=http://%s", i, p))
			}
			for i := range nodes {
				name := fmt.Sprintf("n%d", i)
				home := filepath.Join(dir, name)
				p, err := proc.Start("etcd "+name, home, nil, binary, "--name", name, "--data-dir", filepath.Join(home, "data"),
					"--listen-client-urls", "http://"+clients[i], "--advertise-client-urls", "http://"+clients[i],
					"--listen-peer-urls", "http://"+peers[i], "--initial-advertise-peer-urls", "http://"+peers[i],
					"--initial-cluster", strings.Join(members, ","), "--initial-cluster-state", "new", "--log-level", "error",
					"--quota-backend-bytes", "8589934592")
				if err != nil {
					return r, err
				}
				r.procs = append(r.procs, p)
			}
			e := &load.Etcd{Addrs: clients}
			r.prepare = func() error {
				if err := load.Fill(4, e.Fill); err != nil {
					return err
				}
				r.add(opPut, e.Put)
				r.add(opGet, e.Get)
				return nil
			}
			r.addrs = clients
			return r, waitPorts(r.procs, clients)
		},
	}
}

func waitPorts(procs []*proc.Process, addrs []string) error {
	for i, p := range procs {
		if err := p.WaitPort(addrs[i]); err != nil {
			return err
		}
	}
	return nil
}

func nats(b *bench) *system {
	binary := filepath.Join(b.cache, "nats-server")
	return &system{
		name: "nats", nodes: []int{1, 3},
		settings: "NATS JetStream " + natsVersion + ", KV bucket and work queue with as many replicas as nodes, files, sync_interval: always; gets from the stream's leader",
		install: func() error {
			if _, err := os.Stat(binary); err == nil {
				return nil
			}
			return b.run(b.cache, []string{"GOBIN=" + b.cache}, "go", "install", "github.com/nats-io/nats-server/v2@"+natsVersion)
		},
		start: func(dir string, nodes int) (*running, error) {
			addrs, err := proc.FreePorts(2 * nodes)
			r := &running{}
			if err != nil {
				return r, err
			}
			clients, routes := addrs[:nodes], addrs[nodes:]
			r.addrs = clients
			for i := range nodes {
				p, err := startNATS(binary, filepath.Join(dir, fmt.Sprint(i)), i, clients[i], routes)
				if err != nil {
					return r, err
				}
				r.procs = append(r.procs, p)
			}
			n := &load.NATS{Addrs: clients}
			r.prepare = func() error { return prepareNATS(r, n, nodes) }
			r.addrs = clients
			return r, waitPorts(r.procs, clients)
		},
	}
}

func startNATS(binary, home string, i int, client string, routes []string) (*proc.Process, error) {
	config := fmt.Sprintf("server_name: n%d\nlisten: %s\njetstream { store_dir: %q, sync_interval: always }\n", i, client, filepath.Join(home, "data"))
	if len(routes) > 1 {
		config += fmt.Sprintf("cluster { name: bench, listen: %s, routes: [ nats://%s ] }\n", routes[i], strings.Join(routes, ", nats://"))
	}
	if err := os.MkdirAll(home, 0o755); err != nil {
		return nil, err
	}
	file := filepath.Join(home, "nats.conf")
	if err := os.WriteFile(file, []byte(config), 0o600); err != nil {
		return nil, err
	}
	return proc.Start(fmt.Sprintf("nats n%d", i), home, nil, binary, "-c", file)
}

func prepareNATS(r *running, n *load.NATS, nodes int) error {
	if err := n.CreateKV(nodes); err != nil {
		return err
	}
	if err := n.CreateWork(nodes); err != nil {
		return err
	}
	if err := load.Fill(64, n.Fill); err != nil {
		return err
	}
	r.add(opPut, n.Put)
	r.add(opGet, n.Get)
	r.add(opQueue, n.Work)
	return nil
}

// npm installs a package of that version below the cache.
func (b *bench) npm(name, version string) (dir string, err error) {
	dir = filepath.Join(b.cache, "npm", name+"-"+version)
	if _, err := os.Stat(filepath.Join(dir, "node_modules", name, "package.json")); err == nil {
		return dir, nil
	}
	if _, err := exec.LookPath("npm"); err != nil {
		return "", fmt.Errorf("npm is not installed")
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return "", err
	}
	return dir, b.run(dir, nil, "npm", "install", "--prefix", dir, "--no-audit", "--no-fund", "--loglevel", "error", name+"@"+version)
}

func dynalite(b *bench) *system {
	var dir string
	return &system{
		name: "dynalite", nodes: []int{1},
		settings: "dynalite " + dynaliteVersion + " (DynamoDB emulator) on LevelDB files, which it does not sync: not durable",
		install: func() (err error) {
			dir, err = b.npm("dynalite", dynaliteVersion)
			return err
		},
		start: func(home string, _ int) (*running, error) {
			return startEmulator("dynalite", home, func(host, port string) []string {
				return []string{filepath.Join(dir, "node_modules", "dynalite", "cli.js"), "--host", host, "--port", port, "--path", filepath.Join(home, "data"), "--createTableMs", "0"}
			}, true, false)
		},
	}
}

// fauxqsProgram starts it on loopback only and without a log line per request.
const fauxqsProgram = `import { buildApp } from "fauxqs";
const app = await buildApp({ logger: false });
await app.listen({ host: process.argv[2], port: Number(process.argv[3]) });
`

// localSQSProgram starts it on loopback only; it logs nothing per request.
const localSQSProgram = `const { createSqsServer } = require("local-aws-sqs");
createSqsServer({ hostname: process.argv[2], port: Number(process.argv[3]) });
`

func localSQS(b *bench) *system {
	return queueEmulator(b, "local-aws-sqs", localSQSVersion, "local-aws-sqs "+localSQSVersion+" (SQS emulator), in memory: not durable", "serve.cjs", localSQSProgram)
}

func fauxqs(b *bench) *system {
	return queueEmulator(b, "fauxqs", fauxqsVersion, "fauxqs "+fauxqsVersion+" (SQS emulator), in memory: not durable", "serve.mjs", fauxqsProgram)
}

// queueEmulator is a package of npm that a short program serves.
func queueEmulator(b *bench, name, version, settings, file, program string) *system {
	var dir string
	return &system{
		name: name, nodes: []int{1}, settings: settings,
		install: func() (err error) {
			if dir, err = b.npm(name, version); err != nil {
				return err
			}
			return os.WriteFile(filepath.Join(dir, file), []byte(program), 0o600)
		},
		start: func(home string, _ int) (*running, error) {
			return startEmulator(name, home, func(host, port string) []string {
				return []string{filepath.Join(dir, file), host, port}
			}, false, true)
		},
	}
}

func startEmulator(name, home string, args func(host, port string) []string, tables, queues bool) (*running, error) {
	r, err := startOne(name, home, nil, func(host, port string) []string { return append([]string{"node"}, args(host, port)...) })
	aws := load.AWS{Addrs: r.addrs, Credentials: credentials, Invocation: true}
	r.prepare = func() error { return prepareAWS(r, aws, tables, queues) }
	return r, err
}

// startOne starts one process and waits for the port that it was told.
func startOne(name, home string, env []string, command func(host, port string) []string) (*running, error) {
	r := &running{}
	addrs, err := proc.FreePorts(1)
	if err != nil {
		return r, err
	}
	r.addrs = addrs
	host, port, _ := strings.Cut(addrs[0], ":")
	args := command(host, port)
	p, err := proc.Start(name, home, env, args[0], args[1:]...)
	if err != nil {
		return r, err
	}
	r.procs = append(r.procs, p)
	return r, p.WaitPort(addrs[0])
}
