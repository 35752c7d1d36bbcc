package main

import (
	"bytes"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"weir.dev/weir/internal/cluster"
	"weir.dev/weir/internal/server"
)

// printed is what f prints to standard output.
func printed(t *testing.T, f func() error) (string, error) {
	t.Helper()
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	old := os.Stdout
	os.Stdout = w
	defer func() { os.Stdout = old }()
	text := make(chan string)
	go func() {
		b, _ := io.ReadAll(r)
		text <- string(b)
	}()
	failed := f()
	_ = w.Close()
	return <-text, failed
}

func TestHelp(t *testing.T) {
	var out bytes.Buffer
	if err := printHelp(&out, nil, nil); err != nil {
		t.Fatal(err)
	}
	for _, v := range verbs() {
		if !strings.Contains(out.String(), fmt.Sprintf("\n  %-11s %s\n", v.name, v.summary)) {
			t.Errorf("weir help does not list %s", v.name)
		}
		if v.summary == "" || strings.HasSuffix(v.summary, ".") || strings.Contains(v.summary, "\n") {
			t.Errorf("the summary of %s: %q", v.name, v.summary)
		}
		var one bytes.Buffer
		if err := printHelp(&one, []string{v.name}, nil); err != nil {
			t.Fatal(err)
		}
		fs := flag.NewFlagSet(v.name, flag.ContinueOnError)
		v.flags(fs)
		fs.VisitAll(func(f *flag.Flag) {
			if !strings.Contains(one.String(), "--"+f.Name) || f.Usage == "" {
				t.Errorf("weir help %s does not explain --%s", v.name, f.Name)
			}
		})
		if !strings.HasPrefix(one.String(), "usage: weir "+v.name) {
			t.Errorf("weir help %s begins %.40q", v.name, one.String())
		}
	}
	for _, line := range strings.Split(out.String(), "\n") {
		if len(line) > 120 {
			t.Errorf("a line of %d characters: %s", len(line), line)
		}
	}
}

func TestDispatch(t *testing.T) {
	for _, args := range [][]string{{"help"}, {"--help"}, {"-h"}, {"help", "serve"}, {"serve", "--help"}, {"version"}, {"--version"}, {"completion", "bash"}} {
		text, err := printed(t, func() error { return dispatch(args) })
		if err != nil || text == "" {
			t.Errorf("weir %q: %q, %v", args, text, err)
		}
	}
	for _, args := range [][]string{nil, {"nothing"}, {"help", "nothing"}, {"serve", "--nothing"}, {"serve", "--tablets", "many"}} {
		if err := dispatch(args); !errors.Is(err, errUsage) {
			t.Errorf("weir %q: %v", args, err)
		}
	}
	for _, args := range [][]string{{"serve", "extra"}, {"token"}, {"token", "destroy"}, {"pipe"}, {"pipe", "list", "x"}, {"pipe", "rate", "x", "fast"}, {"pipe", "create", "x", "y"}, {"dump"}, {"completion"}, {"completion", "tcsh"}} {
		if err := dispatch(args); err == nil || errors.Is(err, errUsage) {
			t.Errorf("weir %q: %v", args, err)
		}
	}
}

func TestParseMixed(t *testing.T) {
	for _, c := range []struct {
		args, rest []string
		n          int
		on         bool
	}{
		{nil, nil, 0, false},
		{[]string{"a", "b"}, []string{"a", "b"}, 0, false},
		{[]string{"--n", "5", "a"}, []string{"a"}, 5, false},
		{[]string{"a", "-n=5", "b", "--on"}, []string{"a", "b"}, 5, true},
		{[]string{"--on", "a", "--n", "5"}, []string{"a"}, 5, true},
		{[]string{"--on=false", "a"}, []string{"a"}, 0, false},
	} {
		fs := flag.NewFlagSet("x", flag.ContinueOnError)
		fs.SetOutput(io.Discard)
		n, on := fs.Int("n", 0, ""), fs.Bool("on", false, "")
		args := c.args
		if err := parseMixed(fs, &args); err != nil || !reflect.DeepEqual(args, c.rest) || *n != c.n || *on != c.on {
			t.Errorf("%q: %q, n %d, on %v, %v", c.args, args, *n, *on, err)
		}
	}
	fs := flag.NewFlagSet("x", flag.ContinueOnError)
	fs.SetOutput(io.Discard)
	args := []string{"a", "--unknown"}
	if err := parseMixed(fs, &args); err == nil {
		t.Error("an unknown flag behind an argument was taken")
	}
}

func TestCompletion(t *testing.T) {
	for _, shell := range []string{"bash", "zsh", "fish"} {
		text, err := printed(t, func() error { return completion([]string{shell}) })
		if err != nil {
			t.Fatal(err)
		}
		for _, v := range verbs() {
			if !strings.Contains(text, v.name) {
				t.Errorf("%s: no %s", shell, v.name)
			}
		}
		for _, word := range []string{"data", "join", "dead-letter", "ttl"} {
			if !strings.Contains(text, word) {
				t.Errorf("%s: no --%s", shell, word)
			}
		}
	}
	if got := actionsOf(pipeVerb); !reflect.DeepEqual(got, []string{"create", "list", "describe", "rate", "pause", "resume", "delete"}) {
		t.Errorf("actions of pipe: %q", got)
	}
	if got := actionsOf(serveVerb); got != nil {
		t.Errorf("actions of serve: %q", got)
	}
}

