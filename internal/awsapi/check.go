package awsapi

import (
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"unicode/utf8"
)

// maxFailures is how many failed constraints one answer names, as AWS does.
const maxFailures = 10

// Check collects the constraints that a request breaks, worded as AWS words
// them. Generated Validate methods drive it: they enter lists, maps and
// structures and check each member, in the model's order.
type Check struct {
	path     []segment
	failures []string
	missing  string
}

// segment is one step from the request to a member: a name, or an element.
type segment struct {
	name  string
	index int // 1-based; 0 when name counts
}

// Enter steps into a member.
func (c *Check) Enter(name string) { c.path = append(c.path, segment{name: name}) }

// EnterIndex steps into the element of a list, counted from 0.
func (c *Check) EnterIndex(i int) { c.path = append(c.path, segment{index: i + 1}) }

// EnterKey steps into a map's value.
func (c *Check) EnterKey(key string) { c.path = append(c.path, segment{name: key + ".member"}) }

// Leave steps back.
func (c *Check) Leave() { c.path = c.path[:len(c.path)-1] }

// Error is the ValidationException for what was found, or nil.
func (c *Check) Error() *Error {
	n := len(c.failures)
	if n == 0 {
		return nil
	}
	plural := ""
	if n > 1 {
		plural = "s"
	}
	return Validation(strconv.Itoa(n) + " validation error" + plural + " detected: " + strings.Join(c.failures, "; "))
}

// fail notes one failure. The value is quoted unless it is null.
func (c *Check) fail(name, value, constraint string) {
	c.refuse(name, value, "Member must "+constraint)
}

func (c *Check) refuse(name, value, constraint string) {
	if len(c.failures) == maxFailures {
		return
	}
	var b strings.Builder
	b.WriteString("Value ")
	b.WriteString(value)
	b.WriteString(" at '")
	for i, s := range c.path {
		if i > 0 {
			b.WriteByte('.')
		}
		if s.index > 0 {
			b.WriteString(strconv.Itoa(s.index))
			b.WriteString(".member")
		} else {
			b.WriteString(s.name)
		}
	}
	if len(c.path) > 0 && name != "" {
		b.WriteByte('.')
	}
	b.WriteString(name)
	b.WriteString("' failed to satisfy constraint: ")
	b.WriteString(constraint)
	c.failures = append(c.failures, b.String())
}

// maxShownBytes bounds how much of a refused value an error repeats.
const maxShownBytes = 512

func quoted(s string) string {
	if len(s) > maxShownBytes {
		n := maxShownBytes
		for n > 0 && !utf8.RuneStart(s[n]) {
			n--
		}
		s = s[:n] + "..."
	}
	return "'" + s + "'"
}

// Null notes that a required member is not there.
func (c *Check) Null(name string) {
	c.fail(name, "null", "not be null")
	if c.missing == "" {
		c.missing = name
	}
}

// Missing is the name of the first required member that is not there, with a
// small first letter and without its path; "" when all are. It is for
// services that word this themselves.
func (c *Check) Missing() string { return c.missing }

// Length checks a text's length in characters; max 0 is no limit.
func (c *Check) Length(name, s string, min, max int) {
	n := len(s)
	if max > 0 && n > max || n < 4*min { // bytes leave it open: count characters
		n = utf8.RuneCountInString(s)
	}
	if n < min || max > 0 && n > max {
		c.count(name, quoted(s), n, min, max)
	}
}

// Bytes checks the length of a blob; max 0 is no limit.
func (c *Check) Bytes(name string, n, min, max int) {
	if n >= min && (max == 0 || n <= max) {
		return
	}
	c.count(name, "'java.nio.HeapByteBuffer[pos=0 lim="+strconv.Itoa(n)+" cap="+strconv.Itoa(n)+"]'", n, min, max)
}

// ListLength checks a list's number of elements; max 0 is no limit.
func (c *Check) ListLength(name string, n, min, max int) {
	if n < min || max > 0 && n > max {
		c.count(name, collection(n, "[", "]"), n, min, max)
	}
}

// MapLength checks a map's number of keys; max 0 is no limit.
func (c *Check) MapLength(name string, n, min, max int) {
	if n < min || max > 0 && n > max {
		c.count(name, collection(n, "{", "}"), n, min, max)
	}
}

// collection stands for a list or map: its elements are the client's data and
// are not repeated.
func collection(n int, open, close string) string {
	if n == 0 {
		return "'" + open + close + "'"
	}
	return "'" + open + "..." + close + "'"
}

