package clients

import (
	"encoding/json"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/sqs"

	"weir.dev/weir/test/process"
	"weir.dev/weir/weirtest/awsclient"
)

const (
	goodStart = time.Second     // from start to the first answered request, on a quiet machine
	slowStart = 5 * time.Second // on any machine
	maxIdle   = 150 << 20       // resident bytes of a node that has nothing to do
)

// refused runs a command that must fail with that exit status and one line on
// standard error that has all those words.
func refused(t *testing.T, what string, code int, out process.Output, words ...string) {
	t.Helper()
	line := strings.TrimSuffix(out.Stderr, "\n")
	if out.Code != code || !strings.HasPrefix(line, "weir") || strings.Contains(line, "\n") {
		t.Errorf("%s: got status %d and %q, want status %d and one line", what, out.Code, out.Stderr, code)
	}
	for _, w := range words {
		if !strings.Contains(line, w) {
			t.Errorf("%s: %q does not say %q", what, line, w)
		}
	}
}

// serveArgs are the flags of a node at host with its data in dir.
func serveArgs(dir, host string, more ...string) []string {
	return append([]string{"serve", "--data", dir, "--aws", host + ":4566", "--console", host + ":4580", "--peer", host + ":4590"}, more...)
}

// TestRefusedStarts starts nodes that cannot run.
func TestRefusedStarts(t *testing.T) {
	t.Parallel()
	node := process.Start(t, process.Options{})
	host := process.LoopbackHost()
	dir := func(files ...string) string {
		d := t.TempDir()
		for i := 0; i < len(files); i += 2 {
			if err := os.WriteFile(filepath.Join(d, files[i]), []byte(files[i+1]), 0o600); err != nil {
				t.Fatal(err)
			}
		}
		return d
	}
	for what, c := range map[string]struct {
		args  []string
		code  int
		words []string
	}{
		"a taken port":            {serveArgs(filepath.Join(dir(), "d"), host, "--aws", node.AWS()), 1, []string{"taken", node.AWS(), "--aws"}},
		"a taken console port":    {serveArgs(filepath.Join(dir(), "d"), host, "--console", node.Console()), 1, []string{"taken", "--console"}},
		"a directory in use":      {serveArgs(node.Dir(), host), 1, []string{"in use", node.Dir()}},
		"a path below a file":     {serveArgs(filepath.Join(dir("file", ""), "file", "data"), host), 1, []string{"data directory"}},
		"a file as the directory": {serveArgs(filepath.Join(dir("file", ""), "file"), host), 1, []string{"data directory"}},
		"a foreign directory":     {serveArgs(dir("thesis.tex", "x"), host), 1, []string{"not a Weir data directory", "thesis.tex"}},
		"a newer format":          {serveArgs(dir("NODE", `{"Format":99,"ClusterID":"c","Node":1}`), host), 1, []string{"newer Weir", "99"}},
		"a broken node file":      {serveArgs(dir("NODE", "{"), host), 1, []string{"NODE"}},
		"an address that is none": {serveArgs(filepath.Join(dir(), "d"), host, "--aws", "nonsense"), 1, []string{"nonsense"}},
		"open to the world":       {serveArgs(filepath.Join(dir(), "d"), host, "--aws", "0.0.0.0:0"), 1, []string{"--insecure", "keys"}},
		"no such keys file":       {serveArgs(filepath.Join(dir(), "d"), host, "--keys", "/nonexistent/keys"), 1, []string{"access keys"}},
		"a token without a host":  {serveArgs(filepath.Join(dir(), "d"), host, "--token", "x"), 1, []string{"--join", "--token"}},
		"a token that is none":    {serveArgs(filepath.Join(dir(), "d"), host, "--join", node.Peer(), "--token", "x"), 1, []string{"token"}},
		"no such config file":     {serveArgs(filepath.Join(dir(), "d"), host, "--config", "/nonexistent/weir.yaml"), 1, []string{"configuration"}},
		"an unknown setting":      {serveArgs(filepath.Join(dir(), "d"), host, "--config", filepath.Join(dir("w.yaml", "colour: red\n"), "w.yaml")), 1, []string{"colour"}},
		"an unknown flag":         {[]string{"serve", "--colour", "red"}, 2, []string{"colour", "weir help serve"}},
		"a flag without value":    {[]string{"serve", "--data"}, 2, []string{"data"}},
		"an argument":             {[]string{"serve", "now"}, 1, []string{"now"}},
		"an unknown verb":         {[]string{"sreve"}, 2, []string{"sreve", "weir help"}},
		"help for an unknown one": {[]string{"help", "sreve"}, 2, []string{"sreve"}},
		"a log level":             {serveArgs(filepath.Join(dir(), "d"), host, "--log", "loud"), 1, []string{"loud"}},
		"no node to ask":          {[]string{"status", "--console", host + ":1"}, 1, []string{"--console"}},
		"a dump of nothing":       {[]string{"dump", "journal", "--data", dir()}, 1, nil},
		"a dump while it runs":    {[]string{"dump", "state", "--data", node.Dir()}, 1, []string{"in use"}},
		"a pipe of nothing":       {[]string{"pipe", "describe", "none", "--console", node.Console()}, 1, nil},
		"a token of no kind":      {[]string{"token", "eat"}, 1, []string{"weir token create"}},
		"no shell":                {[]string{"completion", "csh"}, 1, []string{"csh"}},
	} {
		refused(t, what, c.code, process.Run(t, nil, c.args...), c.words...)
	}
	refused(t, "an environment variable", 1, process.Run(t, []string{"WEIR_LANES=many"}, serveArgs(filepath.Join(dir(), "d"), host)...), "WEIR_LANES")
	if out := process.Run(t, nil); out.Code != 2 || !strings.Contains(out.Stderr, "usage: weir") {
		t.Errorf("weir alone: status %d, %q", out.Code, out.Stderr)
	}
	// A start that was refused left nothing behind.
	d := filepath.Join(t.TempDir(), "d")
	process.Run(t, nil, serveArgs(d, host, "--aws", node.AWS())...)
	left, err := os.ReadDir(d)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range left {
		if e.Name() != "LOCK" {
			t.Errorf("a refused start left %s", e.Name())
		}
	}
	if !node.Running() {
		t.Error("the node whose port and directory others wanted has ended")
	}
}

