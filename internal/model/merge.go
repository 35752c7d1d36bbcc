package model

import (
	"cmp"
	"slices"
	"strings"
)

// MergeState is what is remembered of an item beside it, where the table's
// policy keeps parts of several writes. The zero state with the record's own
// version as Base is that of an item that one write left as a whole, and is
// stored as nothing. docs/format/change.md has the bytes.
type MergeState struct {
	// Joined says that no single write left the record: the region that wrote its
	// version may not have heard of all of it.
	Joined bool
	// Deleted says that the last write was a delete, of an item that is there
	// because somebody has added to it who had not heard of that.
	Deleted bool
	// Base is the last write that replaced the whole item: what Marks does not
	// name is as it left it.
	Base   Version
	Marks  []Mark  // by Name; of PolicyFields, PolicyCounter and PolicyUnion
	Rivals []Rival // by Version; of PolicyRegions
}

// Mark is what is remembered of an attribute.
type Mark struct {
	Name    string
	Version Version // of the last write that replaced the attribute, or removed it
	// Of an attribute that is added to, or merged member by member, the item shows
	// the outcome; Had and Value are what the write Version left.
	Had     bool
	Value   Value
	Added   []Added // by region: what each has added, ever
	Counted []Added // of these, what writes that replaced the attribute knew of
	Members []Member
}

// Plain reports whether the item shows what the write Version left.
func (m *Mark) Plain() bool { return len(m.Added) == 0 && len(m.Members) == 0 }

// Added is what one region has added to a number. Of two of the same region the
// one with the higher Last is later, and knows of the other one.
type Added struct {
	Region      RegionID
	First, Last Stamp  // of the additions that Total is the sum of
	Total       string // a canonical number
}

// Member is a member of a set that was added or taken away on its own.
type Member struct {
	Kind    Kind // of the member
	Text    string
	Version Version
	Gone    bool
}

// Compare orders members by kind, then text.
func (m Member) Compare(o Member) int {
	return cmp.Or(cmp.Compare(m.Kind, o.Kind), strings.Compare(m.Text, o.Text))
}

// Rival is a write that lost to another one, while neither knew of the other
// and nobody has written since.
type Rival struct {
	Version Version
	Delete  bool
	Size    uint64
	Item    []byte // encoded
}

const (
	mergeJoined  = 1
	mergeMarks   = 2
	mergeRivals  = 4
	mergeDeleted = 8
)

const (
	markHad     = 1
	markAdded   = 2
	markMembers = 4
)

// Append appends the stored form.
func (s *MergeState) Append(dst []byte) []byte {
	flags := byte(0)
	if s.Joined {
		flags |= mergeJoined
	}
	if s.Deleted {
		flags |= mergeDeleted
	}
	if s.Base != (Version{}) || len(s.Marks) > 0 {
		flags |= mergeMarks
	}
	if len(s.Rivals) > 0 {
		flags |= mergeRivals
	}
	dst = append(dst, flags)
	if flags&mergeMarks != 0 {
		dst = s.appendMarks(dst)
	}
	if flags&mergeRivals != 0 {
		dst = AppendUvarint(dst, uint64(len(s.Rivals)))
		for i := range s.Rivals {
			r := &s.Rivals[i]
			if dst = AppendBool(r.Version.Append(dst), r.Delete); !r.Delete {
				dst = AppendBytes(AppendUvarint(dst, r.Size), r.Item)
			}
		}
	}
	return dst
}

func (s *MergeState) appendMarks(dst []byte) []byte {
	versions := s.versions()
	dst = AppendUvarint(dst, uint64(len(versions)))
	for _, v := range versions {
		dst = v.Append(dst)
	}
	index := func(dst []byte, v Version) []byte {
		at, _ := slices.BinarySearchFunc(versions, v, Version.Compare)
		return AppendUvarint(dst, uint64(at))
	}
	dst = AppendUvarint(index(dst, s.Base), uint64(len(s.Marks)))
	for i := range s.Marks {
		m := &s.Marks[i]
		dst = index(AppendString(dst, m.Name), m.Version)
		flags := byte(0)
		if m.Had {
			flags |= markHad
		}
		if len(m.Added) > 0 {
			flags |= markAdded
		}
		if len(m.Members) > 0 {
			flags |= markMembers
		}
		if dst = append(dst, flags); flags&markHad != 0 {
			dst = AppendValue(dst, m.Value)
		}
		if flags&markAdded != 0 {
			dst = appendAdded(appendAdded(dst, m.Added), m.Counted)
		}
		if flags&markMembers != 0 {
			dst = AppendUvarint(dst, uint64(len(m.Members)))
			for _, e := range m.Members {
				dst = AppendString(append(dst, byte(e.Kind)), e.Text)
				dst = AppendBool(index(dst, e.Version), e.Gone)
			}
		}
	}
	return dst
}

// versions are all versions of base, marks and members, ascending, each once.
func (s *MergeState) versions() []Version {
	all := []Version{s.Base}
	for i := range s.Marks {
		m := &s.Marks[i]
		all = append(all, m.Version)
		for k := range m.Members {
			all = append(all, m.Members[k].Version)
		}
	}
	slices.SortFunc(all, Version.Compare)
	return slices.Compact(all)
}

func appendAdded(dst []byte, list []Added) []byte {
	dst = AppendUvarint(dst, uint64(len(list)))
	for _, a := range list {
		dst = AppendUvarint(AppendUvarint(AppendUvarint(dst, uint64(a.Region)), uint64(a.First)), uint64(a.Last))
		dst = AppendString(dst, a.Total)
	}
	return dst
}

