package storage

// Metrics is a picture of the state's size and of the work behind it.
type Metrics struct {
	DiskBytes          uint64 // all files
	MemTableBytes      uint64
	MemTables          int64
	CacheBytes         int64
	CacheHits          int64
	CacheMisses        int64
	Flushes            int64
	Compactions        int64
	CompactionDebt     uint64 // bytes still to be compacted
	ReadAmplification  int
	Tables             int64
	BytesFlushed       uint64
	BytesCompacted     uint64 // written by compactions
	BytesIngested      uint64
	L0Sublevels        int32
	OpenIterators      int64
	CompactionsRunning int64
}

// Metrics returns the figures of this moment.
func (db *DB) Metrics() Metrics {
	m := db.db.Metrics()
	total := m.Total()
	db.mu.RLock()
	defer db.mu.RUnlock()
	var memory uint64
	for _, t := range db.tables {
		memory += uint64(t.sizeBytes())
	}
	return Metrics{
		DiskBytes: m.DiskSpaceUsage(), MemTableBytes: memory, MemTables: int64(len(db.tables)),
		CacheBytes: m.BlockCache.Size, CacheHits: m.BlockCache.Hits, CacheMisses: m.BlockCache.Misses,
		Flushes: db.flushes, Compactions: m.Compact.Count, CompactionDebt: m.Compact.EstimatedDebt,
		ReadAmplification: m.ReadAmp(), Tables: total.TablesCount, BytesFlushed: db.flushedBytes,
		BytesCompacted: total.TableBytesCompacted, BytesIngested: total.TableBytesIngested - min(total.TableBytesIngested, db.flushedBytes),
		L0Sublevels: m.Levels[0].Sublevels, OpenIterators: m.TableIters, CompactionsRunning: m.Compact.NumInProgress,
	}
}
