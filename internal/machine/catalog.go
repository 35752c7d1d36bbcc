package machine

import (
	"bytes"
	"cmp"
	"encoding/binary"
	"slices"

	"weir.dev/weir/internal/keys"
	"weir.dev/weir/internal/model"
)

// The kinds of the catalog's records, as in their keys. Their values are the
// Append forms of the model's types.
const (
	recordMeta     = 'm' // cluster id, version, next resource id
	recordNode     = 'n' // by node id
	recordTablet   = 't' // by tablet id
	recordResource = 'r' // by resource id; Deleting ones wait for their data to go
	recordToken    = 'k' // by the first eight bytes of the hash
	recordRemoved  = 'x' // removed nodes, by node id
	recordSettings = 's' // the cluster's settings
)

// Genesis writes the first state of a new cluster's catalog.
func Genesis(w Writer, c *model.Catalog) {
	writeCatalogMeta(w, c)
	w.Set(keys.Catalog(recordSettings, 0), c.Settings.Append(nil))
	for i := range c.Nodes {
		w.Set(keys.Catalog(recordNode, uint64(c.Nodes[i].ID)), c.Nodes[i].Append(nil))
	}
	for i := range c.Tablets {
		w.Set(keys.Catalog(recordTablet, uint64(c.Tablets[i].ID)), c.Tablets[i].Append(nil))
	}
}

func writeCatalogMeta(w Writer, c *model.Catalog) {
	v := model.AppendString(nil, c.ClusterID)
	v = model.AppendUvarint(v, c.Version)
	v = model.AppendUvarint(v, uint64(c.NextID))
	w.Set(keys.Catalog(recordMeta, 0), v)
}

// loadCatalog reads the catalog from its records.
func loadCatalog(r Reader) (*model.Catalog, error) {
	c := &model.Catalog{}
	var used []*model.Resource
	lo, hi := keys.CatalogSpan()
	err := scan(r, lo, hi, func(key, value []byte) error {
		kind, _, ok := keys.SplitCatalog(key)
		if !ok {
			return model.ErrCorrupt
		}
		d := model.NewDecoder(value)
		switch kind {
		case recordMeta:
			c.ClusterID, c.Version, c.NextID = d.String(), d.Uvarint(), model.ResourceID(d.Uvarint())
		case recordNode:
			var n model.Node
			n.Decode(d)
			c.Nodes = append(c.Nodes, n)
		case recordTablet:
			var t model.Tablet
			t.Decode(d)
			c.Tablets = append(c.Tablets, t)
		case recordResource:
			res := &model.Resource{}
			res.Decode(d)
			if res.Deleting {
				c.Deleted = append(c.Deleted, res)
			} else {
				used = append(used, res)
			}
		case recordToken:
			var t model.JoinToken
			t.Decode(d)
			c.Tokens = append(c.Tokens, t)
		case recordRemoved:
			var n model.RemovedNode
			n.Decode(d)
			c.Removed = append(c.Removed, n)
		case recordSettings:
			c.Settings.Decode(d)
		default:
			return model.ErrCorrupt
		}
		return d.Done()
	})
	c.Resources = model.NewResources(used...)
	return c, err
}

// applyCatalog applies one change to a copy of the catalog, which replaces
// the old one when the change is accepted.
func applyCatalog(m *Machine, tx *Tx) (model.Result, error) {
	if m.catalog == nil {
		return model.Result{}, model.ErrCorrupt
	}
	var op model.CatalogOp
	d := model.NewDecoder(tx.Command.Body)
	op.Decode(d)
	if err := d.Done(); err != nil {
		return model.Result{}, err
	}
	change, ok := catalogChanges[op.Kind]
	if !ok {
		return model.Result{}, model.ErrCorrupt
	}
	next := *m.catalog
	res := change(&next, tx, &op)
	if res.Status == model.StatusOK {
		next.Version++
		writeCatalogMeta(tx, &next)
		m.catalog = &next
	}
	return res, nil
}

// catalogChanges change the catalog they are given; its slices are shared
// with the catalog that others read and must be copied before a change.
var catalogChanges = map[model.CatalogOpKind]func(*model.Catalog, *Tx, *model.CatalogOp) model.Result{
	model.OpCreateResource: createResource,
	model.OpUpdateResource: updateResource,
	model.OpDeleteResource: deleteResource,
	model.OpForgetResource: forgetResource,
	model.OpAddNode:        addNode,
	model.OpSetNode:        setNode,
	model.OpAddToken:       addToken,
	model.OpSetTablet:      setTablet,
	model.OpDrainNode:      drainNode,
	model.OpRemoveNode:     removeNode,
	model.OpSetSettings:    setSettings,
	model.OpSetCommitment:  setCommitment,
	model.OpRecover:        recoverAlone,
}

func writeResource(w Writer, r *model.Resource) []byte {
	v := r.Append(nil)
	w.Set(keys.Catalog(recordResource, uint64(r.ID)), v)
	return v
}

