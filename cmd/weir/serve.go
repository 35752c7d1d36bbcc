package main

import (
	"context"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/signal"
	"runtime/pprof"
	"strconv"
	"strings"
	"syscall"
	"time"

	"gopkg.in/yaml.v3"

	"weir.dev/weir/internal/auth"
	"weir.dev/weir/internal/cluster"
	"weir.dev/weir/internal/server"
	"weir.dev/weir/internal/service"
)

// shutdownTimeout bounds how long open requests are waited for.
const shutdownTimeout = 10 * time.Second

var serveVerb = verb{name: "serve", summary: "run a node",
	long: `Without --join the node is a cluster of one, on the data directory that it finds
or makes. Every flag is also an environment variable (--data is WEIR_DATA) and a
line of the YAML file that --config names (data: DIR); a flag goes before the
variable, and that before the file.

Without keys any credentials are accepted (open mode), which is allowed only
while the AWS and console listeners are on loopback, or with --insecure. --keys
names a file with lines of the form ID:SECRET. A node that is a member of a
cluster already ignores --join, --token and --tablets.

Exits with status 0 when a signal stops it, and 3 when it cannot go on.`,
	flags: func(fs *flag.FlagSet) func([]string) error {
		f := serveFlags{fs: fs}
		c := &f.config
		fs.StringVar(&c.DataDir, "data", server.DefaultDataDir, "`DIR` for the data")
		fs.StringVar(&c.AWSAddr, "aws", server.DefaultAWSAddr, "`HOST:PORT` for the AWS APIs")
		fs.StringVar(&c.ConsoleAddr, "console", server.DefaultConsoleAddr, "`HOST:PORT` for the admin API, health and metrics")
		fs.StringVar(&c.PeerAddr, "peer", server.DefaultPeerAddr, "`HOST:PORT` for other nodes")
		fs.StringVar(&c.Advertise, "advertise", "", "`HOST:PORT` at which other nodes reach --peer, when that is not its own address")
		fs.StringVar(&c.Join, "join", "", "`HOST:PORT` of a member's peer listener, to join its cluster")
		fs.StringVar(&c.Follow, "follow", "", "`HOST:PORT` of another region's peer listener: ship all its tables, queues and streams here, which take no writes here")
		fs.StringVar(&c.Token, "token", "", "the `TOKEN` for --join, from weir token create on a member, or for --follow, from weir region token there")
		fs.StringVar(&f.keysFile, "keys", "", "`FILE` with access keys, one ID:SECRET a line")
		fs.BoolVar(&c.Insecure, "insecure", false, "without keys, listen on other addresses than loopback all the same")
		fs.StringVar(&c.TLSCert, "tls-cert", "", "PEM `FILE`: certificate for the AWS APIs")
		fs.StringVar(&c.TLSKey, "tls-key", "", "PEM `FILE`: its key")
		fs.StringVar(&c.PeerCert, "peer-cert", "", "PEM `FILE`: this node's certificate for peers, instead of an issued one")
		fs.StringVar(&c.PeerKey, "peer-key", "", "PEM `FILE`: its key")
		fs.StringVar(&c.PeerCA, "peer-ca", "", "PEM `FILE`: the authority of peers' certificates")
		fs.StringVar(&c.Zone, "zone", "", "`NAME` of what fails together with this node, a rack or a data centre: voters are spread over zones")
		fs.BoolVar(&c.ReadOnly, "read-only", false, "hold a copy of everything and never a vote: the node answers eventual reads")
		fs.IntVar(&c.SnapshotRate, "snapshot-rate", server.DefaultSnapshotRate, "`BYTES` per second of all snapshots that this node sends to others")
		fs.DurationVar(&c.ShutdownGrace, "shutdown-grace", 0, "`DURATION` to go on serving after SIGTERM while the readiness check says no, for load balancers")
		fs.StringVar(&c.Region, "region", server.DefaultRegion, "the AWS region, `NAME`, shown in ARNs")
		fs.StringVar(&c.Account, "account", server.DefaultAccount, "the AWS account, `ID`, shown in ARNs and queue URLs")
		fs.StringVar(&f.limits, "limits", "none", "`NAME` of limits that Weir does not need: none, or aws for the quotas of AWS, on each node")
		fs.IntVar(&c.Tablets, "tablets", cluster.DefaultTablets, "`NUMBER` of data tablets of a new cluster, 1 to 1024; it cannot be changed later")
		fs.IntVar(&c.Lanes, "lanes", 0, "`NUMBER` of event loops; 0 is one per core, at least 2 and at most 16")
		fs.StringVar(&f.logLevel, "log", "info", "lowest `LEVEL` of log lines: debug, info, warn, error")
		fs.StringVar(&f.configFile, "config", "", "YAML `FILE` with flags")
		return f.serve
	}}

type serveFlags struct {
	fs                             *flag.FlagSet
	config                         server.Config
	keysFile, logLevel, configFile string
	limits                         string
}