func (c *Check) count(name, value string, n, min, max int) {
	if n < min {
		c.fail(name, value, "have length greater than or equal to "+strconv.Itoa(min))
	}
	if max > 0 && n > max {
		c.fail(name, value, "have length less than or equal to "+strconv.Itoa(max))
	}
}

// Min checks a number's lower bound.
func (c *Check) Min(name string, v, min int64) {
	if v < min {
		c.fail(name, "'"+strconv.FormatInt(v, 10)+"'", "have value greater than or equal to "+strconv.FormatInt(min, 10))
	}
}

// Max checks a number's upper bound.
func (c *Check) Max(name string, v, max int64) {
	if v > max {
		c.fail(name, "'"+strconv.FormatInt(v, 10)+"'", "have value less than or equal to "+strconv.FormatInt(max, 10))
	}
}

// Enum checks that a text is one of a set.
func (c *Check) Enum(name, s string, set []string) {
	if !slices.Contains(set, s) {
		c.fail(name, quoted(s), "satisfy enum value set: ["+strings.Join(set, ", ")+"]")
	}
}

// Pattern is a regular expression of the model, compiled when first needed.
type Pattern struct {
	text  string
	match func(string) bool
}

// NewPattern returns the pattern; its text must be valid. Those that every
// record of a stream is held to are matched by hand.
func NewPattern(text string) *Pattern {
	if text == namePattern {
		return &Pattern{text, isTableName}
	}
	if digits, ok := strings.CutPrefix(text, decimalPattern); ok {
		if n, err := strconv.Atoi(strings.TrimSuffix(digits, "})")); err == nil {
			return &Pattern{text, func(s string) bool { return isDecimal(s, n+1) }}
		}
	}
	compiled := sync.OnceValue(func() *regexp.Regexp { return regexp.MustCompile(`^(?:` + text + `)$`) })
	return &Pattern{text, func(s string) bool { return compiled().MatchString(s) }}
}

const (
	namePattern    = `[a-zA-Z0-9_.-]+`
	decimalPattern = `0|([1-9]\d{0,` // and a number, and })
)

// isDecimal reports whether s is a whole number of at most so many digits,
// without zeros before it.
func isDecimal(s string, digits int) bool {
	if len(s) == 0 || len(s) > digits || s[0] == '0' && len(s) > 1 {
		return false
	}
	for i := range len(s) {
		if s[i]-'0' > 9 {
			return false
		}
	}
	return true
}

// Pattern checks that all of a text matches.
func (c *Check) Pattern(name, s string, p *Pattern) {
	if !p.match(s) {
		c.fail(name, quoted(s), "satisfy regular expression pattern: "+p.text)
	}
}

// TableName checks a table's name or ARN. The model allows any text of up to
// 1,024 characters since ARNs are taken; for what is no ARN the service still
// answers with the constraints of a name.
func (c *Check) TableName(name, s string) {
	if strings.HasPrefix(s, "arn:") {
		c.Length(name, s, 1, 1024)
		return
	}
	if len(s) >= 3 && len(s) <= 255 && isTableName(s) {
		return
	}
	if !isTableName(s) {
		c.fail(name, quoted(s), "satisfy regular expression pattern: [a-zA-Z0-9_.-]+")
	}
	c.count(name, quoted(s), utf8.RuneCountInString(s), 3, 255)
}

// TableKey checks a table's name or ARN that is the key of a map.
func (c *Check) TableKey(name, key string) {
	if strings.HasPrefix(key, "arn:") || len(key) >= 3 && len(key) <= 255 && isTableName(key) {
		return
	}
	c.Together(name, "Map keys", "Member must have length less than or equal to 255, "+
		"Member must have length greater than or equal to 3, Member must satisfy regular expression pattern: [a-zA-Z0-9_.-]+")
}

// Together notes that an element of a list (what is Member), or a key (Map keys)
// or value (Map value) of a map, is refused, and the rules for all of them.
func (c *Check) Together(name, what, rules string) {
	open, close := "[", "]"
	if what != "Member" {
		open, close = "{", "}"
	}
	c.refuse(name, collection(1, open, close), what+" must satisfy constraint: ["+rules+"]")
}

// HasLength reports whether a text has from min to max characters.
func HasLength(s string, min, max int) bool {
	n := utf8.RuneCountInString(s)
	return n >= min && n <= max
}

// OneOf reports whether a text is one of a set.
func OneOf(s string, set []string) bool { return slices.Contains(set, s) }

func isTableName(s string) bool {
	for i := range len(s) {
		switch c := s[i]; {
		case c-'0' <= 9, c|0x20 >= 'a' && c|0x20 <= 'z', c == '_', c == '.', c == '-':
		default:
			return false
		}
	}
	return s != ""
}
