package machine

import (
	"fmt"
	"reflect"
	"testing"
	"time"

	"weir.dev/weir/internal/model"
)

// catalogRig is the catalog's machine, at work.
type catalogRig struct {
	rig
	t  testing.TB
	at time.Duration // of the next command
}

func genesisCatalog() *model.Catalog {
	return &model.Catalog{
		ClusterID: "00112233445566778899aabbccddeeff", Version: 1, NextID: 1,
		Nodes: []model.Node{{ID: 5, PeerAddr: "a:4590"}},
		Tablets: []model.Tablet{
			{ID: 0, Voters: []model.NodeID{5}},
			{ID: 1, Hi: 32768, Voters: []model.NodeID{5}},
			{ID: 2, Lo: 32768, Hi: 65536, Voters: []model.NodeID{5}},
		},
	}
}

func newCatalogRig(t testing.TB) *catalogRig {
	t.Helper()
	r := &catalogRig{rig: rig{machine: New(model.CatalogTablet, 0, 0), view: newMemView()}, t: t}
	var b memBatch
	Genesis(&b, genesisCatalog())
	b.commit(r.view)
	if err := r.machine.Load(r.view); err != nil {
		t.Fatal(err)
	}
	return r
}

// do applies a change and checks that the catalog in memory is the stored one,
// and that the ones before stay as they were.
func (r *catalogRig) do(op model.CatalogOp) model.Result {
	r.t.Helper()
	before := r.machine.Catalog()
	kept := reload(r.t, r.view)
	r.at += time.Second
	out := r.must(r.t, &model.Command{Kind: model.CmdCatalog, Stamp: stampIn(r.at), Body: op.Append(nil)})
	if !same(before, kept) {
		r.t.Errorf("op %d changed a catalog that others may be reading:\n now %s\n was %s", op.Kind, catalogText(before), catalogText(kept))
	}
	after := r.machine.Catalog()
	if stored := reload(r.t, r.view); !same(after, stored) {
		r.t.Errorf("op %d: in memory %s\n stored %s", op.Kind, catalogText(after), catalogText(stored))
	}
	if changed := after.Version != before.Version; changed != (out.Result.Status == model.StatusOK) {
		r.t.Errorf("op %d: status %d, version %d, before %d", op.Kind, out.Result.Status, after.Version, before.Version)
	}
	return out.Result
}

// same compares two catalogs; no list and an empty one are the same.
func same(a, b *model.Catalog) bool { return catalogText(a) == catalogText(b) }

func catalogText(c *model.Catalog) string {
	rest := *c
	rest.Resources, rest.Deleted = model.Resources{}, nil
	text := fmt.Sprintf("%+v", &rest)
	for r := range c.Resources.All() {
		text += fmt.Sprintf("\n in use %+v", *r)
	}
	for _, r := range c.Deleted {
		text += fmt.Sprintf("\n deleted %+v", *r)
	}
	return text
}

func reload(t testing.TB, view *memView) *model.Catalog {
	t.Helper()
	m := New(model.CatalogTablet, 0, 0)
	if err := m.Load(view); err != nil {
		t.Fatal(err)
	}
	return m.Catalog()
}

func (r *catalogRig) want(op model.CatalogOp, want model.Status) model.Result {
	r.t.Helper()
	res := r.do(op)
	if res.Status != want {
		r.t.Errorf("op %+v: status %d, want %d", op, res.Status, want)
	}
	return res
}

func resourceOf(t testing.TB, res model.Result) (got model.Resource) {
	t.Helper()
	d := model.NewDecoder(res.Body)
	got.Decode(d)
	if err := d.Done(); err != nil {
		t.Fatal(err)
	}
	return got
}

func create(kind model.ResourceKind, name, spec string) model.CatalogOp {
	return model.CatalogOp{Kind: model.OpCreateResource, Resource: model.Resource{Kind: kind, Name: name, Spec: []byte(spec)}}
}

func TestGenesis(t *testing.T) {
	r := newCatalogRig(t)
	if got, want := r.machine.Catalog(), genesisCatalog(); !reflect.DeepEqual(got, want) {
		t.Errorf("loaded %+v\nwritten %+v", got, want)
	}
	if c := New(1, 0, 65536); c.Load(r.view) != nil || c.Catalog() != nil {
		t.Error("a data tablet has a catalog")
	}
}