func (f *serveFlags) serve(args []string) error {
	if len(args) > 0 {
		return fmt.Errorf("weir serve takes no arguments, only flags: %q", args)
	}
	if err := f.fillUnset(); err != nil {
		return err
	}
	cfg := f.config
	if f.keysFile != "" {
		text, err := os.ReadFile(f.keysFile)
		if err != nil {
			return fmt.Errorf("cannot read the access keys: %w", err)
		}
		if cfg.Keys, err = auth.ParseKeys(string(text)); err != nil {
			return fmt.Errorf("cannot read the access keys in %s: %w", f.keysFile, err)
		}
	}
	var err error
	if cfg.Profile, err = service.ParseProfile(f.limits); err != nil {
		return fmt.Errorf("--limits: %w", err)
	}
	var level slog.Level
	if err := level.UnmarshalText([]byte(f.logLevel)); err != nil {
		return fmt.Errorf("--log is debug, info, warn or error, not %q", f.logLevel)
	}
	cfg.Logger = slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: level}))
	cfg.Fatal = func(err error) {
		fmt.Fprintln(os.Stderr, "weir: the node stops:", err)
		os.Exit(3)
	}
	// Tests of clock skew move the node's clock; nobody else should.
	if offset := os.Getenv("WEIR_TEST_CLOCK_OFFSET"); offset != "" {
		var err error
		if cfg.ClockOffset, err = time.ParseDuration(offset); err != nil {
			return fmt.Errorf("WEIR_TEST_CLOCK_OFFSET: %w", err)
		}
	}
	return runServer(cfg)
}

func runServer(cfg server.Config) error {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	stopProfile, err := profile()
	if err != nil {
		return err
	}
	defer stopProfile()
	server.LimitMemory(os.DirFS("/"))
	s, err := server.Start(ctx, cfg)
	if err != nil {
		return err
	}
	banner(os.Stdout, s, cfg)
	<-ctx.Done()
	stop() // a second signal ends the process at once
	s.Drain(context.Background(), cfg.ShutdownGrace)
	end, cancel := context.WithTimeout(context.Background(), shutdownTimeout)
	defer cancel()
	return s.Shutdown(end)
}

// profile writes a CPU profile to the file that WEIR_CPUPROFILE names, if any,
// until the returned function is called. It is for the benchmarks.
func profile() (stop func(), err error) {
	name := os.Getenv("WEIR_CPUPROFILE")
	if name == "" {
		return func() {}, nil
	}
	f, err := os.Create(name)
	if err != nil {
		return nil, fmt.Errorf("WEIR_CPUPROFILE: %w", err)
	}
	if err := pprof.StartCPUProfile(f); err != nil {
		return nil, fmt.Errorf("WEIR_CPUPROFILE: %w", err)
	}
	return func() {
		pprof.StopCPUProfile()
		_ = f.Close() // a profile that is cut short says so when it is read
	}, nil
}

// banner says on one screen what runs where and how to use it.
func banner(w io.Writer, s *server.Server, cfg server.Config) {
	at := s.Addresses()
	scheme := "http"
	if cfg.TLSCert != "" {
		scheme = "https"
	}
	mode, credentials := "access keys", "AWS_ACCESS_KEY_ID=ID AWS_SECRET_ACCESS_KEY=SECRET   # from --keys"
	if s.Open() {
		credentials = "AWS_ACCESS_KEY_ID=any AWS_SECRET_ACCESS_KEY=any"
		mode = "open (any credentials are accepted)"
		if !cfg.Insecure {
			mode = "open on loopback (any credentials are accepted)"
		}
	}
	node, clusterID := s.Node()
	fmt.Fprintf(w, `Weir is running.

  AWS APIs   %s://%s   (DynamoDB, SQS, Kinesis)
  console    http://%s   (admin API, health, metrics)
  peers      %s
  data       %s
  mode       %s
  node       %s of cluster %s

  export AWS_ENDPOINT_URL=%s://%s
  export %s
  export AWS_DEFAULT_REGION=%s

`, scheme, at.AWS, at.Console, at.Peer, cfg.DataDir, mode, node, clusterID, scheme, at.AWS, credentials, cfg.Region)
}

// fillUnset sets the flags that the command line left out from the
// environment and the configuration file.
func (f *serveFlags) fillUnset() error {
	given := map[string]bool{}
	f.fs.Visit(func(fl *flag.Flag) { given[fl.Name] = true })
	fromEnv := map[string]bool{}
	var firstErr error
	set := func(name, value, where string) {
		if err := f.fs.Set(name, value); err != nil && firstErr == nil {
			firstErr = fmt.Errorf("%s: %w", where, err)
		}
	}
	f.fs.VisitAll(func(fl *flag.Flag) {
		key := "WEIR_" + strings.ToUpper(strings.ReplaceAll(fl.Name, "-", "_"))
		if value, ok := os.LookupEnv(key); ok && !given[fl.Name] {
			fromEnv[fl.Name] = true
			set(fl.Name, value, key)
		}
	})
	if f.configFile == "" || firstErr != nil {
		return firstErr
	}
	text, err := os.ReadFile(f.configFile)
	if err != nil {
		return fmt.Errorf("cannot read the configuration: %w", err)
	}
	var file map[string]any
	if err := yaml.Unmarshal(text, &file); err != nil {
		return fmt.Errorf("cannot read %s: %w", f.configFile, err)
	}
	for name, value := range file {
		if f.fs.Lookup(name) == nil {
			return fmt.Errorf("%s: there is no setting %q; weir help serve lists them", f.configFile, name)
		}
		if !given[name] && !fromEnv[name] {
			set(name, scalar(value), f.configFile+": "+name)
		}
	}
	return firstErr
}

// scalar is a YAML value as it would stand on the command line.
func scalar(v any) string {
	switch v := v.(type) {
	case string:
		return v
	case bool:
		return strconv.FormatBool(v)
	default:
		return fmt.Sprint(v)
	}
}
