package service

import (
	"strings"
	"unicode/utf8"

	"weir.dev/weir/internal/model"
)

// SQS's limits on messages.
const (
	maxMessageAttributes  = 10
	maxAttributeNameBytes = 256 // names and types must be shorter
	maxDelaySeconds       = 900
)

// size is the message's size in bytes as SQS counts it: the body, and the
// names, types and values of the attributes.
func (m *OutgoingMessage) size() int {
	n := len(m.Body)
	for i := range m.Attributes {
		a := &m.Attributes[i]
		n += len(a.Name) + len(a.DataType) + len(a.Value)
	}
	return n
}

// check holds the message to the rules that do not depend on what is stored.
func (m *OutgoingMessage) check(spec *model.QueueSpec) error {
	if m.Body == "" {
		return queueFault(FaultMissing, "The request must contain the parameter MessageBody.")
	}
	if m.Delay != nil && (*m.Delay < 0 || *m.Delay > maxDelaySeconds) {
		return badParameter("DelaySeconds", *m.Delay, "DelaySeconds must be >= 0 and <= 900.")
	}
	if err := checkContents(m.Body, "message body"); err != nil {
		return err
	}
	if err := m.checkOrder(spec); err != nil {
		return err
	}
	if len(m.Attributes) > maxMessageAttributes {
		return queueFault(FaultParameter, "Number of message attributes [%d] exceeds the allowed maximum [%d].", len(m.Attributes), maxMessageAttributes)
	}
	for i := range m.Attributes {
		if err := checkAttribute(&m.Attributes[i]); err != nil {
			return err
		}
	}
	if m.TraceHeader != "" {
		if err := checkContents(m.TraceHeader, "message system attribute 'AWSTraceHeader'"); err != nil {
			return err
		}
	}
	if limit := spec.MaximumMessageSize; int64(m.size()) > limit {
		return queueFault(FaultParameter, "One or more parameters are invalid. Reason: Message must be shorter than %d bytes.", limit)
	}
	return nil
}

func checkAttribute(a *model.MessageAttr) error {
	if err := checkAttributeName(a.Name); err != nil {
		return err
	}
	if a.DataType == "" && a.Value == "" {
		return queueFault(FaultParameter, "The message (user) attribute '%s' must contain a non-empty message attribute value.", a.Name)
	}
	if a.DataType == "" {
		return queueFault(FaultParameter, "Message (user) attribute '%s' must contain a non-empty attribute type.", a.Name)
	}
	if len(a.DataType) >= maxAttributeNameBytes {
		return queueFault(FaultParameter, "Message (user) attribute type must be shorter than 256 bytes.")
	}
	base, label, labelled := strings.Cut(a.DataType, ".")
	switch base {
	case "String", "Number", "Binary":
	default:
		return queueFault(FaultParameter, "The type of message (user) attribute '%s' is invalid. "+
			"You must use only the following supported type prefixes: Binary, Number, String.", a.Name)
	}
	if labelled && (label == "" || checkContents(label, "") != nil) {
		return queueFault(FaultParameter, "The type of message (user) attribute '%s' is invalid.", a.Name)
	}
	if a.Value == "" {
		return queueFault(FaultParameter, "Message (user) attribute '%s' must contain a non-empty value of type '%s'.", a.Name, base)
	}
	switch base {
	case "Number":
		if !isNumber(a.Value) {
			return queueFault(FaultParameter, "Can't cast the value of message (user) attribute '%s' to a number.", a.Name)
		}
	case "String":
		return checkContents(a.Value, "message (user) attribute '"+a.Name+"'")
	}
	return nil
}

func checkAttributeName(name string) error {
	switch {
	case name == "":
		return queueFault(FaultParameter, "The request must contain non-empty message (user) attribute names.")
	case len(name) >= maxAttributeNameBytes:
		return queueFault(FaultParameter, "Message (user) attribute name must be shorter than 256 bytes.")
	case strings.IndexFunc(name, notInAttributeName) >= 0:
		// The words, the last space included, are AWS's.
		return queueFault(FaultParameter, "Message (user) attributes name can only contain upper and lower score characters, "+
			"digits, periods, hyphens and underscores. ")
	case hasPrefixFold(name, "aws.") || hasPrefixFold(name, "amazon."):
		return queueFault(FaultParameter, "You can't use message attribute names beginning with 'AWS.' or 'Amazon'. "+
			"These strings are reserved for internal use.")
	case name[0] == '.' || name[len(name)-1] == '.':
		return queueFault(FaultParameter, "You can't use message attribute names that start or end with a period.")
	case strings.Contains(name, ".."):
		return queueFault(FaultParameter, "You can't use message attribute names with successive periods.")
	}
	return nil
}

func notInAttributeName(r rune) bool {
	switch {
	case r >= '0' && r <= '9', r >= 'a' && r <= 'z', r >= 'A' && r <= 'Z', r == '_', r == '-', r == '.':
		return false
	}
	return true
}

func hasPrefixFold(s, lower string) bool {
	return len(s) >= len(lower) && strings.EqualFold(s[:len(lower)], lower)
}

// isNumber reports whether a Number attribute may hold the text: what
// DynamoDB takes for a number.
func isNumber(text string) bool {
	_, err := model.ParseNumber(text)
	return err == nil
}

// CheckText refuses texts that no message can have as its body. Errors: those of
// SendMessage.
func CheckText(text string) error {
	if text == "" {
		return queueFault(FaultParameter, "The request must contain the parameter MessageBody.")
	}
	return checkContents(text, "message body")
}

// checkContents refuses texts that XML cannot carry, as SQS does.
func checkContents(text, where string) error {
	for i := 0; i < len(text); {
		if c := text[i]; c >= 0x20 && c < utf8.RuneSelf {
			i++
			continue
		}
		r, n := utf8.DecodeRuneInString(text[i:])
		if r == utf8.RuneError && n <= 1 {
			r = rune(text[i]) // not UTF-8: name the byte
		} else if isXMLRune(r) {
			i += n
			continue
		}
		return queueFault(FaultContents, "Invalid binary character '#x%X' was found in the %s, the set of allowed characters is "+
			"#x9 | #xA | #xD | [#x20-#xD7FF] | [#xE000-#xFFFD] | [#x10000-#x10FFFF].", r, where)
	}
	return nil
}

// isXMLRune reports whether XML 1.0 has the character.
func isXMLRune(r rune) bool {
	return r >= 0x20 && r <= 0xd7ff || r == '\n' || r == '\t' || r == '\r' || r >= 0xe000 && r <= 0xfffd || r >= 0x10000
}