func TestCatalogResources(t *testing.T) {
	r := newCatalogRig(t)
	made := resourceOf(t, r.want(create(model.KindTable, "posts", "s1"), model.StatusOK))
	want := model.Resource{ID: 1, Kind: model.KindTable, Name: "posts", CreatedMs: stampIn(r.at).Millis(), Version: 1, Spec: []byte("s1")}
	if !reflect.DeepEqual(made, want) {
		t.Errorf("made %+v, want %+v", made, want)
	}
	// The name is taken, by the one that is named; of another kind it is free.
	if taken := resourceOf(t, r.want(create(model.KindTable, "posts", "s2"), model.StatusExists)); !reflect.DeepEqual(taken, want) {
		t.Errorf("the name is taken by %+v", taken)
	}
	r.want(create(model.KindQueue, "posts", "q"), model.StatusOK)
	r.want(create(model.KindTable, "authors", ""), model.StatusOK)
	var names []string
	for res := range r.machine.Catalog().Resources.All() {
		names = append(names, res.Name)
	}
	if !reflect.DeepEqual(names, []string{"authors", "posts", "posts"}) {
		t.Errorf("resources %q, want them by kind and name", names)
	}

	update := func(id model.ResourceID, version uint64, spec string) model.CatalogOp {
		return model.CatalogOp{Kind: model.OpUpdateResource, Resource: model.Resource{ID: id, Version: version, Spec: []byte(spec)}}
	}
	if got := resourceOf(t, r.want(update(1, 1, "s3"), model.StatusOK)); got.Version != 2 || string(got.Spec) != "s3" || got.Name != "posts" {
		t.Errorf("updated: %+v", got)
	}
	r.want(update(1, 1, "lost"), model.StatusStale)
	r.want(update(99, 1, "s"), model.StatusNotFound)

	// Deleted, its name is free at once; the record stays until it is forgotten.
	remove := model.CatalogOp{Kind: model.OpDeleteResource, Resource: model.Resource{ID: 1}}
	forget := model.CatalogOp{Kind: model.OpForgetResource, Resource: model.Resource{ID: 1}}
	r.want(forget, model.StatusNotFound)
	if got := resourceOf(t, r.want(remove, model.StatusOK)); !got.Deleting {
		t.Errorf("deleted: %+v", got)
	}
	r.want(remove, model.StatusNotFound)
	r.want(update(1, 2, "s"), model.StatusNotFound)
	if again := resourceOf(t, r.want(create(model.KindTable, "posts", "new"), model.StatusOK)); again.ID != 4 {
		t.Errorf("made again with id %d: ids are never used again", again.ID)
	}
	if c := r.machine.Catalog(); len(c.Deleted) != 1 || c.Deleted[0].ID != 1 {
		t.Errorf("deleted resources: %+v", c.Deleted)
	}
	r.want(forget, model.StatusOK)
	r.want(forget, model.StatusNotFound)
}

func TestCatalogTokens(t *testing.T) {
	r := newCatalogRig(t)
	token := func(b byte, ttl time.Duration) model.JoinToken {
		return model.JoinToken{Hash: [32]byte{b, 31: b}, ExpiresMs: stampIn(r.at + ttl).Millis()}
	}
	add := func(tok model.JoinToken) { r.want(model.CatalogOp{Kind: model.OpAddToken, Token: tok}, model.StatusOK) }
	join := func(tok model.JoinToken, id model.NodeID, want model.Status) {
		t.Helper()
		r.want(model.CatalogOp{Kind: model.OpAddNode, Token: tok, Node: model.Node{ID: id, PeerAddr: "x:1"}}, want)
	}
	good, short := token(1, time.Hour), token(2, 3*time.Second)
	join(good, 7, model.StatusNotFound) // not known yet
	add(good)
	add(short)
	join(good, 5, model.StatusExists) // a member already; the token stays good
	join(good, 7, model.StatusOK)
	join(good, 8, model.StatusNotFound) // used
	r.at += 10 * time.Second
	join(short, 8, model.StatusNotFound) // expired
	if n := len(r.machine.Catalog().Tokens); n != 1 {
		t.Errorf("%d tokens, want the expired one", n)
	}
	add(token(0, time.Minute)) // sweeps out the expired one, and sorts before it
	if got := r.machine.Catalog().Tokens; len(got) != 1 || got[0].Hash[0] != 0 {
		t.Errorf("tokens %+v", got)
	}
	n, ok := r.machine.Catalog().Node(7)
	if !ok || n.PeerAddr != "x:1" || n.JoinedMs == 0 {
		t.Errorf("the node that joined: %+v, %v", n, ok)
	}
	r.want(model.CatalogOp{Kind: model.OpSetNode, Node: model.Node{ID: 7, PeerAddr: "y:2"}}, model.StatusOK)
	r.want(model.CatalogOp{Kind: model.OpSetNode, Node: model.Node{ID: 6, PeerAddr: "y:2"}}, model.StatusNotFound)
	if n, _ := r.machine.Catalog().Node(7); n.PeerAddr != "y:2" || n.JoinedMs == 0 {
		t.Errorf("the node that moved: %+v", n)
	}
}