// TestStartAndStop measures a start, and stops and starts again: everything is
// there.
func TestStartAndStop(t *testing.T) {
	node := process.New(t, process.Options{})
	process.Binary(t)
	begun := time.Now()
	node.Start()
	client := awsclient.SQS(node.Endpoint())
	ctx := testContext(t)
	for {
		if _, err := client.ListQueues(ctx, &sqs.ListQueuesInput{}, func(o *sqs.Options) { o.Retryer = aws.NopRetryer{} }); err == nil {
			break
		} else if time.Since(begun) > 2*slowStart || !node.Running() {
			t.Fatalf("no answer: %v", err)
		}
		time.Sleep(5 * time.Millisecond) // a real process: there is nothing to wait on
	}
	took := time.Since(begun)
	t.Logf("from start to the first answered request: %v", took.Round(time.Millisecond))
	if took > goodStart {
		t.Logf("SLOW: that is more than %v; the machine is busy, or the start has become slow", goodStart)
	}
	if took > slowStart {
		t.Errorf("the start took %v, want at most %v", took, slowStart)
	}
	q := queues{t, ctx, client}
	url := q.make("kept", nil)
	q.send(url, "kept")
	time.Sleep(2 * time.Second) // let it come to rest
	rss := node.RSS()
	t.Logf("resident memory when idle: %d MiB", rss>>20)
	if rss > maxIdle {
		t.Errorf("an idle node holds %d MiB, want at most %d", rss>>20, int64(maxIdle)>>20)
	}
	if code := node.Stop(); code != 0 {
		t.Errorf("SIGTERM: exit status %d, want 0", code)
	}
	dump := process.Run(t, nil, "dump", "state", "--data", node.Dir())
	if dump.Code != 0 || len(strings.Split(dump.Stdout, "\n")) < 3 {
		t.Errorf("weir dump state: status %d, %d lines, %s", dump.Code, len(strings.Split(dump.Stdout, "\n")), dump.Stderr)
	}
	if dump := process.Run(t, nil, "dump", "journal", "--data", node.Dir()); dump.Code != 0 || dump.Stdout == "" {
		t.Errorf("weir dump journal: status %d, %q, %s", dump.Code, dump.Stdout, dump.Stderr)
	}
	node.Start()
	node.WaitReady()
	want(t, "the message after a restart", aws.ToString(q.receiveOne(url, 10).Body), "kept")
	err := filepath.WalkDir(node.Dir(), func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if !d.IsDir() {
			return nil
		}
		info, err := d.Info()
		if err == nil && info.Mode().Perm()&0o077 != 0 {
			t.Errorf("others may enter %s: %v", path, info.Mode())
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
}

// TestSettings configures nodes by the environment and by a file, and says
// which goes before which.
func TestSettings(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "weir.yaml")
	account := func(node *process.Node) string {
		t.Helper()
		out := must[*sqs.CreateQueueOutput](t)(awsclient.SQS(node.Endpoint()).CreateQueue(testContext(t), &sqs.CreateQueueInput{QueueName: aws.String("q")}))
		parts := strings.Split(*out.QueueUrl, "/")
		return parts[len(parts)-2]
	}
	if err := os.WriteFile(file, []byte("account: \"111111111111\"\ntablets: 1\ninsecure: false\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	node := process.Start(t, process.Options{Name: "file", Args: []string{"--config", file}})
	want(t, "the account in the file", account(node), "111111111111")
	status, code := node.Status()
	if code != 0 || len(status.Tablets) != 2 {
		t.Errorf("tablets: 1 made %d, and the catalog", len(status.Tablets)-1)
	}
	node = process.Start(t, process.Options{Name: "env", Args: []string{"--config", file}, Env: []string{"WEIR_ACCOUNT=222222222222"}})
	want(t, "the environment before the file", account(node), "222222222222")
	node = process.Start(t, process.Options{Name: "flag", Args: []string{"--account", "333333333333"}, Env: []string{"WEIR_ACCOUNT=222222222222", "WEIR_CONFIG=" + file}})
	want(t, "the flag before the environment", account(node), "333333333333")
}

// TestCommands asks a running node, and the binary about itself.
func TestCommands(t *testing.T) {
	t.Parallel()
	node := process.Start(t, process.Options{})
	out := node.Weir("status")
	for _, word := range []string{"cluster", "NODE", "up (asked)", "TABLET", "catalog", node.Peer()} {
		if !strings.Contains(out.Stdout, word) {
			t.Errorf("weir status does not say %q:\n%s", word, out.Stdout)
		}
	}
	if status, code := node.Status(); code != 0 {
		t.Errorf("weir status --json: exit status %d", code)
	} else if whole, what := status.Whole(1, 0); !whole {
		t.Errorf("a node alone is not whole: %s", what)
	}
	if token := node.Token(); strings.ContainsAny(token, " \n") {
		t.Errorf("the token has spaces: %q", token)
	}
	pipes(t, node)

	general := process.Run(t, nil, "help")
	verbs := verbsOf(general.Stdout)
	if general.Code != 0 || len(verbs) < 8 {
		t.Fatalf("weir help: status %d, verbs %q", general.Code, verbs)
	}
	for _, verb := range verbs {
		help := process.Run(t, nil, "help", verb)
		if help.Code != 0 || !strings.HasPrefix(help.Stdout, "usage: weir "+verb) || help.Stderr != "" {
			t.Errorf("weir help %s: status %d, %q", verb, help.Code, help.Stdout+help.Stderr)
		}
		if flag := process.Run(t, nil, verb, "--help"); flag.Code != 0 || flag.Stdout != help.Stdout {
			t.Errorf("weir %s --help differs from weir help %s", verb, verb)
		}
	}
	if v := process.Run(t, nil, "version"); v.Code != 0 || !strings.HasPrefix(v.Stdout, "weir ") {
		t.Errorf("weir version: %q", v.Stdout)
	}
	completions(t, verbs)
}

// verbsOf reads the verbs from weir help.
func verbsOf(help string) (verbs []string) {
	for line := range strings.Lines(help) {
		if fields := strings.Fields(line); strings.HasPrefix(line, "  ") && len(fields) > 1 {
			verbs = append(verbs, fields[0])
		}
	}
	return verbs
}

// completions loads the completion scripts into the shells that are there.
func completions(t *testing.T, verbs []string) {
	t.Helper()
	for _, shell := range []string{"bash", "zsh", "fish"} {
		script := process.Run(t, nil, "completion", shell)
		if script.Code != 0 {
			t.Errorf("weir completion %s: status %d", shell, script.Code)
		}
		path, err := exec.LookPath(shell)
		if err != nil {
			t.Logf("no %s here: its completion script is not tried", shell)
			continue
		}
		check := exec.Command(path, "-n")
		check.Stdin = strings.NewReader(script.Stdout)
		if out, err := check.CombinedOutput(); err != nil {
			t.Errorf("%s does not parse its completion script: %v\n%s", shell, err, out)
		}
	}
	script := process.Run(t, nil, "completion", "bash").Stdout
	use := script + "\nCOMP_WORDS=(weir se) COMP_CWORD=1 COMPREPLY=(); _weir; echo ${COMPREPLY[*]}" +
		"\nCOMP_WORDS=(weir status --js) COMP_CWORD=2 COMPREPLY=(); _weir; echo ${COMPREPLY[*]}"
	out, err := exec.Command("bash", "-c", use).CombinedOutput()
	if err != nil || string(out) != "serve\n--json\n" {
		t.Errorf("completing %q in bash gives %q, %v", verbs, out, err)
	}
}

// pipeFromStream reads a stream into a table with the weir command.
func pipeFromStream(t *testing.T, weir func(args ...string) string, d *tables) {
	t.Helper()
	weir("stream", "create", "views", "--shards", "2")
	weir("stream", "put", "views", "early", "1")
	weir("pipe", "create", "views", "--from", "stream:views", "--to", "table:posts", "--key", "pk=$key", "--update", "ADD score :n", "--value", ":n=$", "--paused")
	weir("pipe", "resume", "views")
	for _, post := range []string{"post-1", "post-2", "post-1"} {
		weir("stream", "put", "views", post, "10")
	}
	var described struct {
		From, Start string
		Progress    struct {
			Backlog    *int     `json:"backlog"`
			LagSeconds *float64 `json:"lag_seconds"`
		}
	}
	for until := time.Now().Add(20 * time.Second); ; time.Sleep(50 * time.Millisecond) { // a real process: there is nothing to wait on
		if err := json.Unmarshal([]byte(weir("pipe", "describe", "views", "--json")), &described); err != nil {
			t.Fatal(err)
		}
		if p := described.Progress; p.Backlog != nil && p.LagSeconds != nil && *p.Backlog == 0 && *p.LagSeconds == 0 {
			break
		}
		if time.Now().After(until) {
			t.Fatalf("the pipe from a stream does not catch up: %s", weir("pipe", "describe", "views"))
		}
	}
	if described.From != "stream:views" || described.Start != "oldest" {
		t.Errorf("described: %+v", described)
	}
	for post, views := range map[string]string{"early": "1", "post-1": "20", "post-2": "10"} {
		if got := show(d.get("posts", item{"pk": s(post)})); !strings.Contains(got, views) {
			t.Errorf("%s: %s, want %s", post, got, views)
		}
	}
	weir("pipe", "delete", "views")
}

// pipes makes, steers and deletes a pipe with the weir command.
func pipes(t *testing.T, node *process.Node) {
	t.Helper()
	ctx := testContext(t)
	d := tables{t, ctx, awsclient.DynamoDB(node.Endpoint())}
	q := queues{t, ctx, awsclient.SQS(node.Endpoint())}
	table, url := d.make("posts", ""), q.make("likes", nil)
	weir := func(args ...string) string {
		t.Helper()
		out := node.Weir(args...)
		if out.Code != 0 {
			t.Fatalf("weir %s: status %d: %s", strings.Join(args, " "), out.Code, out.Stderr)
		}
		return out.Stdout
	}
	weir("pipe", "create", "counts", "--from", "queue:likes", "--to", "table:posts", "--key", "pk=$.post", "--update", "ADD score :n", "--value", ":n=$.weight", "--rate", "500/s")
	sum := 0
	for i := range 20 {
		q.send(url, fmt.Sprintf(`{"post":"p","weight":%d}`, i))
		sum += i
	}
	q.send(url, "no JSON")
	deadline := time.Now().Add(20 * time.Second)
	for {
		got := d.get(table, item{"pk": s("p")})
		if score, ok := got["score"].(*num); ok && score.Value == fmt.Sprint(sum) {
			break
		}
		if time.Now().After(deadline) {
			t.Fatalf("the pipe made %s, want a score of %d\n%s", show(got), sum, weir("pipe", "describe", "counts"))
		}
		time.Sleep(50 * time.Millisecond) // a real process: there is nothing to wait on
	}
	dead := q.receiveOne(must[*sqs.GetQueueUrlOutput](t)(q.c.GetQueueUrl(ctx, &sqs.GetQueueUrlInput{QueueName: aws.String("counts-dead")})).QueueUrl, 10)
	want(t, "the dead letter", aws.ToString(dead.Body), "no JSON")
	weir("pipe", "pause", "counts")
	if out := weir("pipe", "list"); !strings.Contains(out, "counts") || !strings.Contains(out, "paused") || !strings.Contains(out, "500/s") {
		t.Errorf("weir pipe list:\n%s", out)
	}
	weir("pipe", "rate", "counts", "50/s")
	weir("pipe", "resume", "counts")
	var described struct{ Rate float64 }
	if err := json.Unmarshal([]byte(weir("pipe", "describe", "counts", "--json")), &described); err != nil || described.Rate != 50 {
		t.Errorf("the pipe's rate is %v, %v, want 50", described.Rate, err)
	}
	refused(t, "a pipe made twice", 1, node.Weir("pipe", "create", "counts", "--from", "queue:likes", "--to", "table:posts", "--key", "pk=$.post", "--update", "ADD score :n", "--value", ":n=$.weight"), "counts")
	refused(t, "a pipe from nowhere", 1, node.Weir("pipe", "create", "other", "--from", "queue:nowhere", "--to", "table:posts", "--key", "pk=$.post", "--update", "ADD score :n", "--value", ":n=$.weight"), "nowhere")
	pipeFromStream(t, weir, &d)
	weir("pipe", "delete", "counts")
	if out := weir("pipe", "list"); strings.Contains(out, "counts") {
		t.Errorf("a deleted pipe is listed:\n%s", out)
	}
}
