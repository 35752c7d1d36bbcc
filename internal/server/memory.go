package server

import (
	"io/fs"
	"math"
	"path"
	"runtime/debug"
	"strconv"
	"strings"

	"weir.dev/weir/internal/front"
)

// A node's share of the memory that is there. A request body costs about nine
// times its size on its way: read, decoded, a command, entries of the log and of
// the journal, and the storage, each for a moment.
const (
	bodyShare    = 48 // of so many parts, one is for request bodies
	minBodyBytes = 64 << 20
	maxBodyBytes = front.DefaultMaxBodyMemory
	// Pebble's block cache is not in the heap that the collector looks after: with
	// its share both are less than the memory that is there.
	cacheShare    = 8
	minCacheBytes = 16 << 20
	maxCacheBytes = 256 << 20
)

// bodyMemory is how many bytes of request bodies a node holds at once.
func bodyMemory(total int64) int64 { return min(max(total/bodyShare, minBodyBytes), maxBodyBytes) }

// cacheMemory is the size of the storage's block cache. It is all of a node's
// memory that fills up with what is kept, whatever that is: docs/performance.md
// has the law.
func cacheMemory(total int64) int64 { return min(max(total/cacheShare, minCacheBytes), maxCacheBytes) }

// LimitMemory makes the garbage collector work harder as the process comes near
// three quarters of the memory that the system gives it: that of the machine, or
// of its cgroup. GOMEMLIMIT comes before it. It is for programs that are nothing
// but a node.
func LimitMemory(root fs.FS) {
	if debug.SetMemoryLimit(-1) == math.MaxInt64 { // GOMEMLIMIT is not set
		debug.SetMemoryLimit(systemMemory(root) / 4 * 3)
	}
}

// unknownMemory is taken for the machine's where the system does not tell.
const unknownMemory = 4 << 30

// systemMemory is how many bytes of memory the process can use, by Linux's files
// below root: the machine's, or the least that a cgroup above it allows.
func systemMemory(root fs.FS) int64 {
	total := int64(unknownMemory)
	if b, err := fs.ReadFile(root, "proc/meminfo"); err == nil {
		for line := range strings.Lines(string(b)) {
			if f := strings.Fields(line); len(f) >= 2 && f[0] == "MemTotal:" {
				if kib, err := strconv.ParseInt(f[1], 10, 53); err == nil {
					total = kib << 10
				}
			}
		}
	}
	b, err := fs.ReadFile(root, "proc/self/cgroup")
	if err != nil {
		return total
	}
	for line := range strings.Lines(string(b)) {
		group, ok := strings.CutPrefix(strings.TrimSpace(line), "0::") // version 2
		for ; ok; group = path.Dir(group) {
			limit, err := fs.ReadFile(root, path.Join("sys/fs/cgroup", group, "memory.max"))
			if n, e := strconv.ParseInt(strings.TrimSpace(string(limit)), 10, 64); err == nil && e == nil && n > 0 {
				total = min(total, n)
			}
			if group == "/" || group == "." {
				break
			}
		}
	}
	return total
}
