package expr

import (
	"strings"
	"unicode/utf8"
)

// tokenKind is what a token is. Punctuation of one character is its own kind.
type tokenKind byte

const (
	tokenEnd tokenKind = iota
	tokenName
	tokenNameRef  // #name
	tokenValueRef // :value
	tokenInt
	tokenBad // a character that no expression has
	tokenNe  // <>
	tokenLe  // <=
	tokenGe  // >=
	tokenAnd
	tokenOr
	tokenNot
	tokenBetween
	tokenIn
	tokenSet
	tokenRemove
	tokenAdd
	tokenDelete
)

// token is a piece of an expression's text, which is at most maxTextBytes.
type token struct {
	kind       tokenKind
	start, end uint16
}

// keyword is a word that cannot be an attribute's name in its language.
type keyword struct {
	word string
	kind tokenKind
}

var conditionKeywords = []keyword{
	{"AND", tokenAnd}, {"OR", tokenOr}, {"NOT", tokenNot}, {"BETWEEN", tokenBetween}, {"IN", tokenIn},
}

var updateKeywords = []keyword{
	{"SET", tokenSet}, {"REMOVE", tokenRemove}, {"ADD", tokenAdd}, {"DELETE", tokenDelete},
}

// lex appends text's tokens to dst, the last of which is tokenEnd.
func lex(dst []token, text string, keywords []keyword) []token {
	for i := 0; i < len(text); {
		start := i
		kind := tokenBad
		switch c := text[i]; {
		case c == ' ' || c == '\t' || c == '\n' || c == '\r':
			i++
			continue
		case isLetter(c):
			i = skipWord(text, i)
			kind = wordKind(text[start:i], keywords)
		case c == '#' || c == ':':
			if i = skipWord(text, i+1); i > start+1 {
				kind = tokenNameRef
				if c == ':' {
					kind = tokenValueRef
				}
			}
		case isDigit(c):
			kind = tokenInt
			for i++; c != '0' && i < len(text) && isDigit(text[i]); i++ {
			}
		case strings.HasPrefix(text[i:], "<>"):
			i, kind = i+2, tokenNe
		case strings.HasPrefix(text[i:], "<="):
			i, kind = i+2, tokenLe
		case strings.HasPrefix(text[i:], ">="):
			i, kind = i+2, tokenGe
		case strings.IndexByte("=<>()[],.+-", c) >= 0:
			i, kind = i+1, tokenKind(c)
		default:
			_, size := utf8.DecodeRuneInString(text[i:])
			i += size
		}
		dst = append(dst, token{kind: kind, start: uint16(start), end: uint16(i)})
	}
	return append(dst, token{kind: tokenEnd, start: uint16(len(text)), end: uint16(len(text))})
}

func wordKind(word string, keywords []keyword) tokenKind {
	for _, k := range keywords {
		if len(word) == len(k.word) && strings.EqualFold(word, k.word) {
			return k.kind
		}
	}
	return tokenName
}

func skipWord(text string, i int) int {
	for i < len(text) && (isLetter(text[i]) || isDigit(text[i]) || text[i] == '_') {
		i++
	}
	return i
}

func isLetter(c byte) bool { return c|0x20 >= 'a' && c|0x20 <= 'z' }

func isDigit(c byte) bool { return c >= '0' && c <= '9' }