func TestCatalogNodesSort(t *testing.T) {
	r := newCatalogRig(t)
	for _, id := range []model.NodeID{9, 1 << 60, 2} {
		tok := model.JoinToken{Hash: [32]byte{byte(id), 9}, ExpiresMs: stampIn(time.Hour).Millis()}
		r.want(model.CatalogOp{Kind: model.OpAddToken, Token: tok}, model.StatusOK)
		r.want(model.CatalogOp{Kind: model.OpAddNode, Token: tok, Node: model.Node{ID: id}}, model.StatusOK)
	}
	var ids []model.NodeID
	for _, n := range r.machine.Catalog().Nodes {
		ids = append(ids, n.ID)
	}
	if !reflect.DeepEqual(ids, []model.NodeID{2, 5, 9, 1 << 60}) {
		t.Errorf("nodes %v", ids)
	}
}

// TestCatalogNodesLeave: a node that drains is marked, one that is wanted
// somewhere cannot be removed, and a removed one never comes back.
func TestCatalogNodesLeave(t *testing.T) {
	r := newCatalogRig(t)
	join := func(b byte, id model.NodeID, want model.Status) {
		t.Helper()
		tok := model.JoinToken{Hash: [32]byte{b}, ExpiresMs: stampIn(time.Hour).Millis()}
		r.want(model.CatalogOp{Kind: model.OpAddToken, Token: tok}, model.StatusOK)
		r.want(model.CatalogOp{Kind: model.OpAddNode, Token: tok, Node: model.Node{ID: id, PeerAddr: "x:1", Zone: "a"}}, want)
	}
	join(1, 7, model.StatusOK)
	marks := func(drain, leave bool) {
		t.Helper()
		r.want(model.CatalogOp{Kind: model.OpDrainNode, Node: model.Node{ID: 7, Draining: drain, Leaving: leave}}, model.StatusOK)
		if n, _ := r.machine.Catalog().Node(7); n.Draining != (drain || leave) || n.Leaving != leave || n.PeerAddr != "x:1" || n.Zone != "a" {
			t.Errorf("drain %v, leave %v: %+v", drain, leave, n)
		}
	}
	marks(true, false)
	marks(false, false)
	marks(false, true)
	r.want(model.CatalogOp{Kind: model.OpDrainNode, Node: model.Node{ID: 8}}, model.StatusNotFound)
	remove := model.CatalogOp{Kind: model.OpRemoveNode, Node: model.Node{ID: 7}}
	set := model.CatalogOp{Kind: model.OpSetTablet, Tablet: model.Tablet{ID: 2, Voters: []model.NodeID{5}, Learners: []model.NodeID{7}}}
	set.Version = r.machine.Catalog().Version
	r.want(set, model.StatusOK)
	r.want(remove, model.StatusInvalid)
	set.Version, set.Tablet.Learners = r.machine.Catalog().Version, nil
	r.want(set, model.StatusOK)
	r.want(remove, model.StatusOK)
	r.want(remove, model.StatusNotFound)
	if c := r.machine.Catalog(); !c.WasRemoved(7) || c.WasRemoved(5) || len(c.Nodes) != 1 {
		t.Errorf("nodes %+v, removed %+v", c.Nodes, c.Removed)
	}
	join(2, 7, model.StatusExists)
}

