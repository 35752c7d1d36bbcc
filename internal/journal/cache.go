package journal

import pb "go.etcd.io/raft/v3/raftpb"

// cache bounds the durable entries in memory: the oldest are dropped first,
// for raft reads the newest. It holds on to replaced and compacted entries
// until their turn, so that its count is true.
type cache struct {
	items []cached // items[head:] are live
	head  int
	bytes int64
}

type cached struct {
	log   *Log
	entry *pb.Entry
	index uint64
	size  int64
}

// entryMemory is what an entry takes in memory beside its data.
const entryMemory = 160

func (c *cache) add(l *Log, p placement) {
	size := int64(len(p.entry.GetData())) + entryMemory
	if c.head > 64 && c.head > len(c.items)/2 {
		n := copy(c.items, c.items[c.head:])
		clear(c.items[n:])
		c.items, c.head = c.items[:n], 0
	}
	c.items = append(c.items, cached{log: l, entry: p.entry, index: p.index, size: size})
	c.bytes += size
}

func (c *cache) shrink(limit int64) {
	for c.bytes > limit {
		it := &c.items[c.head]
		it.log.evict(it.index, it.entry)
		c.bytes -= it.size
		*it = cached{}
		c.head++
	}
}
