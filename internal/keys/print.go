package keys

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"strings"

	"weir.dev/weir/internal/model"
)

// String prints any stored key for people, for example
// d/r7/s01a2/item/S"user-1"/N"42" or t/t3/dedupe/5/120.0. Bytes that are not a
// key of this format print as hex.
func String(key []byte) string {
	if r, slot, typ, rest, ok := SplitData(key); ok {
		head := fmt.Sprintf("d/r%d/s%04x/", uint64(r), uint16(slot))
		if typ != typeItem {
			if s, ok := queueString(typ, rest); ok {
				return head + s
			}
			if s, ok := pipeString(typ, rest); ok {
				return head + s
			}
			if s, ok := streamString(typ, rest); ok {
				return head + s
			}
			return head + fmt.Sprintf("%q/%x", typ, rest)
		}
		if s, ok := itemString(rest); ok {
			return head + "item/" + s
		}
		return head + fmt.Sprintf("item/malformed/%x", rest)
	}
	if len(key) >= tabletKeySize && key[0] == tabletSpace {
		return tabletString(key)
	}
	if bytes.Equal(key, Founded()) {
		return "n/founded"
	}
	return fmt.Sprintf("unknown/%x", key)
}

// ItemString prints the encoded key of an item for people.
func ItemString(key []byte) string {
	if s, ok := itemString(key); ok {
		return s
	}
	return fmt.Sprintf("malformed/%x", key)
}

func itemString(rest []byte) (string, bool) {
	var parts []string
	for len(rest) > 0 {
		v, after, ok := SplitValue(rest)
		if !ok {
			return "", false
		}
		parts = append(parts, valueString(v))
		rest = after
	}
	return strings.Join(parts, "/"), len(parts) == 1 || len(parts) == 2
}

func valueString(v model.Value) string {
	switch v.Kind {
	case model.KindS:
		return fmt.Sprintf("S%q", v.Str)
	case model.KindN:
		return fmt.Sprintf("N%q", v.Str)
	default:
		return fmt.Sprintf("B%x", v.Str)
	}
}

func tabletString(key []byte) string {
	head := fmt.Sprintf("t/%v/", model.TabletID(binary.BigEndian.Uint64(key[1:])))
	typ, rest := key[tabletKeySize-1], key[tabletKeySize:]
	if typ == typeApplied && len(rest) == 0 {
		return head + "applied"
	}
	if bucket, index, ordinal, ok := SplitDedupe(key); ok {
		return head + fmt.Sprintf("dedupe/%d/%d.%d", bucket, index, ordinal)
	}
	if r, ok := SplitDropped(key); ok {
		return head + fmt.Sprintf("dropped/r%d", uint64(r))
	}
	if kind, id, ok := SplitCatalog(key); ok {
		return head + fmt.Sprintf("catalog/%q/%d", kind, id)
	}
	if s, ok := changeString(key); ok {
		return head + s
	}
	return head + fmt.Sprintf("%q/%x", typ, rest)
}

// changeString prints what follows the tablet in a key of the change log.
func changeString(key []byte) (string, bool) {
	if n, ok := SplitChange(key); ok {
		return fmt.Sprintf("change/%d", n), true
	}
	if r, ok := SplitReader(key); ok {
		return fmt.Sprintf("reader/r%d", uint64(r)), true
	}
	if r, table, ok := SplitWatch(key); ok {
		return fmt.Sprintf("watch/r%d/r%d", uint64(r), uint64(table)), true
	}
	if n, ok := SplitTombstone(key); ok {
		return fmt.Sprintf("tombstone/%d", n), true
	}
	if r, ok := SplitSince(key); ok {
		return fmt.Sprintf("since/r%d", uint64(r)), true
	}
	if n, ok := SplitConflict(key); ok {
		return fmt.Sprintf("conflict/%d", n), true
	}
	return "changes", len(key) == tabletKeySize && key[tabletKeySize-1] == typeChangeHead
}
