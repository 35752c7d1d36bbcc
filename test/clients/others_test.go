package clients

import (
	"bytes"
	"context"
	"errors"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"weir.dev/weir/test/process"
)

// scriptTimeout bounds one script in another language. The AWS CLI takes half
// a second for each command, and more on a busy machine.
const scriptTimeout = 5 * time.Minute

// installed finds all programs of a name in PATH and in the places where
// packages put them, each once, for which the probe succeeds.
func installed(t *testing.T, name string, probe ...string) []string {
	t.Helper()
	var found []string
	seen := map[string]bool{}
	for _, dir := range append(filepath.SplitList(os.Getenv("PATH")), "/usr/bin", "/usr/local/bin") {
		path := filepath.Join(dir, name)
		real, err := filepath.EvalSymlinks(path)
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		out, err := run(t, nil, path, probe...)
		if err != nil {
			t.Logf("%s is of no use here: %s", path, lastLine(out))
			continue
		}
		if strings.HasPrefix(real, "/") && !seen[out] {
			seen[out] = true
			t.Logf("found %s: %s", path, strings.TrimSpace(out))
			found = append(found, path)
		}
	}
	return found
}

// run runs a program and returns all that it printed.
func run(t *testing.T, env []string, program string, args ...string) (string, error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), scriptTimeout)
	defer cancel()
	cmd := exec.CommandContext(ctx, program, args...)
	cmd.Env = append(process.Environ(), env...)
	cmd.WaitDelay = time.Second
	out, err := cmd.CombinedOutput()
	return string(out), err
}

func lastLine(s string) string {
	lines := strings.Split(strings.TrimSpace(s), "\n")
	return lines[len(lines)-1]
}

// missing says loudly that a client is not there, and fails where everything
// must be there.
func missing(t *testing.T, what, remedy string) {
	t.Helper()
	if os.Getenv("CI") != "" {
		t.Fatalf("%s is not installed, and CI must test with it: %s", what, remedy)
	}
	t.Skipf("NOT TESTED: %s is not installed. %s", what, remedy)
}

// TestBoto3 runs the checks in python/ with every Python that has boto3.
func TestBoto3(t *testing.T) {
	t.Parallel()
	const probe = "import boto3, botocore, sys; print('boto3', boto3.__version__, 'for Python', sys.version.split()[0]); " +
		"sys.exit(not hasattr(boto3, 'client'))"
	pythons := installed(t, "python3", "-c", probe)
	if len(pythons) == 0 {
		missing(t, "boto3", "On Debian: apt-get install python3-boto3")
	}
	var (
		mu        sync.Mutex // guards protocols
		protocols []string
	)
	check := func(t *testing.T, python, script string) {
		t.Parallel() // they wait, most of the time
		node := process.Start(t, process.Options{})
		out, err := run(t, []string{"WEIR_ENDPOINT=" + node.Endpoint(), "WEIR_PREFIX=py", "PYTHONDONTWRITEBYTECODE=1"}, python, filepath.Join("python", script))
		if err != nil {
			t.Fatalf("%v\n%s", err, out)
		}
		first, _, _ := strings.Cut(out, "\n")
		t.Logf("%s: %s", first, lastLine(out))
		if _, protocol, ok := strings.Cut(first, "protocol "); ok {
			mu.Lock()
			defer mu.Unlock()
			protocols = append(protocols, protocol)
		}
	}
	t.Run("checks", func(t *testing.T) { // ends when all have
		for _, python := range pythons {
			for _, script := range []string{"dynamodb_check.py", "sqs_check.py", "sqs_fifo_check.py", "kinesis_check.py"} {
				t.Run(strings.Trim(python, "/")+"/"+script, func(t *testing.T) { check(t, python, script) })
			}
		}
	})
	for _, protocol := range []string{"query", "json"} {
		if !slices.Contains(protocols, protocol) {
			t.Logf("NOT TESTED: no boto3 here speaks the %s protocol to SQS", protocol)
			if os.Getenv("CI") != "" { // Debian's speaks query, PyPI's JSON
				t.Errorf("CI must test the %s protocol", protocol)
			}
		}
	}
}

// TestCelery runs python/celery_check.py with every Python that has Celery and
// what its transport for SQS needs.
func TestCelery(t *testing.T) {
	t.Parallel()
	const probe = "import boto3, celery, kombu.asynchronous.aws.sqs.connection, pycurl, sys; " +
		"print('Celery', celery.__version__, 'for Python', sys.version.split()[0])"
	pythons := installed(t, "python3", "-c", probe)
	if len(pythons) == 0 {
		missing(t, "Celery with its transport for SQS", "On Debian: apt-get install python3-celery python3-pycurl python3-boto3")
	}
	for _, python := range pythons {
		t.Run(strings.Trim(python, "/"), func(t *testing.T) {
			t.Parallel()
			node := process.Start(t, process.Options{})
			env := []string{"WEIR_ENDPOINT=" + node.Endpoint(), "PYTHONDONTWRITEBYTECODE=1", "PYTHONWARNINGS=ignore"}
			out, err := run(t, env, python, filepath.Join("python", "celery_check.py"))
			if err != nil {
				t.Fatalf("%v\n%s", err, out)
			}
			first, _, _ := strings.Cut(out, "\n")
			t.Logf("%s: %s", first, lastLine(out))
		})
	}
}

// TestAWSCLI runs awscli/NAME.sh with every AWS CLI that is there, each with a
// node of its own: a CLI takes most of a second for each command.
func TestAWSCLI(t *testing.T) {
	t.Parallel()
	clis := installed(t, "aws", "--version")
	if len(clis) == 0 {
		missing(t, "the AWS CLI", "On Debian: apt-get install awscli")
	}
	for _, cli := range clis {
		for _, name := range []string{"tables", "queues", "streams"} {
			t.Run(strings.Trim(cli, "/")+"/"+name, func(t *testing.T) {
				t.Parallel()
				runAWSCLI(t, cli, name)
			})
		}
	}
}

func runAWSCLI(t *testing.T, cli, name string) {
	t.Helper()
	expected, err := os.ReadFile(filepath.Join("awscli", name+".expected"))
	if err != nil {
		t.Fatal(err)
	}
	node := process.Start(t, process.Options{})
	out, err := run(t, []string{
		"AWS=" + cli, "WEIR_ENDPOINT=" + node.Endpoint(), "AWS_ACCESS_KEY_ID=any", "AWS_SECRET_ACCESS_KEY=any",
		"AWS_DEFAULT_REGION=us-east-1", "AWS_PAGER=", "AWS_CONFIG_FILE=" + os.DevNull, "AWS_SHARED_CREDENTIALS_FILE=" + os.DevNull,
		"AWS_EC2_METADATA_DISABLED=true",
	}, filepath.Join("awscli", name+".sh"))
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	got := strings.ReplaceAll(out, node.Endpoint(), "ENDPOINT")
	if got != string(expected) {
		t.Errorf("the output differs from awscli/%s.expected:\n%s", name, firstDifference(string(expected), got))
	}
}

// firstDifference shows where two texts part.
func firstDifference(want, got string) string {
	w, g := strings.SplitAfter(want, "\n"), strings.SplitAfter(got, "\n")
	at := 0
	for at < len(w) && at < len(g) && w[at] == g[at] {
		at++
	}
	var b bytes.Buffer
	b.WriteString("want:\n" + strings.Join(w[max(0, at-3):min(len(w), at+5)], ""))
	b.WriteString("got:\n" + strings.Join(g[max(0, at-3):min(len(g), at+5)], ""))
	return b.String()
}
