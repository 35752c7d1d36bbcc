package sim

import (
	"fmt"
	"slices"
	"time"

	"weir.dev/weir/internal/model"
	"weir.dev/weir/internal/storage"
)

// maxRooms bounds how many nodes a run has at once: beyond, nodes only leave.
const maxRooms = 5

// newRoom makes the place for the next node. Ids are never used again.
func (w *world) newRoom() *machineRoom {
	w.lastID++
	room := &machineRoom{id: w.lastID, disk: storage.NewCrashableFS(), seed: w.seed<<16 + uint64(w.lastID)<<8}
	w.mu.Lock()
	w.nodes = append(w.nodes, room)
	w.mu.Unlock()
	return room
}

func (w *world) memberOf(room *machineRoom) model.Node {
	return model.Node{ID: room.id, PeerAddr: fmt.Sprintf("node%d:4590", room.id)}
}

// grow makes the first members.
func (w *world) grow() error {
	for range w.cfg.Nodes - 1 {
		room := w.newRoom()
		if err := retry(func() error { return w.admit(room) }); err != nil {
			return err
		}
		if err := w.boot(room); err != nil {
			return err
		}
	}
	return nil
}

// addNode lets a new node join, if one that runs can admit it now.
func (w *world) addNode(r *Report) error {
	if len(w.nodes) >= maxRooms {
		return nil
	}
	room := w.newRoom()
	if err := w.admit(room); err != nil {
		w.forget(room) // it may be a member that never comes: that happens to operators too
		return nil
	}
	r.Joined++
	return w.boot(room)
}

// admit adds a member by a token, as joining does.
func (w *world) admit(room *machineRoom) error {
	via := w.anyNode(w.rng)
	if via == nil {
		return fmt.Errorf("no node runs")
	}
	ctx, cancel := contextFor(5 * time.Second)
	defer cancel()
	token := model.JoinToken{Hash: [32]byte{byte(room.id), byte(room.id >> 8)}, ExpiresMs: time.Now().Add(time.Hour).UnixMilli()}
	if err := via.node.AddToken(ctx, token.Hash, time.UnixMilli(token.ExpiresMs)); err != nil {
		return err
	}
	op := model.CatalogOp{Kind: model.OpAddNode, Node: w.memberOf(room), Token: token}
	cmd := &model.Command{Kind: model.CmdCatalog, ID: model.RequestID{9, byte(room.id), byte(room.id >> 8)}, Body: op.Append(nil)}
	_, err := via.node.ProposeCatalog(ctx, cmd)
	return err
}

// removeNode asks a member to leave, while enough others stay: one at a time,
// and the same one again until it is gone, as a call of unknown outcome may
// count later. It goes on under whatever happens meanwhile.
func (w *world) removeNode(r *Report) {
	if len(w.nodes) <= w.cfg.Nodes {
		return
	}
	if !slices.Contains(w.nodes, w.leaving) {
		w.leaving = w.anyRoom()
		r.Removed++
	}
	via := w.anyNode(w.rng)
	if via == nil {
		return
	}
	ctx, cancel := contextFor(5 * time.Second)
	defer cancel()
	_ = via.node.DrainNode(ctx, w.leaving.id, true, true) // the next call asks again
}

// buryRemoved stops the nodes that are no members any more, as they would by
// themselves when their peers refuse them.
func (w *world) buryRemoved() error {
	for _, room := range slices.Clone(w.nodes) {
		if len(w.nodes) == 1 || !w.removed(room.id) {
			continue
		}
		if err := w.crash(room, 100); err != nil {
			return err
		}
		if err := w.async.inspect(room); err != nil {
			return err
		}
		w.forget(room)
	}
	return nil
}

// removed reports whether a node that runs knows that this one was removed.
func (w *world) removed(id model.NodeID) bool {
	return slices.ContainsFunc(w.up(), func(live *liveNode) bool { return live.node.Catalog().WasRemoved(id) })
}

func (w *world) forget(room *machineRoom) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.nodes = slices.DeleteFunc(slices.Clone(w.nodes), func(r *machineRoom) bool { return r == room })
}