func createResource(c *model.Catalog, tx *Tx, op *model.CatalogOp) model.Result {
	if old, ok := c.Resource(op.Resource.Kind, op.Resource.Name); ok {
		return model.Result{Status: model.StatusExists, Body: old.Append(nil)}
	}
	r := op.Resource
	r.ID, r.CreatedMs, r.Version, r.Deleting = c.NextID, tx.Command.Stamp.Millis(), 1, false
	c.NextID++
	c.Resources = c.Resources.With(&r)
	return model.Result{Body: writeResource(tx, &r)}
}

func updateResource(c *model.Catalog, tx *Tx, op *model.CatalogOp) model.Result {
	old, ok := c.ResourceByID(op.Resource.ID)
	if !ok {
		return model.Result{Status: model.StatusNotFound}
	}
	r := *old
	if r.Version != op.Resource.Version {
		return model.Result{Status: model.StatusStale}
	}
	r.Version++
	r.Spec, r.Level = op.Resource.Spec, op.Resource.Level
	c.Resources = c.Resources.With(&r)
	return model.Result{Body: writeResource(tx, &r)}
}

func deleteResource(c *model.Catalog, tx *Tx, op *model.CatalogOp) model.Result {
	old, ok := c.ResourceByID(op.Resource.ID)
	if !ok {
		return model.Result{Status: model.StatusNotFound}
	}
	r := *old
	r.Deleting = true
	c.Resources = c.Resources.Without(r.ID)
	at, _ := deletedAt(c, r.ID)
	c.Deleted = slices.Insert(slices.Clone(c.Deleted), at, &r)
	return model.Result{Body: writeResource(tx, &r)}
}

// deletedAt is where the deleted resource of that id is, or would be.
func deletedAt(c *model.Catalog, id model.ResourceID) (at int, ok bool) {
	return slices.BinarySearchFunc(c.Deleted, id, func(r *model.Resource, id model.ResourceID) int { return cmp.Compare(r.ID, id) })
}

func forgetResource(c *model.Catalog, tx *Tx, op *model.CatalogOp) model.Result {
	at, ok := deletedAt(c, op.Resource.ID)
	if !ok {
		return model.Result{Status: model.StatusNotFound}
	}
	c.Deleted = slices.Delete(slices.Clone(c.Deleted), at, at+1)
	tx.Delete(keys.Catalog(recordResource, uint64(op.Resource.ID)))
	return model.Result{}
}

func addNode(c *model.Catalog, tx *Tx, op *model.CatalogOp) model.Result {
	at := slices.IndexFunc(c.Tokens, func(t model.JoinToken) bool { return t.Hash == op.Token.Hash })
	if at < 0 || c.Tokens[at].ExpiresMs < tx.Command.Stamp.Millis() {
		return model.Result{Status: model.StatusNotFound}
	}
	if _, taken := c.Node(op.Node.ID); taken || c.WasRemoved(op.Node.ID) {
		return model.Result{Status: model.StatusExists}
	}
	tx.Delete(tokenKey(&c.Tokens[at]))
	c.Tokens = slices.Delete(slices.Clone(c.Tokens), at, at+1)
	n := model.Node{ID: op.Node.ID, PeerAddr: op.Node.PeerAddr, Zone: op.Node.Zone, ReadOnly: op.Node.ReadOnly, JoinedMs: tx.Command.Stamp.Millis()}
	c.Nodes = append(slices.Clone(c.Nodes), n)
	slices.SortFunc(c.Nodes, func(a, b model.Node) int {
		if a.ID < b.ID {
			return -1
		}
		return 1
	})
	tx.Set(keys.Catalog(recordNode, uint64(n.ID)), n.Append(nil))
	return model.Result{}
}

func setNode(c *model.Catalog, tx *Tx, op *model.CatalogOp) model.Result {
	at := slices.IndexFunc(c.Nodes, func(n model.Node) bool { return n.ID == op.Node.ID })
	if at < 0 {
		return model.Result{Status: model.StatusNotFound}
	}
	if !op.Node.Start.MayFollow(c.Nodes[at].Start) {
		return model.Result{Status: model.StatusStale}
	}
	n := c.Nodes[at]
	n.PeerAddr, n.Zone, n.ReadOnly, n.Start = op.Node.PeerAddr, op.Node.Zone, op.Node.ReadOnly, op.Node.Start
	writeNode(c, tx, at, &n)
	return model.Result{}
}

func writeNode(c *model.Catalog, tx *Tx, at int, n *model.Node) {
	c.Nodes = slices.Clone(c.Nodes)
	c.Nodes[at] = *n
	tx.Set(keys.Catalog(recordNode, uint64(n.ID)), n.Append(nil))
}

func drainNode(c *model.Catalog, tx *Tx, op *model.CatalogOp) model.Result {
	at := slices.IndexFunc(c.Nodes, func(n model.Node) bool { return n.ID == op.Node.ID })
	if at < 0 {
		return model.Result{Status: model.StatusNotFound}
	}
	n := c.Nodes[at]
	n.Leaving = op.Node.Leaving
	n.Draining = op.Node.Draining || op.Node.Leaving
	writeNode(c, tx, at, &n)
	return model.Result{}
}