// settings parses a command line of serve with its environment and file.
func settings(t *testing.T, args ...string) (*serveFlags, error) {
	t.Helper()
	f := &serveFlags{fs: flag.NewFlagSet("serve", flag.ContinueOnError)}
	f.fs.SetOutput(io.Discard)
	f.fs.StringVar(&f.config.DataDir, "data", server.DefaultDataDir, "")
	f.fs.StringVar(&f.config.AWSAddr, "aws", server.DefaultAWSAddr, "")
	f.fs.StringVar(&f.config.PeerCA, "peer-ca", "", "")
	f.fs.IntVar(&f.config.Tablets, "tablets", 0, "")
	f.fs.BoolVar(&f.config.Insecure, "insecure", false, "")
	f.fs.StringVar(&f.configFile, "config", "", "")
	if err := f.fs.Parse(args); err != nil {
		t.Fatal(err)
	}
	return f, f.fillUnset()
}

// TestPrecedence: a flag goes before the environment, that before the file,
// and that before the default.
func TestPrecedence(t *testing.T) {
	file := filepath.Join(t.TempDir(), "weir.yaml")
	text := "data: from-file\naws: file:1\ntablets: 7\ninsecure: true\npeer-ca: ca-file\n"
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	f, err := settings(t)
	if err != nil || f.config.DataDir != server.DefaultDataDir || f.config.AWSAddr != server.DefaultAWSAddr {
		t.Errorf("defaults: %+v, %v", f.config, err)
	}
	t.Setenv("WEIR_AWS", "env:1")
	t.Setenv("WEIR_DATA", "from-env")
	t.Setenv("WEIR_PEER_CA", "")
	t.Setenv("WEIR_CONFIG", file)
	f, err = settings(t, "--data", "from-flag")
	if err != nil {
		t.Fatal(err)
	}
	if c := f.config; c.DataDir != "from-flag" || c.AWSAddr != "env:1" || c.Tablets != 7 || !c.Insecure || c.PeerCA != "" {
		t.Errorf("settings %+v", c)
	}
	t.Setenv("WEIR_TABLETS", "many")
	if _, err := settings(t); err == nil || !strings.Contains(err.Error(), "WEIR_TABLETS") {
		t.Errorf("a bad variable: %v", err)
	}
}

func TestConfigFileRefused(t *testing.T) {
	for text, says := range map[string]string{"datta: x": `"datta"`, "{": "cannot read", "tablets: many": "tablets", "- a": "cannot read"} {
		file := filepath.Join(t.TempDir(), "weir.yaml")
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := settings(t, "--config", file); err == nil || !strings.Contains(err.Error(), says) || !strings.Contains(err.Error(), file) {
			t.Errorf("%q: %v", text, err)
		}
	}
	if _, err := settings(t, "--config", "no-such-file"); err == nil {
		t.Error("a missing file")
	}
}

func TestPairs(t *testing.T) {
	var p pairs
	for _, good := range []string{"id=$.post", "x=a=b"} {
		if err := p.Set(good); err != nil {
			t.Error(err)
		}
	}
	if p["x"] != "a=b" {
		t.Errorf("pairs %v", p)
	}
	for _, bad := range []string{"", "x", "=x", "x=", "id=again"} {
		if err := p.Set(bad); err == nil {
			t.Errorf("%q was taken", bad)
		}
	}
}

func TestParseRate(t *testing.T) {
	for text, want := range map[string]float64{"200/s": 200, "0": 0, "1.5/s": 1.5} {
		if got, err := parseRate(text); err != nil || got != want {
			t.Errorf("%s: %v, %v", text, got, err)
		}
	}
	for _, bad := range []string{"", "/s", "fast", "-1", "200/m"} {
		if got, err := parseRate(bad); err == nil {
			t.Errorf("%q is %v", bad, got)
		}
	}
}

func TestPrintStatus(t *testing.T) {
	s := &cluster.ClusterStatus{
		ClusterID: "c1", Asked: 1,
		Nodes: []cluster.NodeView{{ID: 1, Address: "a:1", State: "active", Up: true, Leads: 1, Holds: 2}, {ID: 2, Address: "b:2", State: "active", HeardMs: 1_000_000}},
		NowMs: 1_090_000, Troubles: []cluster.Trouble{{Text: "it burns", Advice: "pour water"}},
		Tablets: []cluster.TabletView{
			{ID: 0, Leader: 1, Replicas: []cluster.ReplicaView{{Node: 1, Voter: true, Up: true}, {Node: 2, Voter: true, Doing: cluster.DoingDown}}},
			{ID: 1, Hi: 65536, Replicas: []cluster.ReplicaView{{Node: 2, Up: true, Lag: 5}}},
		},
	}
	text, _ := printed(t, func() error { return printStatus(os.Stdout, s) })
	for _, want := range []string{"cluster c1", "up (asked)", "down for 1m30s", "catalog", "0-65535", "none", "n0000000000000002 (down)", "n0000000000000002 learner (5)", "! it burns\n  what to do: pour water"} {
		if !strings.Contains(text, want) {
			t.Errorf("no %q in\n%s", want, text)
		}
	}
}
