package storage

import "weir.dev/weir/internal/base"

// maxHeight bounds the inner nodes on the way to a leaf; a tree of a million
// entries has three or four.
const maxHeight = 12

// tree is a map of keys to versions, sorted: a B+tree over an arena. It does
// not merge nodes that have few entries, for it lives only until it is flushed;
// empty ones go. It is no place for several goroutines while it changes.
type tree struct {
	arena
	root   *inner // nil when the tree is empty
	height int    // inner nodes on the way to a leaf
	count  int    // entries
	leaves int
	inners int
	spare  []*leaf // of a tree that was reset
	seed   *inner  // the same: empty, to be a root again; may be nil
}

// place is the way to an entry, or to the place where one would be.
type place struct {
	inner [maxHeight]*inner
	kid   [maxHeight]int
	below [maxHeight]bool // the key is less than the node's first
	leaf  *leaf           // nil in an empty tree
	at    int
}

// find leads p to the first entry of a leaf that is not less than key; it may
// be behind the leaf's last one.
func (t *tree) find(key []byte, p *place) (found bool) {
	p.leaf, p.at = nil, 0
	in := t.root
	for level := range t.height {
		at, same := in.find(&t.arena, key)
		p.below[level] = at == 0 && !same
		if !same {
			at = max(at-1, 0)
		}
		p.inner[level], p.kid[level] = in, at
		if level == t.height-1 {
			p.leaf = in.leaves[at]
			p.at, found = p.leaf.find(&t.arena, key)
			return found
		}
		in = in.kids[at]
	}
	return false
}

// edge leads p to the first entry, or to the last one.
func (t *tree) edge(last bool, p *place) {
	p.leaf, p.at = nil, 0
	if t.height > 0 {
		p.inner[0] = t.root
		t.descend(0, last, p)
	}
}

// descend leads p from its node at a level to the first or last entry under it.
func (t *tree) descend(level int, last bool, p *place) {
	for ; ; level++ {
		in := p.inner[level]
		p.kid[level] = 0
		if last {
			p.kid[level] = int(in.n) - 1
		}
		if level == t.height-1 {
			break
		}
		p.inner[level+1] = in.kids[p.kid[level]]
	}
	t.enter(last, p)
}

// enter leads p to the first or last entry of the leaf that it goes to.
func (t *tree) enter(last bool, p *place) {
	p.leaf, p.at = p.inner[t.height-1].leaves[p.kid[t.height-1]], 0
	if last {
		p.at = int(p.leaf.n) - 1
	}
}

// settle leads p, which may be behind a leaf's last entry, to the next one; p's
// leaf is nil when there is none.
func (t *tree) settle(p *place) {
	if p.leaf != nil && p.at == int(p.leaf.n) {
		t.cross(+1, p)
	}
}

// next leads p from an entry to the one after it.
func (t *tree) next(p *place) {
	p.at++
	t.settle(p)
}

// prev leads p to the entry before its place.
func (t *tree) prev(p *place) {
	if p.leaf == nil {
		return
	}
	if p.at--; p.at < 0 {
		t.cross(-1, p)
	}
}

// cross leads p into the leaf after or before its own.
func (t *tree) cross(step int, p *place) {
	for level := t.height - 1; level >= 0; level-- {
		to := p.kid[level] + step
		if to < 0 || to >= int(p.inner[level].n) {
			continue
		}
		p.kid[level] = to
		if level == t.height-1 {
			t.enter(step < 0, p)
			return
		}
		p.inner[level+1] = p.inner[level].kids[to]
		t.descend(level+1, step < 0, p)
		return
	}
	p.leaf = nil
}

// insert adds an entry at the place where find did not find its key.
func (t *tree) insert(p *place, key []byte, k, v ref) {
	t.count++
	if p.leaf == nil {
		t.plant(p, key, k)
	}
	for level := range t.height {
		if p.below[level] {
			p.inner[level].lower(&t.arena, key, k)
		}
	}
	l, at := p.leaf, p.at
	if l.n == nodeFan {
		l, at = t.splitLeaf(p, key, k)
	}
	l.insert(&t.arena, at, key, k)
	copy(l.version[at+1:l.n], l.version[at:l.n-1])
	l.version[at] = v
}

// plant makes the root and the first leaf.
func (t *tree) plant(p *place, key []byte, k ref) {
	if t.root, t.seed = t.seed, nil; t.root == nil {
		t.root = &inner{}
	}
	t.height, t.inners = 1, t.inners+1
	p.leaf, p.at = t.newLeaf(), 0
	p.inner[0], p.kid[0], p.below[0] = t.root, 0, false
	t.root.insert(&t.arena, 0, key, k)
	t.root.leaves[0] = p.leaf
}

