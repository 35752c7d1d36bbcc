package load

import "math/rand/v2"

// groups gives the messages of a client for a FIFO queue their message groups,
// in turn, and deduplication ids that never come again, by patching them into
// a prebuilt body. A nil groups does nothing.
type groups struct {
	first, count, turn uint64
	id                 uint64
	at                 []int // of the group's digits, which the id's follow
}

const (
	groupDigits = 8
	idDigits    = 16
	groupOpen   = `,"MessageGroupId":"g`
	idOpen      = `","MessageDeduplicationId":"`
)

func newGroups(client, count int) *groups {
	return &groups{first: uint64(client * count), count: uint64(count), id: rand.Uint64()}
}

// appendTo appends the two members to a message that is being built.
func (g *groups) appendTo(b []byte) []byte {
	if g == nil {
		return b
	}
	b = append(b, groupOpen...)
	g.at = append(g.at, len(b))
	b = append(b, make([]byte, groupDigits)...)
	b = append(b, idOpen...)
	b = append(b, make([]byte, idDigits)...)
	return append(b, '"')
}

// patch gives every message of a body its next group and id.
func (g *groups) patch(body []byte) {
	if g == nil {
		return
	}
	for _, at := range g.at {
		putDigits(body[at:at+groupDigits], g.first+g.turn%g.count, 10)
		from := at + groupDigits + len(idOpen)
		putDigits(body[from:from+idDigits], g.id, 16)
		g.turn++
		g.id++
	}
}

// putDigits fills dst with a number, leading zeros included.
func putDigits(dst []byte, n, base uint64) {
	for i := len(dst) - 1; i >= 0; i-- {
		dst[i] = "0123456789abcdef"[n%base]
		n /= base
	}
}
