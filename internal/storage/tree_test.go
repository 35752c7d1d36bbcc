package storage

import (
	"encoding/binary"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
)

// keyMakers make keys of different forms: those of Weir, and those that are
// hard on nodes which keep a prefix and eight bytes.
var keyMakers = map[string]func(rnd *rand.Rand) string{
	"item": func(rnd *rand.Rand) string {
		return weirKey('d', uint64(5+rnd.IntN(3)), rnd.Uint32N(1<<16), 'i', rnd.Uint64N(4000))
	},
	"ordered": func() func(*rand.Rand) string {
		n := uint64(0)
		return func(rnd *rand.Rand) string {
			if rnd.IntN(4) > 0 {
				n++
			}
			return weirKey('t', rnd.Uint64N(3), 0, 'D', n)
		}
	}(),
	"nested": func(rnd *rand.Rand) string { return strings.Repeat("a", rnd.IntN(300)) },
	"zeros":  func(rnd *rand.Rand) string { return "k" + strings.Repeat("\x00", rnd.IntN(20)) },
	"short": func(rnd *rand.Rand) string {
		return string([]byte{byte(rnd.IntN(256)), byte(rnd.IntN(2))}[:1+rnd.IntN(2)])
	},
	"falling": func() func(*rand.Rand) string {
		n := 1 << 20
		return func(*rand.Rand) string { n--; return fmt.Sprintf("%08d", n) }
	}(),
	"mixed": func(rnd *rand.Rand) string {
		k := make([]byte, rnd.IntN(12))
		for i := range k {
			k[i] = "\x00a\xff"[rnd.IntN(3)]
		}
		return strings.Repeat("x", rnd.IntN(2)*150) + string(k)
	},
}

// weirKey is a key as internal/keys makes them.
func weirKey(space byte, id uint64, slot uint32, kind byte, n uint64) string {
	k := binary.BigEndian.AppendUint64([]byte{space}, id)
	if space == 'd' {
		k = binary.BigEndian.AppendUint16(k, uint16(slot))
	}
	return string(binary.BigEndian.AppendUint64(append(k, kind), n))
}

// TestTreeAgainstMap inserts, removes, finds and walks, and compares with a map.
func TestTreeAgainstMap(t *testing.T) {
	for _, name := range slices.Sorted(maps.Keys(keyMakers)) {
		t.Run(name, func(t *testing.T) {
			for seed := range uint64(2) {
				treeAgainstMap(t, rand.New(rand.NewPCG(seed, 1)), keyMakers[name])
			}
		})
	}
}

func treeAgainstMap(t *testing.T, rnd *rand.Rand, key func(*rand.Rand) string) {
	var tr tree
	want := map[string]string{}
	var p place
	for round := range 12 {
		for range 1500 {
			k := key(rnd)
			found := tr.find([]byte(k), &p)
			if v, ok := want[k]; ok != found || ok && string(tr.version(p.leaf.version[p.at]).value) != v {
				t.Fatalf("find(%q) = %v, want %v", k, found, ok)
			}
			v := version{value: fmt.Append(nil, rnd.Uint32())}
			if found {
				p.leaf.version[p.at] = tr.addVersion(v)
			} else {
				kr, vr := tr.addKey([]byte(k), v)
				tr.insert(&p, []byte(k), kr, vr)
			}
			want[k] = string(v.value)
		}
		checkTree(t, &tr, want)
		share := []int{0, 30, 100}[round%3]
		for _, k := range slices.Sorted(maps.Keys(want)) {
			if rnd.IntN(100) < share {
				if !tr.find([]byte(k), &p) {
					t.Fatalf("%q is not there", k)
				}
				tr.remove(&p)
				delete(want, k)
			}
		}
		checkTree(t, &tr, want)
		if round == 7 {
			tr.reset()
			clear(want)
		}
	}
}

// checkTree walks the tree both ways and looks at its nodes.
func checkTree(t *testing.T, tr *tree, want map[string]string) {
	t.Helper()
	keys := slices.Sorted(maps.Keys(want))
	var p place
	i := 0
	for tr.edge(false, &p); p.leaf != nil; tr.next(&p) {
		if k := string(tr.key(p.leaf.key[p.at])); i >= len(keys) || k != keys[i] {
			t.Fatalf("entry %d is %q, of %d", i, k, len(keys))
		}
		i++
	}
	if i != len(keys) || tr.count != i {
		t.Fatalf("%d entries, counted %d, want %d", i, tr.count, len(keys))
	}
	for tr.edge(true, &p); p.leaf != nil; tr.prev(&p) {
		i--
		if k := string(tr.key(p.leaf.key[p.at])); k != keys[i] {
			t.Fatalf("in reverse, entry %d is %q, want %q", i, k, keys[i])
		}
	}
	leaves, inners := 0, 0
	if tr.height > 0 {
		countNodes(t, tr, tr.root, 1, &leaves, &inners)
	}
	if leaves != tr.leaves || inners != tr.inners || i != 0 {
		t.Fatalf("%d leaves and %d inner nodes, counted %d and %d, %d left", leaves, inners, tr.leaves, tr.inners, i)
	}
}

func countNodes(t *testing.T, tr *tree, in *inner, level int, leaves, inners *int) {
	*inners++
	if in.n == 0 {
		t.Fatal("an empty node")
	}
	for i := range in.n {
		if level < tr.height {
			countNodes(t, tr, in.kids[i], level+1, leaves, inners)
			continue
		}
		*leaves++
		if in.leaves[i].n == 0 {
			t.Fatal("an empty leaf")
		}
	}
}

// TestTreeNodesAreFull: keys added in order fill the nodes, at the right edge
// and before it.
func TestTreeNodesAreFull(t *testing.T) {
	var tr tree
	var p place
	for i := range uint64(20_000) {
		for tablet := range uint64(3) {
			k := []byte(weirKey('t', tablet, 0, 'D', i))
			tr.find(k, &p)
			kr, vr := tr.addKey(k, version{})
			tr.insert(&p, k, kr, vr)
		}
	}
	if full := float64(tr.count) / float64(tr.leaves*nodeFan); full < 0.95 {
		t.Errorf("nodes are filled to %.2f", full)
	}
}

func TestLargeRecords(t *testing.T) {
	var tr tree
	var p place
	sizes := []int{0, 10, minChunkBytes - 1, minChunkBytes, minChunkBytes + 1, maxChunkBytes - 1, maxChunkBytes, maxChunkBytes + 1, 5 << 20}
	for i := range 200 {
		k := fmt.Appendf(nil, "%03d", i)
		tr.find(k, &p)
		value := make([]byte, sizes[i%len(sizes)])
		if len(value) > 0 {
			value[0], value[len(value)-1] = byte(i), byte(i)
		}
		kr, vr := tr.addKey(k, version{value: value})
		tr.insert(&p, k, kr, vr)
	}
	for i := range 200 {
		k := fmt.Appendf(nil, "%03d", i)
		if !tr.find(k, &p) {
			t.Fatalf("%s is not there", k)
		}
		v := tr.version(p.leaf.version[p.at]).value
		if n := sizes[i%len(sizes)]; len(v) != n || n > 0 && (v[0] != byte(i) || v[n-1] != byte(i)) {
			t.Fatalf("%s has %d bytes, want %d", k, len(v), n)
		}
	}
}
