package model

import "encoding/binary"

// DecodeItem reads what AppendItem wrote. It refuses every other form of the
// same item: names or members out of order, numbers that are not canonical,
// lengths with superfluous bytes. The item shares no memory with d's input;
// all its texts are slices of one string.
func DecodeItem(d *Decoder) Item {
	text, ok := scan(d, (*itemScanner).item)
	if !ok {
		return nil
	}
	b := itemBuilder{text: text}
	it := b.item()
	if b.bad {
		d.Fail()
		return nil
	}
	return it
}

// DecodeValue reads what AppendValue wrote, like DecodeItem.
func DecodeValue(d *Decoder) Value {
	text, ok := scan(d, (*itemScanner).value)
	if !ok {
		return Value{}
	}
	b := itemBuilder{text: text}
	v := b.value()
	if b.bad {
		d.Fail()
		return Value{}
	}
	return v
}

// scan takes from d what read finds to be well-formed.
func scan(d *Decoder, read func(s *itemScanner, depth int)) (text string, ok bool) {
	s := itemScanner{b: d.b}
	read(&s, 0)
	if s.bad {
		d.Fail()
		return "", false
	}
	text = string(d.b[:s.pos])
	d.b = d.b[s.pos:]
	return text, true
}

// itemScanner finds where an item ends and checks its lengths, kinds and
// depth, without building anything. pos only grows, and never beyond b.
type itemScanner struct {
	b   []byte
	pos int
	bad bool
}

func (s *itemScanner) fail() {
	s.bad = true
	s.pos = len(s.b)
}

// count reads a length or a number of elements of at least one byte each.
func (s *itemScanner) count() int {
	rest := s.b[s.pos:]
	if len(rest) > 0 && rest[0] < 0x80 && int(rest[0]) < len(rest) {
		s.pos++
		return int(rest[0])
	}
	v, n := binary.Uvarint(rest)
	if n <= 0 || n > 1 && rest[n-1] == 0 || v > uint64(len(rest)-n) {
		s.fail()
		return 0
	}
	s.pos += n
	return int(v)
}

func (s *itemScanner) text() {
	n := s.count()
	s.pos += n
}

func (s *itemScanner) item(depth int) {
	for n := s.count(); n > 0 && !s.bad; n-- {
		s.text()
		s.value(depth)
	}
}

// value scans a value that depth lists and maps enclose.
func (s *itemScanner) value(depth int) {
	if s.pos == len(s.b) {
		s.fail()
		return
	}
	kind := Kind(s.b[s.pos])
	s.pos++
	switch kind {
	case KindS, KindN, KindB:
		s.text()
	case KindBool:
		if s.pos == len(s.b) || s.b[s.pos] > 1 {
			s.fail()
			return
		}
		s.pos++
	case KindNull:
	case KindM, KindL:
		if depth == MaxNesting {
			s.fail()
		} else if kind == KindM {
			s.item(depth + 1)
		} else {
			for n := s.count(); n > 0 && !s.bad; n-- {
				s.value(depth + 1)
			}
		}
	case KindSS, KindNS, KindBS:
		n := s.count()
		if n == 0 {
			s.fail()
		}
		for ; n > 0 && !s.bad; n-- {
			s.text()
		}
	default:
		s.fail()
	}
}

// itemBuilder builds what an itemScanner found well-formed; it still checks
// orders and numbers.
type itemBuilder struct {
	text string
	pos  int
	bad  bool
}

func (b *itemBuilder) count() int {
	v, shift := 0, 0
	for {
		c := b.text[b.pos]
		b.pos++
		v |= int(c&0x7f) << shift
		if c < 0x80 {
			return v
		}
		shift += 7
	}
}

func (b *itemBuilder) string() string {
	n := b.count()
	b.pos += n
	return b.text[b.pos-n : b.pos]
}

func (b *itemBuilder) number() string {
	s := b.string()
	if !IsCanonicalNumber(s) {
		b.bad = true
	}
	return s
}

func (b *itemBuilder) item() Item {
	it := make(Item, b.count())
	for i := range it {
		it[i].Name = b.string()
		if i > 0 && it[i-1].Name >= it[i].Name {
			b.bad = true
		}
		b.valueInto(&it[i].Value)
	}
	return it
}

func (b *itemBuilder) value() (v Value) {
	b.valueInto(&v)
	return v
}

func (b *itemBuilder) valueInto(v *Value) {
	v.Kind = Kind(b.text[b.pos])
	b.pos++
	switch v.Kind {
	case KindS, KindB:
		v.Str = b.string()
	case KindN:
		v.Str = b.number()
	case KindBool:
		v.Bool = b.text[b.pos] == 1
		b.pos++
	case KindM:
		v.Map = b.item()
	case KindL:
		v.List = make([]Value, b.count())
		for i := range v.List {
			b.valueInto(&v.List[i])
		}
	case KindSS, KindNS, KindBS:
		v.List = make([]Value, b.count())
		member := v.Kind.Member()
		for i := range v.List {
			m := &v.List[i]
			m.Kind = member
			if member == KindN {
				m.Str = b.number()
			} else {
				m.Str = b.string()
			}
			if !b.bad && i > 0 && compareMembers(v.List[i-1], *m) >= 0 {
				b.bad = true
			}
		}
	}
}