// removeNode forgets a member. Whoever proposes it has seen that no tablet has
// the node among its members any more; here it is only made sure that none is
// wanted there.
func removeNode(c *model.Catalog, tx *Tx, op *model.CatalogOp) model.Result {
	at := slices.IndexFunc(c.Nodes, func(n model.Node) bool { return n.ID == op.Node.ID })
	if at < 0 {
		return model.Result{Status: model.StatusNotFound}
	}
	for i := range c.Tablets {
		if t := &c.Tablets[i]; slices.Contains(t.Voters, op.Node.ID) || slices.Contains(t.Learners, op.Node.ID) {
			return model.Result{Status: model.StatusInvalid}
		}
	}
	forgetNode(c, tx, at)
	return model.Result{}
}

// forgetNode moves a node from the members to those that were removed.
func forgetNode(c *model.Catalog, tx *Tx, at int) {
	id := c.Nodes[at].ID
	c.Nodes = slices.Delete(slices.Clone(c.Nodes), at, at+1)
	tx.Delete(keys.Catalog(recordNode, uint64(id)))
	gone := model.RemovedNode{ID: id, RemovedMs: tx.Command.Stamp.Millis()}
	place, _ := slices.BinarySearchFunc(c.Removed, gone, func(a, b model.RemovedNode) int { return cmp.Compare(a.ID, b.ID) })
	c.Removed = slices.Insert(slices.Clone(c.Removed), place, gone)
	tx.Set(keys.Catalog(recordRemoved, uint64(gone.ID)), gone.Append(nil))
}

// recoverAlone leaves one member: it shall hold every tablet, the others never
// come back, and tokens that they may have given out are worth nothing.
func recoverAlone(c *model.Catalog, tx *Tx, op *model.CatalogOp) model.Result {
	if _, ok := c.Node(op.Node.ID); !ok {
		return model.Result{Status: model.StatusNotFound}
	}
	for at := len(c.Nodes) - 1; at >= 0; at-- {
		if c.Nodes[at].ID != op.Node.ID {
			forgetNode(c, tx, at)
		}
	}
	n := c.Nodes[0]
	n.Draining, n.Leaving, n.ReadOnly = false, false, false
	writeNode(c, tx, 0, &n)
	c.Tablets = slices.Clone(c.Tablets)
	for i := range c.Tablets {
		t := &c.Tablets[i]
		t.Voters, t.Learners, t.Lead = []model.NodeID{n.ID}, nil, 0
		tx.Set(keys.Catalog(recordTablet, uint64(t.ID)), t.Append(nil))
	}
	for i := range c.Tokens {
		tx.Delete(tokenKey(&c.Tokens[i]))
	}
	c.Tokens = nil
	return model.Result{}
}

func setSettings(c *model.Catalog, tx *Tx, op *model.CatalogOp) model.Result {
	kept := c.Settings.Commitment
	c.Settings = op.Settings
	c.Settings.Commitment = kept
	tx.Set(keys.Catalog(recordSettings, 0), c.Settings.Append(nil))
	return model.Result{}
}

func setCommitment(c *model.Catalog, tx *Tx, op *model.CatalogOp) model.Result {
	c.Settings.Commitment = c.Settings.Commitment.Set(op.On, tx.Command.Stamp.Millis())
	tx.Set(keys.Catalog(recordSettings, 0), c.Settings.Append(nil))
	return model.Result{}
}

func tokenKey(t *model.JoinToken) []byte {
	return keys.Catalog(recordToken, binary.BigEndian.Uint64(t.Hash[:8]))
}

// addToken also removes the tokens that have expired, so that unused ones do
// not pile up.
func addToken(c *model.Catalog, tx *Tx, op *model.CatalogOp) model.Result {
	var tokens []model.JoinToken
	for i := range c.Tokens {
		if t := &c.Tokens[i]; t.ExpiresMs < tx.Command.Stamp.Millis() {
			tx.Delete(tokenKey(t))
		} else {
			tokens = append(tokens, *t)
		}
	}
	c.Tokens = append(tokens, op.Token)
	slices.SortFunc(c.Tokens, func(a, b model.JoinToken) int { return bytes.Compare(a.Hash[:], b.Hash[:]) })
	tx.Set(tokenKey(&op.Token), op.Token.Append(nil))
	return model.Result{}
}

func setTablet(c *model.Catalog, tx *Tx, op *model.CatalogOp) model.Result {
	if op.Version != c.Version {
		return model.Result{Status: model.StatusStale}
	}
	at := slices.IndexFunc(c.Tablets, func(t model.Tablet) bool { return t.ID == op.Tablet.ID })
	if at < 0 {
		return model.Result{Status: model.StatusNotFound}
	}
	t := op.Tablet
	t.Lo, t.Hi = c.Tablets[at].Lo, c.Tablets[at].Hi
	c.Tablets = slices.Clone(c.Tablets)
	c.Tablets[at] = t
	tx.Set(keys.Catalog(recordTablet, uint64(t.ID)), t.Append(nil))
	return model.Result{}
}
