package main

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"

	"weir.dev/weir/bench/internal/load"
	"weir.dev/weir/bench/internal/proc"
)

// The emulators that only speak SQS's older Query protocol.
const (
	elasticmqVersion = "0.7.1" // the last one in a registry; later ones are on GitHub
	sqsliteVersion   = "2.1.1"
)

// debian unpacks Debian's packages below the cache, without installing them,
// and returns the root of what was unpacked.
func (b *bench) debian(name string, packages ...string) (root string, err error) {
	dir := filepath.Join(b.cache, "debian", name)
	root = filepath.Join(dir, "root")
	if _, err := os.Stat(filepath.Join(dir, "done")); err == nil {
		return root, nil
	}
	if err := os.MkdirAll(root, 0o755); err != nil {
		return "", err
	}
	if err := b.run(dir, nil, "apt-get", append([]string{"download", "-q"}, packages...)...); err != nil {
		return "", fmt.Errorf("Debian's packages are not to be had: %w", err)
	}
	files, err := filepath.Glob(filepath.Join(dir, "*.deb"))
	if err != nil {
		return "", err
	}
	for _, f := range files {
		if err := b.run(dir, nil, "dpkg", "-x", f, root); err != nil {
			return "", err
		}
	}
	return root, os.WriteFile(filepath.Join(dir, "done"), nil, 0o600)
}

func redis(b *bench) *system {
	var root string
	return &system{
		name: "redis", nodes: []int{1},
		settings: "Redis 7.0 of Debian, streams with a consumer group, XACK and XDEL; appendfsync always. One node only: its replication does not wait for disks",
		install: func() (err error) {
			root, err = b.debian("redis", "redis-server", "redis-tools", "libjemalloc2", "liblzf1")
			return err
		},
		start: func(dir string, _ int) (*running, error) {
			data := filepath.Join(dir, "data")
			if err := os.MkdirAll(data, 0o755); err != nil {
				return &running{}, err
			}
			return startOne("redis", dir, []string{"LD_LIBRARY_PATH=" + filepath.Join(root, "usr/lib/x86_64-linux-gnu")}, func(host, port string) []string {
				return []string{filepath.Join(root, "usr/bin/redis-server"), "--bind", host, "--port", port, "--dir", data,
					"--save", "", "--appendonly", "yes", "--appendfsync", "always"}
			})
		},
	}
}

// erlangPackages is what RabbitMQ runs on.
var erlangPackages = []string{"asn1", "base", "crypto", "eldap", "inets", "mnesia", "os-mon", "parsetools", "public-key", "runtime-tools", "ssl", "syntax-tools", "tools", "xmerl"}

func rabbitmq(b *bench) *system {
	var root string
	return &system{
		name: "rabbitmq", nodes: []int{1, 3},
		settings: "RabbitMQ 3.10 of Debian, a quorum queue with as many replicas as nodes, publisher confirms, manual acks (which RabbitMQ does not confirm), prefetch of one batch",
		install: func() (err error) {
			packages := []string{"rabbitmq-server"}
			for _, p := range erlangPackages {
				packages = append(packages, "erlang-"+p)
			}
			root, err = b.debian("rabbitmq", packages...)
			return err
		},
		start: func(dir string, nodes int) (*running, error) { return startRabbit(root, dir, nodes) },
	}
}

func startRabbit(root, dir string, nodes int) (*running, error) {
	r := &running{}
	erlang, err := erlangIn(root, dir)
	if err != nil {
		return r, err
	}
	addrs, err := proc.FreePorts(2*nodes + 1)
	if err != nil {
		return r, err
	}
	_, epmdPort, _ := strings.Cut(addrs[2*nodes], ":")
	mapper, err := proc.Start("epmd", filepath.Join(dir, "epmd"), nil, filepath.Join(erlang, "epmd"), "-address", "127.0.0.1", "-port", epmdPort)
	if err != nil {
		return r, err
	}
	r.procs = append(r.procs, mapper)
	if err := mapper.WaitPort(addrs[2*nodes]); err != nil {
		return r, err
	}
	r.addrs = addrs[:nodes]
	config := "cluster_formation.peer_discovery_backend = classic_config\n"
	for i := range nodes {
		config += fmt.Sprintf("cluster_formation.classic_config.nodes.%d = r%d@localhost\n", i+1, i)
	}
	for i := range nodes {
		p, err := startRabbitNode(root, filepath.Join(dir, strconv.Itoa(i)), i, config, epmdPort, addrs[i], addrs[nodes+i])
		if err != nil {
			return r, err
		}
		r.procs = append(r.procs, p)
	}
	for _, p := range r.procs[1:] {
		if err := p.WaitFor("start of the broker", weirWait, func() bool { return strings.Contains(p.Log(), "Server startup complete") }); err != nil {
			return r, err
		}
	}
	return r, nil
}