// Decode reads what Append wrote. What is out of order, or no number where one
// has to be, is refused: other regions send it.
func (s *MergeState) Decode(d *Decoder) {
	flags := d.Byte()
	if flags > mergeJoined|mergeMarks|mergeRivals|mergeDeleted {
		d.Fail()
	}
	s.Joined, s.Deleted = flags&mergeJoined != 0, flags&mergeDeleted != 0
	if flags&mergeMarks != 0 {
		s.decodeMarks(d)
	}
	if flags&mergeRivals == 0 {
		return
	}
	for n := d.Count(); n > 0 && d.Err() == nil; n-- {
		var r Rival
		r.Version.Decode(d)
		if r.Delete = d.Bool(); !r.Delete {
			r.Size, r.Item = d.Uvarint(), d.Bytes()
		}
		if k := len(s.Rivals); k > 0 && s.Rivals[k-1].Version.Compare(r.Version) >= 0 {
			d.Fail()
		}
		s.Rivals = append(s.Rivals, r)
	}
}

func (s *MergeState) decodeMarks(d *Decoder) {
	var versions []Version
	for n := d.Count(); n > 0 && d.Err() == nil; n-- {
		var v Version
		v.Decode(d)
		if k := len(versions); k > 0 && versions[k-1].Compare(v) >= 0 {
			d.Fail()
		}
		versions = append(versions, v)
	}
	version := func() (v Version) {
		if at := d.Uvarint(); at < uint64(len(versions)) {
			return versions[at]
		}
		d.Fail()
		return v
	}
	s.Base = version()
	for n := d.Count(); n > 0 && d.Err() == nil; n-- {
		m := Mark{Name: d.String(), Version: version()}
		flags := d.Byte()
		if k := len(s.Marks); flags > markHad|markAdded|markMembers || k > 0 && s.Marks[k-1].Name >= m.Name {
			d.Fail()
		}
		if m.Had = flags&markHad != 0; m.Had {
			m.Value = DecodeValue(d)
		}
		if flags&markAdded != 0 {
			m.Added, m.Counted = decodeAdded(d), decodeAdded(d)
		}
		if flags&markMembers != 0 {
			m.decodeMembers(d, version)
		}
		s.Marks = append(s.Marks, m)
	}
}

func (m *Mark) decodeMembers(d *Decoder, version func() Version) {
	for n := d.Count(); n > 0 && d.Err() == nil; n-- {
		e := Member{Kind: Kind(d.Byte()), Text: d.String()}
		e.Version, e.Gone = version(), d.Bool()
		k := len(m.Members)
		switch {
		case k > 0 && m.Members[k-1].Compare(e) >= 0:
			d.Fail()
		case e.Kind == KindN && !isCanonical(e.Text), e.Kind != KindS && e.Kind != KindN && e.Kind != KindB:
			d.Fail()
		}
		m.Members = append(m.Members, e)
	}
}

func decodeAdded(d *Decoder) (list []Added) {
	for n := d.Count(); n > 0 && d.Err() == nil; n-- {
		a := Added{Region: RegionID(d.Uvarint()), First: Stamp(d.Uvarint()), Last: Stamp(d.Uvarint()), Total: d.String()}
		if k := len(list); !isCanonical(a.Total) || k > 0 && list[k-1].Region >= a.Region {
			d.Fail()
		}
		list = append(list, a)
	}
	return list
}

func isCanonical(number string) bool {
	text, err := ParseNumber(number)
	return err == nil && text == number
}

// Newest is the latest stamp that the state names.
func (s *MergeState) Newest() (newest Stamp) {
	for _, v := range s.versions() {
		newest = max(newest, v.Stamp)
	}
	for i := range s.Marks {
		for _, list := range [][]Added{s.Marks[i].Added, s.Marks[i].Counted} {
			for _, a := range list {
				newest = max(newest, a.First, a.Last)
			}
		}
	}
	for i := range s.Rivals {
		newest = max(newest, s.Rivals[i].Version.Stamp)
	}
	return newest
}

// Rename changes the name of one region wherever the state names it.
func (s *MergeState) Rename(from, to RegionID) {
	s.Base = s.Base.Rename(from, to)
	for i := range s.Marks {
		m := &s.Marks[i]
		m.Version = m.Version.Rename(from, to)
		renameAdded(m.Added, from, to)
		renameAdded(m.Counted, from, to)
		for k := range m.Members {
			m.Members[k].Version = m.Members[k].Version.Rename(from, to)
		}
	}
	for i := range s.Rivals {
		s.Rivals[i].Version = s.Rivals[i].Version.Rename(from, to)
	}
	slices.SortFunc(s.Rivals, func(a, b Rival) int { return a.Version.Compare(b.Version) })
}

func renameAdded(list []Added, from, to RegionID) {
	for i := range list {
		if list[i].Region == from {
			list[i].Region = to
		}
	}
	slices.SortFunc(list, func(a, b Added) int { return cmp.Compare(a.Region, b.Region) })
}

// renameMerge renames in an encoded state. One that cannot be read stays as it
// is: whoever takes it in refuses it.
func renameMerge(encoded []byte, from, to RegionID) []byte {
	if len(encoded) == 0 {
		return encoded
	}
	var s MergeState
	d := NewDecoder(encoded)
	if s.Decode(d); d.Done() != nil {
		return encoded
	}
	s.Rename(from, to)
	return s.Append(nil)
}