// TestCatalogStarts: an older copy of a node's directory is told from the node.
func TestCatalogStarts(t *testing.T) {
	r := newCatalogRig(t)
	set := func(start model.Start, want model.Status) {
		t.Helper()
		r.want(model.CatalogOp{Kind: model.OpSetNode, Node: model.Node{ID: 5, PeerAddr: "b:1", Zone: "z", Start: start}}, want)
	}
	set(4<<24+7, model.StatusOK)
	set(4<<24+7, model.StatusOK)
	set(4<<24+6, model.StatusStale)
	set(4<<24+8, model.StatusStale)
	set(3<<24+9, model.StatusStale)
	set(5<<24+1, model.StatusOK)
	if n, _ := r.machine.Catalog().Node(5); n.Start != 5<<24+1 || n.Zone != "z" || n.PeerAddr != "b:1" {
		t.Errorf("%+v", n)
	}
}

func TestCatalogSettings(t *testing.T) {
	r := newCatalogRig(t)
	want := model.ClusterSettings{ReplaceAfterMs: 60_000}
	r.want(model.CatalogOp{Kind: model.OpSetSettings, Settings: want}, model.StatusOK)
	if got := r.machine.Catalog().Settings; got != want {
		t.Errorf("settings %+v", got)
	}
}

func TestCatalogTablets(t *testing.T) {
	r := newCatalogRig(t)
	op := model.CatalogOp{Kind: model.OpSetTablet, Version: 1, Tablet: model.Tablet{ID: 2, Lo: 9, Hi: 10, Voters: []model.NodeID{5}, Learners: []model.NodeID{6}}}
	r.want(op, model.StatusOK)
	got, _ := r.machine.Catalog().TabletByID(2)
	if got.Lo != 32768 || got.Hi != 65536 || !reflect.DeepEqual(got.Learners, []model.NodeID{6}) {
		t.Errorf("tablet %+v: its slots never change here", got)
	}
	r.want(op, model.StatusStale) // the catalog has moved on
	op.Version, op.Tablet.ID = r.machine.Catalog().Version, 9
	r.want(op, model.StatusNotFound)
}

func TestCatalogRefusesWhatItDoesNotKnow(t *testing.T) {
	for _, op := range []model.CatalogOp{{}, {Kind: 200}} {
		r := newCatalogRig(t)
		_, err := r.apply(&model.Command{Kind: model.CmdCatalog, Stamp: 1, Body: op.Append(nil)})
		if err == nil {
			t.Errorf("catalog op %d was applied", op.Kind)
		}
	}
}

// TestCatalogRecover: one member is left, with every tablet, and nothing of the
// others works any more.
func TestCatalogRecover(t *testing.T) {
	r := newCatalogRig(t)
	for i, id := range []model.NodeID{3, 7} {
		token := model.JoinToken{Hash: [32]byte{byte(i + 1)}, ExpiresMs: 1 << 50}
		r.want(model.CatalogOp{Kind: model.OpAddToken, Token: token}, model.StatusOK)
		r.want(model.CatalogOp{Kind: model.OpAddNode, Token: token, Node: model.Node{ID: id, PeerAddr: "b:1"}}, model.StatusOK)
	}
	r.want(model.CatalogOp{Kind: model.OpAddToken, Token: model.JoinToken{Hash: [32]byte{9}, ExpiresMs: 1 << 50}}, model.StatusOK)
	r.want(model.CatalogOp{Kind: model.OpSetTablet, Version: r.machine.Catalog().Version,
		Tablet: model.Tablet{ID: 2, Voters: []model.NodeID{3, 5, 7}, Learners: []model.NodeID{9}, Lead: 3}}, model.StatusOK)
	r.want(model.CatalogOp{Kind: model.OpDrainNode, Node: model.Node{ID: 5, Draining: true}}, model.StatusOK)
	r.want(model.CatalogOp{Kind: model.OpRecover, Node: model.Node{ID: 8}}, model.StatusNotFound)
	for range 2 { // it may be done again
		r.want(model.CatalogOp{Kind: model.OpRecover, Node: model.Node{ID: 5}}, model.StatusOK)
	}
	c := r.machine.Catalog()
	if len(c.Nodes) != 1 || c.Nodes[0].ID != 5 || c.Nodes[0].Draining || !c.WasRemoved(3) || !c.WasRemoved(7) || len(c.Tokens) != 0 {
		t.Errorf("catalog %+v", c)
	}
	for _, x := range c.Tablets {
		if !reflect.DeepEqual(x.Voters, []model.NodeID{5}) || len(x.Learners) != 0 || x.Lead != 0 {
			t.Errorf("tablet %+v", x)
		}
	}
}
