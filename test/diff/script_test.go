package diff

import (
	"fmt"
	"os"
	"regexp"
	"strconv"
	"strings"
	"testing"
)

// A scenario is a sequence of requests that build on each other.
type scenario struct {
	name  string
	steps []step
}

// A step is one request: an operation's name, "-" for none, and a body, which
// need not be JSON. Of the answer it keeps values for the steps that follow.
type step struct {
	id    string // "SCENARIO NUMBER OPERATION"
	until string // ask again until the answer contains this; "" asks once
	op    string
	body  string
	keep  []kept
}

// kept names the value at a path of the answer, as Messages.0.ReceiptHandle.
type kept struct {
	name, path string
}

// readScript reads scenarios: a line "case NAME" begins one, each line after it
// is a step "OPERATION BODY => NAME=PATH ...", perhaps with "until TEXT " before
// it, and # begins a comment.
func readScript(t *testing.T, path string) []scenario {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	scenarios, err := parseScript(string(text))
	if err != nil {
		t.Fatalf("%s: %v", path, err)
	}
	return scenarios
}

func parseScript(text string) ([]scenario, error) {
	var all []scenario
	seen := map[string]bool{}
	for i, line := range strings.Split(text, "\n") {
		line = strings.TrimSpace(line)
		if line == "" || strings.HasPrefix(line, "#") {
			continue
		}
		if name, ok := strings.CutPrefix(line, "case "); ok {
			if seen[name] {
				return nil, fmt.Errorf("line %d: a second case %s", i+1, name)
			}
			seen[name] = true
			all = append(all, scenario{name: name})
			continue
		}
		if len(all) == 0 {
			return nil, fmt.Errorf("line %d: a step before the first case", i+1)
		}
		c := &all[len(all)-1]
		s, err := parseStep(line)
		if err != nil {
			return nil, fmt.Errorf("line %d: %w", i+1, err)
		}
		s.id = fmt.Sprintf("%s %d %s", c.name, len(c.steps)+1, s.op)
		c.steps = append(c.steps, s)
	}
	return all, nil
}

func parseStep(line string) (step, error) {
	var s step
	if rest, ok := strings.CutPrefix(line, "until "); ok {
		s.until, line, _ = strings.Cut(rest, " ")
	}
	line, keep, _ := strings.Cut(line, " => ")
	s.op, s.body, _ = strings.Cut(line, " ")
	for field := range strings.FieldsSeq(keep) {
		name, path, ok := strings.Cut(field, "=")
		if !ok {
			return s, fmt.Errorf("%q is not NAME=PATH", field)
		}
		s.keep = append(s.keep, kept{name, path})
	}
	return s, nil
}

// variable is ${NAME}, or ${TEXT*COUNT} for a text that is repeated.
var variable = regexp.MustCompile(`\$\{(?:(\w+)|([^}]+)\*(\d+))\}`)

// fill puts values in place of a body's variables. One without a value becomes
// a text that no server knows, as its step had no such answer.
func fill(body string, values map[string]string) string {
	return variable.ReplaceAllStringFunc(body, func(v string) string {
		m := variable.FindStringSubmatch(v)
		if m[1] != "" {
			if value, ok := values[m[1]]; ok {
				return value
			}
			return "no-" + m[1]
		}
		n, _ := strconv.Atoi(m[3]) // the expression allows digits only
		return strings.Repeat(m[2], n)
	})
}

func TestScript(t *testing.T) {
	got, err := parseScript("# c\ncase a\n  Op {\"x\":\"${q}\"} => q=A.0.B r=C\n  until X - ${ab*2}|${none}\n")
	if err != nil || len(got) != 1 || len(got[0].steps) != 2 {
		t.Fatalf("got %+v, %v", got, err)
	}
	first, second := got[0].steps[0], got[0].steps[1]
	if first.id != "a 1 Op" || first.keep[0] != (kept{"q", "A.0.B"}) || first.keep[1] != (kept{"r", "C"}) {
		t.Errorf("first step: %+v", first)
	}
	if body := fill(first.body, map[string]string{"q": "v"}); body != `{"x":"v"}` {
		t.Errorf("first body: %s", body)
	}
	if body := fill(second.body, nil); second.op != "-" || second.until != "X" || body != "abab|no-none" {
		t.Errorf("second step: %s %s", second.op, body)
	}
	for _, bad := range []string{"Op {}", "case a\ncase a", "case a\nOp {} => q"} {
		if _, err := parseScript(bad); err == nil {
			t.Errorf("%q is accepted", bad)
		}
	}
}
