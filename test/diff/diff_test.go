package diff

import (
	"bufio"
	"bytes"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"weir.dev/weir/test/javascript"
	"weir.dev/weir/test/process"
)

// An api is what is compared, and with whom.
type api struct {
	name    string // of its files, and in signatures
	peer    string // as peers/serve.mjs calls it
	target  string // what X-Amz-Target begins with
	content string // media type of requests
	wording bool   // compare the words of errors, too: the peer copies AWS's
}

func TestSQS(t *testing.T) {
	t.Parallel()
	compare(t, api{"sqs", "fauxqs", "AmazonSQS.", "application/x-amz-json-1.0", false})
}

// compare sends an API's scenarios to a Weir and to the peer, both fresh.
func compare(t *testing.T, a api) {
	scenarios := readScript(t, filepath.Join("testdata", a.name+".requests"))
	listPath := filepath.Join("testdata", a.name+".differences")
	listed := readList(t, listPath)
	weir := process.Start(t, process.Options{})
	other := startPeer(t, a.peer)
	var found []difference
	steps := 0
	for _, c := range scenarios {
		values := [2]map[string]string{{"case": c.name}, {"case": c.name}}
		for _, s := range c.steps {
			var answers [2]answer
			for i, endpoint := range []string{weir.Endpoint(), other} {
				answers[i] = a.ask(t, endpoint, s, values[i])
				for _, k := range s.keep {
					if value, ok := at(answers[i].parsed, k.path); ok {
						values[i][k.name] = value
					}
				}
			}
			ours, theirs := answers[0].lines, answers[1].lines
			if !a.wording {
				ours, theirs = withoutWords(ours), withoutWords(theirs)
			}
			ours, theirs = listed.translate(ours, theirs)
			if d, ok := differ(s.id, ours, theirs); ok {
				found = append(found, d)
			}
			steps++
		}
	}
	wrong := listed.check(found)
	t.Logf("%s: %d requests, %d differences from %s", a.name, steps, len(found), a.peer)
	if os.Getenv("WEIR_DIFF_WRITE") != "" {
		if err := os.WriteFile(listPath, []byte(listed.with(found)), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	for _, w := range wrong {
		t.Errorf("%s", w)
	}
}

var client = &http.Client{Timeout: 30 * time.Second}

// untilTimeout bounds how long a server may take to do what it has begun.
const untilTimeout = 10 * time.Second

// ask sends one step to a server, again and again if the step says so.
func (a api) ask(t *testing.T, endpoint string, s step, values map[string]string) answer {
	t.Helper()
	last := time.Now().Add(untilTimeout)
	for {
		answer := a.askOnce(t, endpoint, s, values)
		if s.until == "" || time.Now().After(last) || strings.Contains(strings.Join(answer.lines, "\n"), s.until) {
			return answer
		}
		time.Sleep(10 * time.Millisecond) // the other one sends no signal
	}
}

func (a api) askOnce(t *testing.T, endpoint string, s step, values map[string]string) answer {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, endpoint+"/", strings.NewReader(fill(s.body, values)))
	if err != nil {
		t.Fatal(err)
	}
	now := time.Now().UTC()
	req.Header.Set("Content-Type", a.content)
	if s.op != "-" {
		req.Header.Set("X-Amz-Target", a.target+s.op)
	}
	req.Header.Set("X-Amz-Date", now.Format("20060102T150405Z"))
	req.Header.Set("Authorization", "AWS4-HMAC-SHA256 Credential=any/"+now.Format("20060102")+"/us-east-1/"+a.name+
		"/aws4_request, SignedHeaders=content-type;host;x-amz-date;x-amz-target, Signature="+strings.Repeat("0", 64))
	resp, err := client.Do(req)
	if err != nil {
		t.Fatalf("%s at %s: %v", s.id, endpoint, err)
	}
	defer func() { _ = resp.Body.Close() }()
	body, err := io.ReadAll(io.LimitReader(resp.Body, 16<<20))
	if err != nil {
		t.Fatalf("%s at %s: %v", s.id, endpoint, err)
	}
	return readAnswer(resp.StatusCode, resp.Header.Get("X-Amzn-Query-Error"), body)
}

// startPeer starts another implementation and returns its endpoint. It ends
// with the test, or when the test's process does, as its standard input then
// ends.
func startPeer(t *testing.T, name string) string {
	t.Helper()
	program := javascript.Program(t, "test/diff/peers")
	host := process.LoopbackHost()
	cmd := exec.CommandContext(t.Context(), program, filepath.Join("peers", "serve.mjs"), name, host, "4566")
	cmd.Env = process.Environ()
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	stdin, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatalf("cannot start %s: %v", name, err)
	}
	line, err := bufio.NewReader(stdout).ReadString('\n')
	t.Cleanup(func() {
		_ = stdin.Close()
		_ = cmd.Wait() // its end was asked for
	})
	if strings.TrimSpace(line) != "ready" {
		_ = stdin.Close()
		t.Fatalf("%s does not serve: %v\n%s", name, err, stderr.String())
	}
	return "http://" + host + ":4566"
}

func TestDynamoDB(t *testing.T) {
	t.Parallel()
	compare(t, api{"dynamodb", "dynalite", "DynamoDB_20120810.", "application/x-amz-json-1.0", true})
}

func TestKinesis(t *testing.T) {
	t.Parallel()
	compare(t, api{"kinesis", "kinesalite", "Kinesis_20131202.", "application/x-amz-json-1.1", true})
}
