package diff

import (
	"encoding/json"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// An answer is what a server said, as lines that can be compared: its status,
// then its error or one line for each value, in order of their paths.
type answer struct {
	lines  []string
	parsed any // the body as it was, for values that are kept
}

// readAnswer makes the lines of a response. What no two servers can agree on
// is replaced by its kind: ids, times, tokens, addresses.
func readAnswer(status int, queryError string, body []byte) answer {
	a := answer{lines: []string{"status " + strconv.Itoa(status)}}
	if len(body) == 0 {
		body = []byte("{}")
	}
	if err := json.Unmarshal(body, &a.parsed); err != nil {
		a.lines = append(a.lines, "body is not JSON")
		return a
	}
	fields, _ := a.parsed.(map[string]any)
	if code, ok := fields["__type"].(string); ok || status >= 400 {
		if _, name, ok := strings.Cut(code, "#"); ok {
			code = name
		}
		a.lines = append(a.lines, "error "+code)
		if queryError != "" {
			a.lines = append(a.lines, "query error "+queryError)
		}
		for _, name := range []string{"message", "Message"} {
			if text, ok := fields[name].(string); ok {
				a.lines = append(a.lines, "message "+anonymous("message", text))
				break
			}
		}
		return a
	}
	a.lines = append(a.lines, flatten("", "", a.parsed)...)
	return a
}

// unordered are lists whose order means nothing, by the operations' contracts.
var unordered = []string{"Messages", "Successful", "Failed", "QueueUrls", "queueUrls"}

// flatten returns a line for each value, "PATH = VALUE".
func flatten(path, key string, v any) []string {
	var lines []string
	switch v := v.(type) {
	case map[string]any:
		for _, k := range slices.Sorted(maps.Keys(v)) {
			lines = append(lines, flatten(strings.TrimPrefix(path+"."+k, "."), k, v[k])...)
		}
		if len(v) == 0 && path != "" {
			lines = []string{path + " = {}"}
		}
	case []any:
		elements := make([][]string, len(v))
		for i, e := range v {
			elements[i] = flatten("", key, e)
		}
		if slices.Contains(unordered, key) {
			slices.SortFunc(elements, slices.Compare)
		}
		for i, e := range elements {
			for _, line := range e {
				separator := "."
				if strings.HasPrefix(line, " =") {
					separator = ""
				}
				lines = append(lines, fmt.Sprintf("%s.%d%s%s", path, i, separator, line))
			}
		}
		if len(v) == 0 {
			lines = []string{path + " = []"}
		}
	case string:
		lines = []string{path + " = " + strconv.Quote(anonymous(key, v))}
	default:
		text, _ := json.Marshal(v) // of a number, a truth or null it cannot fail
		if number, ok := v.(float64); ok && (number > 1e9 || key == "MillisBehindLatest") {
			text = []byte("<time>")
		}
		lines = []string{path + " = " + string(text)}
	}
	return lines
}

// words is a line that says what is wrong, in a server's own words.
var words = regexp.MustCompile(`^message |^Failed\.\d+\.Message = `)

// withoutWords leaves out what errors say, but not which errors they are.
func withoutWords(lines []string) []string {
	return slices.DeleteFunc(slices.Clone(lines), words.MatchString)
}

var (
	uuid      = regexp.MustCompile(`[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}`)
	queueURL  = regexp.MustCompile(`https?://[^/ ]+/\d{12}/`)
	account   = regexp.MustCompile(`(account |:)\d{12}\b`)
	timestamp = regexp.MustCompile(`^\d{10}(\d{3})?$`)
	sequence  = regexp.MustCompile(`^\d{20}$|^\d{56}$`)
)

// opaque are values that only their server can read.
var opaque = []string{"ReceiptHandle", "NextToken", "TaskHandle", "ShardIterator", "NextShardIterator", "SenderId", "TableId", "StreamId"}

// anonymous replaces the parts of a text that no two servers can agree on.
func anonymous(key, text string) string {
	switch {
	case slices.Contains(opaque, key):
		return "<" + key + ">"
	case timestamp.MatchString(text):
		return fmt.Sprintf("<%d digits of time>", len(text))
	case sequence.MatchString(text):
		return fmt.Sprintf("<%d digits of sequence>", len(text))
	}
	text = queueURL.ReplaceAllString(text, "<url>/")
	text = uuid.ReplaceAllString(text, "<uuid>")
	return account.ReplaceAllString(text, "$1<account>")
}

// at is the value at a path, as a request would send it again.
func at(v any, path string) (string, bool) {
	for part := range strings.SplitSeq(path, ".") {
		switch x := v.(type) {
		case map[string]any:
			v = x[part]
		case []any:
			i, err := strconv.Atoi(part)
			if err != nil || i >= len(x) {
				return "", false
			}
			v = x[i]
		default:
			return "", false
		}
	}
	text, ok := v.(string)
	return text, ok
}

func TestAnswer(t *testing.T) {
	for _, c := range []struct{ body, want string }{
		{``, "status 200"},
		{`nonsense`, "status 200|body is not JSON"},
		{`{"b":[],"a":{"Messages":[{"Body":"y"},{"Body":"x","ReceiptHandle":"r"}]}}`,
			`status 200|a.Messages.0.Body = "x"|a.Messages.0.ReceiptHandle = "<ReceiptHandle>"|a.Messages.1.Body = "y"|b = []`},
		{`{"n":1.5,"t":1700000000000,"u":"http://h:1/000000000000/q","l":["2","1"]}`,
			`status 200|l.0 = "2"|l.1 = "1"|n = 1.5|t = <time>|u = "<url>/q"`},
		{`{"__type":"a.b#Wrong","message":"account 123456789012 shardId-000000000001"}`, "status 200|error Wrong|message account <account> shardId-000000000001"},
	} {
		if got := strings.Join(readAnswer(200, "", []byte(c.body)).lines, "|"); got != c.want {
			t.Errorf("%s: got %s, want %s", c.body, got, c.want)
		}
	}
	a := readAnswer(200, "", []byte(`{"A":[{"B":"v"}]}`))
	if v, ok := at(a.parsed, "A.0.B"); !ok || v != "v" {
		t.Errorf("A.0.B: %q, %v", v, ok)
	}
	if _, ok := at(a.parsed, "A.1.B"); ok {
		t.Error("A.1.B is there")
	}
}