// erlangIn makes a program "erl" that finds Erlang where it was unpacked, and
// returns the directory of Erlang's own programs.
func erlangIn(root, dir string) (programs string, err error) {
	home := filepath.Join(root, "usr/lib/erlang")
	found, err := filepath.Glob(filepath.Join(home, "erts-*", "bin"))
	if err != nil || len(found) != 1 {
		return "", fmt.Errorf("cannot find Erlang below %s: %w", home, err)
	}
	bin := filepath.Join(dir, "bin")
	if err := os.MkdirAll(bin, 0o755); err != nil {
		return "", err
	}
	script := fmt.Sprintf("#!/bin/sh\nexport ROOTDIR=%s BINDIR=%s EMU=beam PROGNAME=erl\nexec %s/erlexec \"$@\"\n", home, found[0], found[0])
	return found[0], os.WriteFile(filepath.Join(bin, "erl"), []byte(script), 0o755)
}

func startRabbitNode(root, home string, i int, config, epmdPort, client, peer string) (*proc.Process, error) {
	if err := os.MkdirAll(home, 0o755); err != nil {
		return nil, err
	}
	if err := os.WriteFile(filepath.Join(home, "rabbit.conf"), []byte(config), 0o600); err != nil {
		return nil, err
	}
	if err := os.WriteFile(filepath.Join(home, ".erlang.cookie"), []byte("benchmark"), 0o400); err != nil {
		return nil, err
	}
	servers, err := filepath.Glob(filepath.Join(root, "usr/lib/rabbitmq/lib/rabbitmq_server-*/sbin/rabbitmq-server"))
	if err != nil || len(servers) != 1 {
		return nil, fmt.Errorf("cannot find rabbitmq-server below %s: %w", root, err)
	}
	_, clientPort, _ := strings.Cut(client, ":")
	_, peerPort, _ := strings.Cut(peer, ":")
	return proc.Start(fmt.Sprintf("rabbitmq r%d", i), home, []string{
		"PATH=" + filepath.Join(filepath.Dir(home), "bin") + ":" + os.Getenv("PATH"), "HOME=" + home,
		"ERL_EPMD_PORT=" + epmdPort, "ERL_EPMD_ADDRESS=127.0.0.1",
		fmt.Sprintf("RABBITMQ_NODENAME=r%d@localhost", i), "RABBITMQ_NODE_IP_ADDRESS=127.0.0.1", "RABBITMQ_NODE_PORT=" + clientPort,
		"RABBITMQ_DIST_PORT=" + peerPort, "RABBITMQ_MNESIA_BASE=" + filepath.Join(home, "data"), "RABBITMQ_LOGS=-",
		"RABBITMQ_ENABLED_PLUGINS_FILE=" + filepath.Join(home, "plugins"), "RABBITMQ_CONFIG_FILE=" + filepath.Join(home, "rabbit.conf"),
		// With "input" the script becomes the server instead of waiting for it.
		"RABBITMQ_ALLOW_INPUT=1", "RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS=-noinput -kernel inet_dist_use_interface {127,0,0,1}",
	}, servers[0])
}

func elasticmq(b *bench) *system {
	var dir string
	return &system{
		name: "elasticmq", nodes: []int{1},
		settings: "ElasticMQ " + elasticmqVersion + " (SQS emulator on the JVM), in memory: not durable; by the Query protocol, unsigned",
		install: func() (err error) {
			if _, err := exec.LookPath("java"); err != nil {
				return fmt.Errorf("there is no Java")
			}
			dir, err = b.npm("elasticmq", elasticmqVersion)
			return err
		},
		start: func(home string, _ int) (*running, error) {
			return startOne("elasticmq", home, nil, func(host, port string) []string {
				return []string{"java", "--add-opens", "java.base/java.util.regex=ALL-UNNAMED", "-Xmx2g",
					"-Drest-sqs.bind-hostname=" + host, "-Drest-sqs.bind-port=" + port,
					"-jar", filepath.Join(dir, "node_modules/elasticmq/elasticmq-server-"+elasticmqVersion+".jar")}
			})
		},
	}
}

// sqsliteProgram starts it without a log line per request.
const sqsliteProgram = `require("sqslite")({ logger: false }).listen({ host: process.argv[2], port: Number(process.argv[3]) }, (err) => { if (err) throw err; });
`

func sqslite(b *bench) *system {
	return queueEmulator(b, "sqslite", sqsliteVersion, "sqslite "+sqsliteVersion+" (SQS emulator), in memory: not durable; by the Query protocol, unsigned", "serve.cjs", sqsliteProgram)
}

// byQuery adds the workloads of an emulator that speaks the Query protocol.
func byQuery(r *running, byPath bool) error {
	q := &load.Query{Addr: r.addrs[0]}
	url, path, err := q.CreateQueue("bench")
	if err != nil {
		return err
	}
	post := "/"
	if byPath {
		post = path
	} else {
		url = strings.Replace(url, "127.0.0.1", "localhost", 1) // sqslite knows its queues by no other host
	}
	r.add(opStandard(1), q.Queue(url, post, 1))
	r.add(opStandard(load.MaxBatch), q.Queue(url, post, load.MaxBatch))
	return nil
}