func (t *tree) newLeaf() *leaf {
	t.leaves++
	if n := len(t.spare); n > 0 {
		l := t.spare[n-1]
		t.spare = t.spare[:n-1]
		return l
	}
	return &leaf{}
}

// splitLeaf splits p's leaf, which is full, and returns the place of the key.
func (t *tree) splitLeaf(p *place, key []byte, k ref) (*leaf, int) {
	l, at := p.leaf, p.at
	cut := l.splitAt(at)
	right := t.newLeaf()
	copy(right.version[:], l.version[cut:])
	l.split(&t.arena, cut, &right.entries)
	if cut < nodeFan {
		k = right.key[0]
		key = t.key(k)
	}
	t.insertKid(p, t.height-1, key, k, nil, right)
	if at > cut || cut == nodeFan {
		return right, at - cut
	}
	return l, at
}

// insertKid adds a node, in which key is the least, after the one that p goes
// through at a level.
func (t *tree) insertKid(p *place, level int, key []byte, k ref, kid *inner, l *leaf) {
	in, at := p.inner[level], p.kid[level]+1
	if in.n == nodeFan {
		if level == 0 {
			t.growRoot(p)
			level = 1
		}
		cut := nodeFan / 2
		if at == nodeFan {
			cut = nodeFan
		}
		right, first, firstRef := &inner{}, key, k
		t.inners++
		copy(right.kids[:], in.kids[cut:])
		copy(right.leaves[:], in.leaves[cut:])
		clear(in.kids[cut:])
		clear(in.leaves[cut:])
		in.split(&t.arena, cut, &right.entries)
		if cut < nodeFan {
			firstRef = right.key[0]
			first = t.key(firstRef)
		}
		t.insertKid(p, level-1, first, firstRef, right, nil)
		if at > cut || cut == nodeFan {
			in, at = right, at-cut
		}
	}
	in.insert(&t.arena, at, key, k)
	copy(in.kids[at+1:in.n], in.kids[at:in.n-1])
	copy(in.leaves[at+1:in.n], in.leaves[at:in.n-1])
	in.kids[at], in.leaves[at] = kid, l
}

// growRoot puts a root above the root.
func (t *tree) growRoot(p *place) {
	base.Check(t.height < maxHeight, "a memtable's tree of height %d", t.height)
	root := &inner{}
	root.insert(&t.arena, 0, t.key(t.root.key[0]), t.root.key[0])
	root.kids[0] = t.root
	copy(p.inner[1:], p.inner[:t.height])
	copy(p.kid[1:], p.kid[:t.height])
	p.inner[0], p.kid[0] = root, 0
	t.root, t.height, t.inners = root, t.height+1, t.inners+1
}

// remove takes out the entry that find found.
func (t *tree) remove(p *place) {
	t.count--
	l := p.leaf
	copy(l.version[p.at:], l.version[p.at+1:l.n])
	l.entries.remove(p.at)
	if l.n > 0 {
		return
	}
	t.leaves--
	for level := t.height - 1; level >= 0; level-- {
		in := p.inner[level]
		at := p.kid[level]
		copy(in.kids[at:], in.kids[at+1:in.n])
		copy(in.leaves[at:], in.leaves[at+1:in.n])
		in.entries.remove(at)
		in.kids[in.n], in.leaves[in.n] = nil, nil
		if in.n > 0 {
			break
		}
		t.inners--
	}
	for t.height > 1 && t.root.n == 1 {
		t.root, t.height, t.inners = t.root.kids[0], t.height-1, t.inners-1
	}
	if t.root.n == 0 {
		t.root, t.height, t.inners = nil, 0, 0
	}
}

// maxSpare bounds the leaves that a tree keeps for use again, about 300 KiB.
const maxSpare = 256

// reset empties the tree, which must not be in use.
func (t *tree) reset() {
	if t.height > 0 {
		t.discard(t.root, 1)
		t.seed = t.root
		clear(t.seed.kids[:t.seed.n])
		clear(t.seed.leaves[:t.seed.n])
		t.seed.n = 0
	}
	t.root, t.height, t.count, t.leaves, t.inners = nil, 0, 0, 0, 0
	t.arena.reset()
}

// discard keeps the leaves under a node as spare ones.
func (t *tree) discard(in *inner, level int) {
	for i := range in.n {
		if level < t.height {
			t.discard(in.kids[i], level+1)
		} else if len(t.spare) < maxSpare {
			in.leaves[i].n = 0
			t.spare = append(t.spare, in.leaves[i])
		}
	}
}
