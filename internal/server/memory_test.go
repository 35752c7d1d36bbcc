package server

import (
	"testing"
	"testing/fstest"
)

func TestSystemMemory(t *testing.T) {
	file := func(text string) *fstest.MapFile { return &fstest.MapFile{Data: []byte(text)} }
	meminfo := file("MemTotal:        8000000 kB\nMemFree:         1000000 kB\n")
	for _, c := range []struct {
		name string
		root fstest.MapFS
		want int64
	}{
		{"nothing is told", fstest.MapFS{}, unknownMemory},
		{"a machine", fstest.MapFS{"proc/meminfo": meminfo}, 8000000 << 10},
		{"a container", fstest.MapFS{"proc/meminfo": meminfo, "proc/self/cgroup": file("0::/\n"), "sys/fs/cgroup/memory.max": file("1073741824\n")}, 1 << 30},
		{"a group without a limit in one with", fstest.MapFS{"proc/meminfo": meminfo, "proc/self/cgroup": file("0::/system.slice/weir.service\n"),
			"sys/fs/cgroup/system.slice/weir.service/memory.max": file("max\n"), "sys/fs/cgroup/system.slice/memory.max": file("2147483648\n")}, 2 << 30},
		{"version 1", fstest.MapFS{"proc/meminfo": meminfo, "proc/self/cgroup": file("5:memory:/a\n")}, 8000000 << 10},
		{"nonsense", fstest.MapFS{"proc/meminfo": file("MemTotal: many\n"), "proc/self/cgroup": file("0::relative\n")}, unknownMemory},
	} {
		if got := systemMemory(c.root); got != c.want {
			t.Errorf("%s: %d, want %d", c.name, got, c.want)
		}
	}
	for total, want := range map[int64]int64{1 << 30: minBodyBytes, 8 << 30: 8 << 30 / bodyShare, 1 << 40: maxBodyBytes} {
		if got := bodyMemory(total); got != want {
			t.Errorf("of %d bytes, %d for bodies, want %d", total, got, want)
		}
	}
	for total, want := range map[int64]int64{64 << 20: minCacheBytes, 1 << 30: 128 << 20, 1 << 40: maxCacheBytes} {
		if got := cacheMemory(total); got != want {
			t.Errorf("of %d bytes, %d for the cache, want %d", total, got, want)
		}
	}
}
