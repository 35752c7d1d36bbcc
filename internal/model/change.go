package model

import (
	"cmp"
	"slices"
	"strconv"
)

// RegionID names a cluster among those that it exchanges changes with. In a
// cluster's own state zero is the cluster itself; between clusters it never
// occurs.
type RegionID uint64

// Region is the cluster's own region id: the last 64 bits of its cluster id,
// which is random and fixed. A region's name is only a label.
func (c *Catalog) Region() RegionID {
	id, err := strconv.ParseUint(c.ClusterID[max(0, len(c.ClusterID)-16):], 16, 64)
	if err != nil || id == 0 {
		return 1
	}
	return RegionID(id)
}

// Version names one write of one key: no two writes of a key have the same.
// Versions of a key are ordered by stamp, and by region where stamps are equal;
// of writes that did not know of each other, the last one wins.
type Version struct {
	Stamp  Stamp
	Region RegionID
}

// Compare orders versions.
func (v Version) Compare(o Version) int {
	return cmp.Or(cmp.Compare(v.Stamp, o.Stamp), cmp.Compare(v.Region, o.Region))
}

// History is what a write knew of: for each other region that wrote the key,
// the last of its writes, ascending by region.
type History []Version

// Append appends the stored form.
func (h History) Append(dst []byte) []byte {
	dst = AppendUvarint(dst, uint64(len(h)))
	for _, v := range h {
		dst = v.Append(dst)
	}
	return dst
}

// Append appends the stored form.
func (v Version) Append(dst []byte) []byte {
	return AppendUvarint(AppendUvarint(dst, uint64(v.Stamp)), uint64(v.Region))
}

// Decode reads what Append wrote.
func (v *Version) Decode(d *Decoder) { v.Stamp, v.Region = Stamp(d.Uvarint()), RegionID(d.Uvarint()) }

// DecodeHistory reads what History.Append wrote.
func DecodeHistory(d *Decoder) (h History) {
	for n := d.Count(); n > 0 && d.Err() == nil; n-- {
		var v Version
		v.Decode(d)
		h = append(h, v)
	}
	return h
}

// Known is the last write of the region that the history knows of; zero when it
// knows of none.
func (h History) Known(r RegionID) Stamp {
	for _, v := range h {
		if v.Region == r {
			return v.Stamp
		}
	}
	return 0
}

// Learn returns a history that knows of v too.
func (h History) Learn(v Version) History {
	at, found := slices.BinarySearchFunc(h, v, func(a, b Version) int { return cmp.Compare(a.Region, b.Region) })
	if found && h[at].Stamp >= v.Stamp {
		return h
	}
	h = slices.Clone(h)
	if found {
		h[at].Stamp = v.Stamp
		return h
	}
	return slices.Insert(h, at, v)
}

// Without returns the history but for what it knows of a region.
func (h History) Without(r RegionID) History {
	at := slices.IndexFunc(h, func(v Version) bool { return v.Region == r })
	if at < 0 {
		return h
	}
	return slices.Delete(slices.Clone(h), at, at+1)
}

// Rename returns the history with one region called by another name: a cluster
// is zero to itself and has its id among others.
func (h History) Rename(from, to RegionID) History {
	at := slices.IndexFunc(h, func(v Version) bool { return v.Region == from })
	if at < 0 {
		return h
	}
	return h.Without(from).Learn(Version{h[at].Stamp, to})
}

// Rename returns the version with one region called by another name.
func (v Version) Rename(from, to RegionID) Version {
	if v.Region == from {
		v.Region = to
	}
	return v
}

// Rename changes the name of one region wherever the change names it.
func (c *Change) Rename(from, to RegionID) {
	c.Version, c.History = c.Version.Rename(from, to), c.History.Rename(from, to)
	c.Merge = renameMerge(c.Merge, from, to)
}

// Newest is the latest stamp that the change names: the writer knew of it.
func (c *Change) Newest() Stamp {
	newest := c.Version.Stamp
	for _, v := range c.History {
		newest = max(newest, v.Stamp)
	}
	return newest
}

// Joined reports whether no single write left the change: then also the region
// that wrote its version has to hear of it.
func (c *Change) Joined() bool { return len(c.Merge) > 0 && c.Merge[0]&mergeJoined != 0 }

// ReaderID names a reader of the change log within the cluster: the id of the
// resource that the reader works for, which is never used again. A reader is
// removed with its resource, by CmdDropResource.
type ReaderID = ResourceID

// ChangeNumber is a place in a tablet's change log; the first entry has 1.
type ChangeNumber uint64

// Change is one item written or deleted: an entry of the change log, or what
// one region tells another.
type Change struct {
	Version Version
	History History
	Delete  bool
	Key     []byte // encoded
	Size    uint64 // of a put: the item's size, as in PutItem
	Item    []byte // of a put: encoded
	Merge   []byte // by the table's policy: what of the item was written where
}

const (
	changeDelete  = 1
	changeHistory = 2
	changeMerge   = 4
	changeOld     = 8
)

// Append appends the form that travels between regions.
func (c *Change) Append(dst []byte) []byte { return c.append(dst, 0) }

func (c *Change) append(dst []byte, flags byte) []byte {
	if c.Delete {
		flags |= changeDelete
	}
	if len(c.History) > 0 {
		flags |= changeHistory
	}
	if len(c.Merge) > 0 {
		flags |= changeMerge
	}
	dst = c.Version.Append(append(dst, flags))
	dst = AppendBytes(dst, c.Key)
	if len(c.History) > 0 {
		dst = c.History.Append(dst)
	}
	if len(c.Merge) > 0 {
		dst = AppendBytes(dst, c.Merge)
	}
	if !c.Delete {
		dst = AppendBytes(AppendUvarint(dst, c.Size), c.Item)
	}
	return dst
}

// Decode reads what Append wrote; slices share memory with d's input.
func (c *Change) Decode(d *Decoder) {
	if flags := c.decode(d); flags&changeOld != 0 {
		d.Fail()
	}
}

func (c *Change) decode(d *Decoder) (flags byte) {
	if flags = d.Byte(); flags > changeDelete|changeHistory|changeMerge|changeOld {
		d.Fail()
	}
	c.Version.Decode(d)
	c.Key = d.key()
	if flags&changeHistory != 0 {
		c.History = DecodeHistory(d)
	}
	if flags&changeMerge != 0 {
		c.Merge = d.Bytes()
	}
	if c.Delete = flags&changeDelete != 0; !c.Delete {
		c.Size, c.Item = d.Uvarint(), d.Bytes()
	}
	return flags
}

// LoggedChange is an entry of the change log.
type LoggedChange struct {
	Number   ChangeNumber // in the key, not in the stored value
	Resource ResourceID
	Total    uint64 // bytes of all entries of the tablet up to this one, ever
	Change
	HasOld bool   // a reader asked for what was there before
	Old    []byte // encoded; empty when there was no item
}

// Append appends the stored form, all but the number.
func (c *LoggedChange) Append(dst []byte) []byte {
	dst = AppendUvarint(AppendUvarint(dst, uint64(c.Resource)), c.Total)
	if !c.HasOld {
		return c.append(dst, 0)
	}
	return AppendBytes(c.append(dst, changeOld), c.Old)
}

// Decode reads what Append wrote; slices share memory with d's input.
func (c *LoggedChange) Decode(d *Decoder) {
	c.Resource, c.Total = ResourceID(d.Uvarint()), d.Uvarint()
	if c.HasOld = c.decode(d)&changeOld != 0; c.HasOld {
		c.Old = d.Bytes()
	}
}
