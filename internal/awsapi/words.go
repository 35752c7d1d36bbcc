package awsapi

import (
	"fmt"
	"strings"
	"unicode/utf8"
)

// kind is what a value on the wire is.
type kind uint8

const (
	kindEnd kind = iota // nothing, or an error
	kindObject
	kindList
	kindText
	kindBytes // only CBOR has them
	kindTrue
	kindFalse
	kindWhole
	kindFraction
)

// words are how a service tells that a value has a wrong type.
type words struct {
	// scalar is a value that is not the wanted String, Integer, Long, Double,
	// Boolean, Timestamp or Blob; text is the value when it is a string.
	scalar func(class string, found kind, text string) string
	// object is a value that is neither structure nor map. java names the wanted
	// type; element tells that it is an element of a list or map.
	object func(java string, element bool, found kind) string
	// list is a value that is no list.
	list func(found kind) string
	// base64 is a string that is not in base64.
	base64 func(text string) string
}

const msgLastBits = "Invalid last non-pad Base64 character dectected" // the typing error is AWS's

func oddLength(text string) string {
	return fmt.Sprintf("Base64 encoded length is expected a multiple of 4 bytes but found: %d", len(text))
}

// dynamoWords are AWS's, as observed from DynamoDB.
var dynamoWords = words{
	scalar: func(class string, found kind, _ string) string {
		java := "class java.lang." + class
		if class == "Blob" {
			java = "class java.nio.ByteBuffer"
		}
		switch {
		case found == kindObject:
			return "Start of structure or map found where not expected"
		case found == kindList:
			return "Unrecognized collection type " + java
		case class == "Blob":
			return "only base-64-encoded strings are convertible to bytes"
		case class == "Boolean" && found == kindText:
			return "Unexpected token received from parser"
		}
		return map[kind]string{kindText: "STRING_VALUE", kindTrue: "TRUE_VALUE", kindFalse: "FALSE_VALUE",
			kindWhole: "NUMBER_VALUE", kindFraction: "DECIMAL_VALUE", kindBytes: "BINARY_VALUE"}[found] + " cannot be converted to " + class
	},
	object: func(java string, element bool, found kind) string {
		switch {
		case found == kindList:
			return "Unrecognized collection type " + java
		case element:
			return "Unexpected value type in payload"
		}
		return "Unexpected field type"
	},
	list: func(found kind) string {
		if found == kindObject {
			return "Start of structure or map found where not expected"
		}
		return "Unexpected field type"
	},
	base64: func(text string) string {
		switch {
		case len(text)%4 != 0:
			return oddLength(text)
		case strings.ContainsAny(text, "\r\n"):
			return "Invalid Base64 character"
		}
		return msgLastBits
	},
}

// kinesisWords are AWS's, as the tests of kinesalite have recorded them from
// Kinesis.
var kinesisWords = words{
	scalar: func(class string, found kind, text string) string {
		article := "an "
		if class == "Blob" {
			article = "a "
		}
		switch found {
		case kindObject:
			return "Start of structure or map found where not expected."
		case kindList:
			return "Start of list found where not expected"
		}
		java := map[kind]string{kindText: "class java.lang.String", kindTrue: "class java.lang.Boolean", kindFalse: "class java.lang.Boolean",
			kindBytes: "class java.nio.HeapByteBuffer"}[found]
		if java == "" {
			java = "class com.amazon.coral.value.json.numbers.TruncatingBigNumber"
		}
		if class == "Boolean" && found == kindText {
			java = quoted(text)
		}
		return java + " can not be converted to " + article + class
	},
	object: func(java string, _ bool, found kind) string {
		switch {
		case found == kindList:
			return "Start of list found where not expected"
		case strings.HasPrefix(java, "java.util.Map"):
			return "Expected map or null"
		}
		return "Expected null"
	},
	list: func(found kind) string {
		if found == kindObject {
			return "Start of structure or map found where not expected."
		}
		return "Expected list or null"
	},
	base64: func(text string) string {
		fault := msgLastBits
		body := strings.TrimSuffix(strings.TrimSuffix(text, "="), "=")
		if i := strings.IndexFunc(body, isNotBase64); i >= 0 {
			r, _ := utf8.DecodeRuneInString(body[i:])
			fault = "Invalid Base64 character: '" + string(r) + "'"
		}
		if len(text)%4 != 0 {
			fault = oddLength(text)
		}
		return quoted(text) + " can not be converted to a Blob: " + fault
	},
}

func isNotBase64(r rune) bool {
	letter := r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z'
	return !letter && (r < '0' || r > '9') && r != '+' && r != '/'
}
